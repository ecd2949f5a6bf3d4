from __future__ import annotations

import asyncio
import logging

import pytest

from kratos.errors import RegistryUnavailable
from kratos.limit import cancel_and_wait
from kratos.registry import Undoing
from kratos.testing.clock import FakeClock


class BackEnd:
    """Something is published there; it answers when it is told to."""

    def __init__(self) -> None:
        self.is_up = True
        self.answers = asyncio.Event()
        self.answers.set()
        self.tries = 0
        self.is_published = True

    async def withdraw(self) -> None:
        self.tries += 1
        await self.answers.wait()
        if not self.is_up:
            raise RegistryUnavailable("it is down")
        self.is_published = False


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def back_end() -> BackEnd:
    return BackEnd()


@pytest.fixture
async def undoing(clock: FakeClock) -> Undoing:
    return Undoing("etcd://here", clock=clock)


async def test_first_try_is_waited_for(
    undoing: Undoing, back_end: BackEnd, clock: FakeClock
) -> None:
    await undoing.take_back("orders", back_end.withdraw)

    assert not back_end.is_published
    await clock.settle()
    assert clock.sleepers == 0


async def test_first_try_is_waited_for_even_by_the_cancelled(
    undoing: Undoing, back_end: BackEnd, clock: FakeClock
) -> None:
    back_end.answers.clear()
    taking_back = asyncio.create_task(undoing.take_back("orders", back_end.withdraw))
    await clock.settle()
    taking_back.cancel()
    await clock.settle()
    assert not taking_back.done()

    back_end.answers.set()

    await asyncio.wait({taking_back})
    assert taking_back.cancelled()
    assert not back_end.is_published


async def test_silence_is_waited_for_no_longer_than_the_limit(
    undoing: Undoing, back_end: BackEnd, clock: FakeClock
) -> None:
    back_end.answers.clear()
    taking_back = asyncio.create_task(undoing.take_back("orders", back_end.withdraw))
    await clock.advance(1.0)
    await taking_back

    back_end.answers.set()

    await clock.settle()
    assert not back_end.is_published
    assert back_end.tries == 1


async def test_further_tries_are_made_in_the_background(
    undoing: Undoing, back_end: BackEnd, clock: FakeClock
) -> None:
    back_end.is_up = False
    await undoing.take_back("orders", back_end.withdraw)
    await clock.advance(0.5)
    assert back_end.tries == 2

    back_end.is_up = True

    await clock.advance(1.0)
    assert not back_end.is_published


async def test_tries_come_to_an_end_and_the_log_tells_what_may_be_left(
    undoing: Undoing, back_end: BackEnd, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    back_end.is_up = False
    await undoing.take_back("orders", back_end.withdraw)
    for _ in range(60):
        await clock.advance(1.0)
    tries = back_end.tries

    await clock.advance(600.0)

    assert back_end.tries == tries
    assert 5 < tries < 20
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "orders may still be registered at etcd://here: TimeoutError" in record.getMessage()


async def test_what_fails_otherwise_is_tried_once_and_told(
    undoing: Undoing, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails() -> None:
        raise ValueError("it cannot be")

    await undoing.take_back("orders", fails)

    await clock.settle()
    assert "registered at etcd://here: ValueError: it cannot be" in caplog.text
    assert clock.sleepers == 0


async def test_what_is_left_is_not_tried_again(
    undoing: Undoing, back_end: BackEnd, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    back_end.is_up = False
    await undoing.take_back("orders", back_end.withdraw)

    await undoing.leave("orders")
    await undoing.leave("nobody")

    await clock.advance(600.0)
    assert back_end.tries == 1
    assert caplog.records == []


async def test_later_one_of_the_same_name_takes_the_place_of_the_earlier(
    undoing: Undoing, back_end: BackEnd, clock: FakeClock
) -> None:
    earlier = BackEnd()
    earlier.is_up = False
    await undoing.take_back("orders", earlier.withdraw)

    await undoing.take_back("orders", back_end.withdraw)

    earlier.is_up = True
    await clock.advance(600.0)
    assert not back_end.is_published
    assert earlier.tries == 1


async def test_closing_makes_a_last_try(
    undoing: Undoing, back_end: BackEnd, clock: FakeClock
) -> None:
    back_end.is_up = False
    await undoing.take_back("orders", back_end.withdraw)
    back_end.is_up = True

    await undoing.aclose()
    await undoing.aclose()

    assert not back_end.is_published
    await clock.settle()
    assert clock.sleepers == 0


async def test_closing_tells_what_its_last_try_could_not_take_back(
    undoing: Undoing, back_end: BackEnd, caplog: pytest.LogCaptureFixture
) -> None:
    back_end.is_up = False
    await undoing.take_back("orders", back_end.withdraw)

    await undoing.aclose()

    assert back_end.tries == 2
    assert "orders may still be registered at etcd://here: RegistryUnavailable" in caplog.text


async def test_closing_does_not_wait_for_silence(
    undoing: Undoing, back_end: BackEnd, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    back_end.answers.clear()
    taking_back = asyncio.create_task(undoing.take_back("orders", back_end.withdraw))
    await clock.advance(1.0)
    await taking_back

    closing = asyncio.create_task(undoing.aclose())
    await clock.advance(1.0)

    await closing
    assert "orders may still be registered at etcd://here: there is no time" in caplog.text
    await clock.settle()
    assert clock.sleepers == 0


async def test_end_of_the_program_tells_what_may_be_left(
    undoing: Undoing, back_end: BackEnd, caplog: pytest.LogCaptureFixture
) -> None:
    back_end.is_up = False
    before = asyncio.all_tasks()
    await undoing.take_back("orders", back_end.withdraw)

    await cancel_and_wait(*(asyncio.all_tasks() - before))  # as asyncio.run does

    assert "orders may still be registered at etcd://here: there is no time" in caplog.text


async def test_closing_that_was_cancelled_may_be_called_again(
    undoing: Undoing, back_end: BackEnd, clock: FakeClock
) -> None:
    back_end.answers.clear()
    taking_back = asyncio.create_task(undoing.take_back("orders", back_end.withdraw))
    await clock.advance(1.0)
    await taking_back
    closing = asyncio.create_task(undoing.aclose())
    await clock.settle()
    await cancel_and_wait(closing)

    back_end.answers.set()
    await undoing.aclose()

    assert not back_end.is_published
