"""The middleware that lets a few calls run at a time, and some more wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from aegis.concurrency import Bulkhead, Gradient2
from kratos.errors import ConfigError, Error
from kratos.middleware import Guarding, bulkhead, chain
from kratos.testing.echo import ECHO, WATCH, EchoService, text
from kratos.transport import Call, CallOptions, Handler, Method, Side, local


class Gate:
    """A handler that waits until it is let go."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.open = asyncio.Event()

    async def __call__(self, call: Call, request: Any) -> Any:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.open.wait()
        finally:
            self.inside -= 1
        return request


def client(method: Method[Any, Any] = ECHO, **options: Any) -> Call:
    return Call(method, side=Side.CLIENT, transport="test", **options)


def calls(linked: Handler, count: int) -> list[asyncio.Task[Any]]:
    async def one() -> Any:
        return await linked(client(), "x")

    return [asyncio.create_task(one()) for _ in range(count)]


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_calls_run_wait_or_are_refused() -> None:
    gate = Gate()
    guarded = bulkhead(2, queue=1)
    running = calls(chain([guarded], ECHO, gate), 4)
    await settled()
    assert gate.inside == 2
    (stats,) = guarded.stats().values()
    assert (stats.inflight, stats.waiting, stats.refused) == (2, 1, 1)
    gate.open.set()
    *answered, refused = await asyncio.gather(*running, return_exceptions=True)
    assert answered == ["x"] * 3
    assert gate.most == 2
    assert isinstance(refused, Error)
    assert (refused.code, refused.reason) == (429, "BULKHEAD")
    assert "slots are taken" in str(refused.cause)


async def test_nobody_waits_longer_than_may_be() -> None:
    gate = Gate()
    guarded = bulkhead(1, queue=1, max_wait=0.01)
    running, waiting = calls(chain([guarded], ECHO, gate), 2)
    with pytest.raises(Error, match="BULKHEAD"):
        await waiting
    gate.open.set()
    assert await running == "x"


async def test_deadline_ends_the_wait_and_is_told_as_such() -> None:
    service = EchoService()
    guarded = bulkhead(1, queue=1, max_wait=None)
    caller = local(service, client_middleware=[guarded], timeout=None)
    held = asyncio.create_task(caller.unary(ECHO, text("hang")))
    await service.entered.wait()
    with pytest.raises(Error) as failure:
        await caller.unary(ECHO, text("x"), CallOptions(timeout=0.03))
    assert failure.value.code == 504
    (stats,) = guarded.stats().values()
    assert (stats.inflight, stats.waiting) == (1, 0)
    held.cancel()
    with pytest.raises(asyncio.CancelledError):
        await held
    assert service.seen == ["hang"]


async def test_call_whose_deadline_has_passed_does_not_begin_to_wait() -> None:
    guarded = bulkhead(1)
    late = client(deadline=asyncio.get_running_loop().time() - 1)
    with pytest.raises(Error, match="DEADLINE_EXCEEDED"):
        await chain([guarded], ECHO, Gate())(late, "x")
    (stats,) = guarded.stats().values()
    assert stats.admitted == 0


@pytest.mark.parametrize("end", ["cancelled", "failed"])
async def test_slot_is_free_however_a_call_ends(end: str) -> None:
    async def failing(call: Call, request: Any) -> Any:
        if end == "failed":
            raise LookupError
        await asyncio.get_running_loop().create_future()

    guarded = bulkhead(1)
    (running,) = calls(chain([guarded], ECHO, failing), 1)
    await settled()
    running.cancel()
    with pytest.raises((asyncio.CancelledError, LookupError)):
        await running
    (stats,) = guarded.stats().values()
    assert stats.inflight == 0


async def test_stream_may_hold_its_slot_only_while_it_opens() -> None:
    inside: list[int] = []

    def note(guarded: Guarding) -> Handler:
        async def handler(call: Call, request: Any) -> Any:
            (stats,) = guarded.stats().values()
            inside.append(stats.inflight)

        return chain([guarded], WATCH, handler)

    await note(bulkhead(1))(client(WATCH), "x")
    await note(bulkhead(1, streams="opening"))(client(WATCH), "x")
    assert inside == [1, 0]
    assert bulkhead(1, streams="exempt").bind(WATCH) is None


async def test_bulkheads_may_be_made_by_a_factory() -> None:
    gate = Gate()
    gate.open.set()
    guarded = bulkhead(lambda: Bulkhead(3, order="adaptive"), per="operation")
    for method in (ECHO, WATCH):
        await chain([guarded], method, gate)(client(method), "x")
    assert {name: stats.size for name, stats in guarded.stats().items()} == {
        ECHO.operation: 3,
        WATCH.operation: 3,
    }


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: bulkhead(0), "size must be"),
        (lambda: bulkhead(1, queue=-1), "queue must be"),
        (lambda: bulkhead(1, max_wait=-1.0), "max_wait must be"),
        (lambda: bulkhead(1.5), "1.5 is no number of calls"),  # type: ignore[arg-type]
        (lambda: bulkhead(Bulkhead(1)), "write one that you have as lambda"),  # type: ignore[arg-type]
        (lambda: bulkhead(lambda: Bulkhead(1), queue=3), "are the factory's to give"),
        (lambda: bulkhead(lambda: Gradient2()).bind(ECHO), "cannot be used here"),  # type: ignore[arg-type, return-value]
    ],
)
def test_number_that_makes_no_sense_is_refused(make: Callable[[], object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        make()
