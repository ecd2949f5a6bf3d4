"""Definitions that back ends tell, again and again."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from kratos.definition.reflection import Undefined
from kratos.errors import ConfigError, Error
from kratos.testing.clock import FakeClock
from kratos.testing.log import MemoryLogger
from kratos_gateway.api.reflection_pb2 import Reflection
from kratos_gateway.middleware.definitions.defined import Pace, Reflected
from kratos_http.testing import eventually


class Teller:
    """Tells what it is given; an exception is raised."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self) -> bytes:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Silent(Teller):
    """Never answers."""

    def __init__(self) -> None:
        super().__init__(b"")

    async def __call__(self) -> bytes:
        self.asked += 1
        await asyncio.Event().wait()
        return b""


def text_of(data: bytes) -> str:
    if data == b"bad":
        raise ConfigError("no method of these services has a rule")
    return data.decode()


class Following:
    """What is followed, its clock and its log."""

    def __init__(self, made: Reflected[str], clock: FakeClock, logger: MemoryLogger) -> None:
        self.made = made
        self.clock = clock
        self.logger = logger


@asynccontextmanager
async def following(
    teller: Teller, *, key: object = "shop", **options: Any
) -> AsyncGenerator[Following]:
    clock, logger = FakeClock(), MemoryLogger()
    pace = Pace(Reflection(**options))
    made = Reflected(teller, text_of, pace=pace, clock=clock, logger=logger, key=key)
    try:
        yield Following(made, clock, logger)
    finally:
        await made.aclose()


async def test_request_waits_for_the_first_answer() -> None:
    async with following(Teller(b"one")) as found:
        assert found.made.current is None
        assert await found.made.first() == "one"
        assert found.made.current == "one"


async def test_request_is_refused_at_once_while_nothing_is_known_and_the_log_tells_why() -> None:
    async with following(Teller(ConnectionError("no route to 10.0.0.1"))) as found:
        with pytest.raises(Error) as refused:
            await found.made.first()
        assert (refused.value.code, refused.value.reason) == (503, "NOT_DEFINED_YET")
        assert "10.0.0.1" not in refused.value.message
        ((_, message, fields),) = found.logger.records
        assert "requests get 503" in message
        assert fields == {"error": "no route to 10.0.0.1"}


async def test_back_ends_are_asked_again_after_a_failure_and_each_reason_is_told_once() -> None:
    teller = Teller(OSError("a"), OSError("a"), Undefined("b"), b"one")
    async with following(teller) as found:
        await eventually(lambda: teller.asked == 1)
        for wait in (2, 4, 8):
            await found.clock.advance(wait)
        await eventually(lambda: found.made.current == "one")
        assert [fields["error"] for _, _, fields in found.logger.records] == ["a", "b"]


async def test_back_ends_are_asked_in_intervals_and_what_changed_takes_its_place() -> None:
    teller = Teller(b"one", b"one", b"two")
    async with following(teller, interval=timedelta(seconds=30)) as found:
        first = await found.made.first()
        await found.clock.advance(29)
        assert teller.asked == 1
        await found.clock.advance(1)
        assert teller.asked == 2
        assert found.made.current is first  # nothing was made of what has not changed
        await found.clock.advance(30)
        await eventually(lambda: found.made.current == "two")


@pytest.mark.parametrize("answer", [b"bad", OSError("away"), ValueError("whatever")])
async def test_what_is_known_stays_until_something_good_is_told(answer: bytes | Exception) -> None:
    teller = Teller(b"one", answer, b"two")
    async with following(teller) as found:
        await found.made.first()
        await found.clock.advance(60)
        await eventually(lambda: bool(found.logger.records))
        assert await found.made.first() == "one"
        assert "those that are known stay" in found.logger.records[0][1]
        await found.clock.advance(10)
        await eventually(lambda: found.made.current == "two")


async def test_doubt_brings_the_next_question_nearer_but_not_too_near() -> None:
    teller = Teller(b"one", b"two", b"three")
    async with following(teller) as found:
        await found.made.first()
        await found.clock.settle()
        found.made.doubt()
        await found.clock.settle()
        assert teller.asked == 1
        await found.clock.advance(1)
        await eventually(lambda: found.made.current == "two")
        await found.clock.advance(2)
        assert teller.asked == 2


async def test_back_end_that_does_not_answer_in_time_is_given_up() -> None:
    async with following(Silent(), timeout=timedelta(seconds=3)) as found:
        waiting = asyncio.create_task(found.made.first())
        await found.clock.advance(2.5)
        assert not waiting.done()
        await found.clock.advance(1)
        with pytest.raises(Error):
            await waiting
        assert found.logger.records[0][2] == {"error": "no answer within 3 s"}


async def test_next_configuration_begins_with_what_is_known_of_the_same_back_ends() -> None:
    async with following(Teller(b"one")) as before:
        await before.made.first()
        async with following(Silent()) as after, following(Silent(), key="other") as other:
            assert await after.made.first() == "one"
            assert other.made.current is None


async def test_what_nobody_uses_any_more_is_forgotten() -> None:
    async with following(Teller(b"one")) as before:
        await before.made.first()
    del before
    gc.collect()
    async with following(Teller(OSError("away"))) as after:
        with pytest.raises(Error):
            await after.made.first()


async def test_request_that_waits_is_answered_when_all_is_closed() -> None:
    async with following(Silent()) as found:
        waiting = asyncio.create_task(found.made.first())
        await found.clock.settle()
        await found.made.aclose()
        with pytest.raises(Error):
            await waiting


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"interval": timedelta(seconds=0.5)}, r"reflection\.interval must be at least 1 s"),
        ({"timeout": timedelta(seconds=-1)}, r"reflection\.timeout must be at least 0\.001 s"),
    ],
)
def test_times_out_of_range_are_refused(options: Any, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Pace(Reflection(**options))
