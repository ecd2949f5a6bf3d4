"""The middleware that refuses the least important calls first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from aegis import ManualClock, Outcome
from aegis.concurrency import FixedLimit, Gradient2, Priority, Shedder
from kratos.errors import ConfigError, Error
from kratos.middleware import chain, priority_by_header, shedding
from kratos.testing.echo import ECHO, WATCH, EchoService, text
from kratos.testing.guard import Ledger
from kratos.transport import Call, CallOptions, Handler, Method, Side, local


async def core(call: Call, request: Any) -> Any:
    if isinstance(request, BaseException):
        raise request
    return request


def server(priority: str = "", method: Method[Any, Any] = ECHO, **options: Any) -> Call:
    call = Call(method, side=Side.SERVER, transport="test", **options)
    if priority:
        call.headers.set("x-md-global-priority", priority)
    return call


class Loaded:
    """A shedder under a load that the test sets, with a clock that it moves."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.load = 0.0
        self.clock = ManualClock()
        self.shedder = Shedder(
            ledger, load=lambda: self.load, clock=self.clock, random=lambda: 0.5, rise=1.0
        )
        self.linked: Handler = chain([shedding(self.shedder)], ECHO, core)

    async def until_shedding(self) -> None:
        """Show the shedder calls of all priorities, then put it under full load."""
        for _ in range(10):
            for priority in ("critical", "high", "normal", "low"):
                await self.linked(server(priority), "x")
        self.load = 0.9
        self.clock.advance(0.2)

    async def admits(self, priority: str) -> bool:
        try:
            await self.linked(server(priority), "x")
        except Error as error:
            if (error.code, error.reason) != (429, "SHEDDING"):
                raise
            return False
        return True


async def test_least_important_calls_are_refused_first() -> None:
    loaded = Loaded()
    await loaded.until_shedding()
    admitted = [await loaded.admits(name) for name in ("critical", "high", "normal", "low")]
    assert admitted == [True, True, False, False]


async def test_calls_without_a_priority_are_normal() -> None:
    loaded = Loaded()
    await loaded.until_shedding()
    assert not await loaded.admits("")


async def test_everybody_is_admitted_without_load() -> None:
    loaded = Loaded()
    assert all([await loaded.admits(name) for name in ("critical", "low", "127", "nonsense")])


async def test_call_whose_deadline_has_passed_is_refused_however_important() -> None:
    ledger = Ledger()
    late = server("critical", deadline=asyncio.get_running_loop().time() - 1)
    with pytest.raises(Error) as refusal:
        await Loaded(ledger).linked(late, "x")
    assert refusal.value.code == 504
    assert ledger.outcomes == []


async def test_limiter_of_the_shedder_hears_how_calls_end() -> None:
    ledger = Ledger()
    loaded = Loaded(ledger)
    await loaded.linked(server(), "x")
    with pytest.raises(Error):
        await loaded.linked(server("low"), Error(504))
    assert ledger.outcomes == [Outcome.SUCCESS, Outcome.OVERLOAD]
    assert loaded.shedder.stats().inflight == 0


async def test_default_shedder_serves_a_service() -> None:
    service = EchoService()
    caller = local(service, middleware=[shedding()])
    options = CallOptions(headers={"x-md-global-priority": "high"})
    assert (await caller.unary(ECHO, text("x"), options)).value == "x"


async def test_limiter_refuses_even_the_most_important_call() -> None:
    service = EchoService()
    caller = local(service, middleware=[shedding(Shedder(FixedLimit(1)))], timeout=None)
    held = asyncio.create_task(caller.unary(ECHO, text("hang")))
    await service.entered.wait()
    options = CallOptions(headers={"x-md-global-priority": "critical"})
    with pytest.raises(Error, match="SHEDDING"):
        await caller.unary(ECHO, text("x"), options)
    held.cancel()
    with pytest.raises(asyncio.CancelledError):
        await held


async def test_shedders_may_be_made_per_operation() -> None:
    guarded = shedding(lambda: Shedder(FixedLimit(1)), per="operation")
    for method in (ECHO, WATCH):
        await chain([guarded], method, core)(server(method=method), "x")
    assert set(guarded.stats()) == {ECHO.operation, WATCH.operation}


def test_one_shedder_cannot_be_one_per_operation() -> None:
    with pytest.raises(ConfigError, match="is one shedder"):
        shedding(Shedder(FixedLimit(1)), per="operation")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: shedding("gradient2"), "is no Shedder, and makes none"),  # type: ignore[arg-type]
        (lambda: shedding(lambda: Gradient2()).bind(ECHO), "cannot be used here"),  # type: ignore[arg-type, return-value]
    ],
)
def test_what_is_no_shedder_is_refused(make: Callable[[], object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        make()


@pytest.mark.parametrize("said", ["127", "4", "-1"])
async def test_priority_that_the_shedder_does_not_have_fails_no_call(said: str) -> None:
    guarded = shedding(
        Shedder(FixedLimit(1), levels=4),
        priority=lambda call: int(call.headers.get("x-md-global-priority") or 0),
    )
    assert await chain([guarded], ECHO, core)(server(said), "x") == "x"


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("", 64),
        ("critical", 0),
        ("high", 32),
        ("low", 96),
        ("17", 17),
        ("999", 127),
        ("1000", 64),
        ("-1", 64),
        ("\u0661", 64),
        ("urgent", 64),
    ],
)
def test_header_says_how_important_a_call_is(said: str, means: int) -> None:
    assert priority_by_header()(server(said)) == means


def test_strangers_may_not_claim_every_priority() -> None:
    priority = priority_by_header(best=Priority.NORMAL)
    assert [priority(server(said)) for said in ("critical", "0", "low")] == [64, 64, 96]
