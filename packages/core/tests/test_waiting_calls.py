"""Calls that wait for the event loop are in flight to limiters of concurrency."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic_ns
from typing import Any

import pytest

from aegis import Outcome
from aegis.concurrency import FixedLimit
from kratos.errors import Error
from kratos.middleware import chain, ratelimit
from kratos.middleware._turns import Turns
from kratos.testing.echo import ECHO
from kratos.testing.guard import Ledger
from kratos.transport import Call, Handler, Side

LONG = 200_000  # nanoseconds, well above what is worth a turn


def server(**options: Any) -> Call:
    return Call(ECHO, side=Side.SERVER, transport="test", **options)


async def compute(call: Call, request: Any) -> Any:
    """Keep the loop, and await nothing."""
    end = monotonic_ns() + LONG
    while monotonic_ns() < end:
        pass
    return request


async def at_once(linked: Handler, count: int) -> list[str]:
    """Make calls that come together, and tell what each got."""

    async def one() -> str:
        try:
            await linked(server(), "x")
        except Error as error:
            return error.reason
        return "ok"

    return sorted(await asyncio.gather(*(asyncio.create_task(one()) for _ in range(count))))


async def test_handlers_that_compute_are_limited() -> None:
    linked = chain([ratelimit(FixedLimit(2))], ECHO, compute)
    await linked(server(), "the first tells how long they take")
    assert await at_once(linked, 5) == ["RATELIMIT"] * 3 + ["ok"] * 2


async def test_without_counting_those_that_wait_they_never_are() -> None:
    linked = chain([ratelimit(FixedLimit(2), count_waiting=False)], ECHO, compute)
    await linked(server(), "x")
    assert await at_once(linked, 5) == ["ok"] * 5


async def test_short_calls_begin_at_once() -> None:
    async def answer(call: Call, request: Any) -> Any:
        return request

    running: Any = chain([ratelimit(Ledger())], ECHO, answer)(server(), "x")
    with pytest.raises(StopIteration):
        running.send(None)


async def test_clients_do_not_wait_for_turns_of_their_own_loop() -> None:
    linked = chain([ratelimit(Ledger())], ECHO, compute)
    for _ in range(2):
        running: Any = linked(Call(ECHO, side=Side.CLIENT, transport="test"), "x")
        with pytest.raises(StopIteration):
            running.send(None)


class _Coarse(asyncio.SelectorEventLoop):
    """A loop whose time goes on by whole milliseconds, as that of uvloop, and only now and then."""

    milliseconds = 0

    def time(self) -> float:
        return self.milliseconds / 1000


def test_calls_begin_though_the_time_of_the_loop_is_coarse() -> None:
    async def answer(call: Call, request: Any) -> Any:
        loop.milliseconds += 1
        return await compute(call, request)

    async def turns_taken() -> int:
        linked = chain([ratelimit(FixedLimit(10))], ECHO, answer)
        await linked(server(), "the first tells how long they take")
        calling = asyncio.gather(*(linked(server(), "x") for _ in range(3)))
        taken = 0
        while not calling.done() and taken < 100_000:
            await asyncio.sleep(0)
            taken += 1
        calling.cancel()
        return taken

    loop = _Coarse()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert runner.run(turns_taken()) < 100_000


async def test_call_whose_time_is_over_when_its_turn_comes_does_not_run() -> None:
    ran: list[str] = []

    async def note(call: Call, request: Any) -> Any:
        ran.append(request)
        return await compute(call, request)

    ledger = Ledger()
    linked = chain([ratelimit(ledger)], ECHO, note)
    await linked(server(), "first")
    late = server(deadline=asyncio.get_running_loop().time())
    with pytest.raises(Error, match="DEADLINE_EXCEEDED"):
        await linked(late, "late")
    assert ran == ["first"]
    assert ledger.outcomes == [Outcome.SUCCESS, Outcome.OVERLOAD]


async def test_call_that_is_cancelled_in_the_line_frees_its_slot() -> None:
    ledger = Ledger()
    linked = chain([ratelimit(ledger)], ECHO, compute)
    await linked(server(), "x")

    async def one() -> Any:
        return await linked(server(), "x")

    waiting = asyncio.create_task(one())
    await asyncio.sleep(0)
    assert ledger.inside == 1
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    assert ledger.outcomes == [Outcome.SUCCESS, Outcome.IGNORED]
    assert await at_once(linked, 2) == ["ok"] * 2


async def test_calls_begin_in_order_with_turns_between_them() -> None:
    turns, begun = Turns(), list[int]()
    other = 0

    async def count() -> None:
        nonlocal other
        while True:
            await asyncio.sleep(0)
            other += 1

    async def one(number: int) -> None:
        await turns.wait()
        begun.append(other)
        await compute(server(), number)

    counting = asyncio.create_task(count())
    await asyncio.gather(*(one(number) for number in range(4)))
    counting.cancel()
    assert len(set(begun)) == 4
    assert begun == sorted(begun)


async def test_flood_of_calls_does_not_keep_those_admitted_from_running() -> None:
    turns = Turns()

    async def flood() -> None:
        while True:
            turns.asked += 1
            await asyncio.sleep(0)

    async def one() -> None:
        await turns.wait()
        await compute(server(), "x")

    flooding = asyncio.create_task(flood())
    async with asyncio.timeout(10):
        await asyncio.gather(*(one() for _ in range(10)))
    flooding.cancel()
