"""The middleware that stops calling what fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from aegis import ManualClock, Outcome
from aegis.circuitbreaker import SreBreaker
from kratos.errors import ConfigError, Error
from kratos.middleware import Middleware, by_caller, chain, circuitbreaker
from kratos.testing.echo import ECHO, WATCH, EchoService, text
from kratos.testing.guard import Ledger
from kratos.transport import BUDGET_TOO_SMALL, Call, Cause, Handler, Method, Side, local

MESSAGE = "request failed due to circuit breaker triggered"


async def core(call: Call, request: Any) -> Any:
    if isinstance(request, BaseException):
        raise request
    return request


def linked(middleware: Any, method: Method[Any, Any] = ECHO) -> Handler:
    return chain([middleware], method, core)


def client(method: Method[Any, Any] = ECHO, **options: Any) -> Call:
    return Call(method, side=Side.CLIENT, transport="test", **options)


def eager() -> SreBreaker:
    """Refuse whatever may be refused."""
    return SreBreaker.kratos3(request=1, clock=ManualClock(), random=lambda: 0.0)


async def test_refusal_says_what_go_says_and_nothing_is_sent() -> None:
    service = EchoService()
    caller = local(service, client_middleware=[circuitbreaker(eager)])
    with pytest.raises(Error, match="UNKNOWN"):
        await caller.unary(ECHO, text("crash"))
    with pytest.raises(Error) as refusal:
        await caller.unary(ECHO, text("x"))
    error = refusal.value
    assert (error.code, error.reason, error.message) == (503, "CIRCUITBREAKER", MESSAGE)
    assert error.metadata == {}
    assert service.seen == ["crash"]


async def test_refusals_count_as_failed_calls_as_in_go() -> None:
    guarded = circuitbreaker(eager)
    call = linked(guarded)
    with pytest.raises(Error, match="BROKEN"):
        await call(client(), Error(500, "BROKEN"))
    for _ in range(3):
        with pytest.raises(Error, match="CIRCUITBREAKER"):
            await call(client(), "x")
    assert guarded.stats()[ECHO.operation].total == 4


async def test_default_has_the_numbers_of_kratos_3() -> None:
    guarded = circuitbreaker()
    call = linked(guarded)
    for _ in range(19):
        with pytest.raises(Error, match="BROKEN"):
            await call(client(), Error(500, "BROKEN"))
    stats = guarded.stats()[ECHO.operation]
    assert (stats.k, stats.request) == (2, 20)
    assert stats.drop_probability == 0
    with pytest.raises(Error, match="BROKEN"):
        await call(client(), Error(500, "BROKEN"))
    assert guarded.stats()[ECHO.operation].drop_probability > 0.9


@pytest.mark.parametrize(
    ("end", "verdict"),
    [
        (Error(500), Outcome.FAILURE),
        (Error(503), Outcome.FAILURE),
        (Error(504), Outcome.FAILURE),
        (ValueError(), Outcome.FAILURE),
        (ConnectionResetError(), Outcome.FAILURE),
        (Error(400), Outcome.SUCCESS),
        (Error(404), Outcome.SUCCESS),
        (Error(429), Outcome.SUCCESS),
        (Error(499), Outcome.SUCCESS),
        (Error(501), Outcome.SUCCESS),
        (Error(502), Outcome.SUCCESS),
        (Error(504, BUDGET_TOO_SMALL), Outcome.IGNORED),
        (asyncio.CancelledError(), Outcome.IGNORED),
        (GeneratorExit(), Outcome.IGNORED),
    ],
    ids=repr,
)
async def test_only_500_503_and_504_are_failures(end: BaseException, verdict: Outcome) -> None:
    ledger = Ledger()
    with pytest.raises(type(end)):
        await linked(circuitbreaker(lambda: ledger))(client(), end)
    assert ledger.outcomes == [verdict]
    assert ledger.inside == 0


async def test_deadline_that_passed_is_a_failure_and_a_caller_that_left_is_not() -> None:
    ledger = Ledger()
    late = client(deadline=asyncio.get_running_loop().time() - 1)
    for call in (late, client()):
        with pytest.raises(asyncio.CancelledError):
            await linked(circuitbreaker(lambda: ledger))(call, asyncio.CancelledError())
    assert ledger.outcomes == [Outcome.FAILURE, Outcome.IGNORED]


async def test_draining_of_the_own_server_is_no_failure() -> None:
    ledger = Ledger()
    call = Call(ECHO, side=Side.SERVER, transport="test")
    call.cause = Cause.DRAINING
    with pytest.raises(asyncio.CancelledError):
        await linked(circuitbreaker(lambda: ledger))(call, asyncio.CancelledError())
    assert ledger.outcomes == [Outcome.IGNORED]


async def test_stream_is_judged_by_its_end() -> None:
    ledger = Ledger()
    guarded = linked(circuitbreaker(lambda: ledger), WATCH)
    await guarded(client(WATCH), None)
    with pytest.raises(Error):
        await guarded(client(WATCH), Error(503))
    assert ledger.outcomes == [Outcome.SUCCESS, Outcome.FAILURE]


async def test_operation_has_one_breaker_and_another_operation_another() -> None:
    made: list[Ledger] = []

    def make() -> Ledger:
        made.append(Ledger())
        return made[-1]

    guarded = circuitbreaker(make)
    for method in (ECHO, WATCH, ECHO):
        await linked(guarded, method)(client(method), "x")
    assert [len(ledger.outcomes) for ledger in made] == [2, 1]


async def test_breaker_may_be_one_per_caller_on_a_server() -> None:
    made: list[Ledger] = []

    def make() -> Ledger:
        made.append(Ledger())
        return made[-1]

    guarded = linked(circuitbreaker(make, per=by_caller))
    for port in ("1", "2"):
        await guarded(Call(ECHO, side=Side.SERVER, transport="t", peer=f"10.0.0.1:{port}"), "x")
    named = Call(ECHO, side=Side.SERVER, transport="t", peer="10.0.0.1:3")
    named.headers.set("x-md-service-name", "billing")
    await guarded(named, "x")
    assert [len(ledger.outcomes) for ledger in made] == [2, 1]


async def test_breaker_sees_calls_and_the_retry_below_it_attempts() -> None:
    ledger = Ledger()
    attempts: list[Call] = []

    async def retry(call: Call, request: Any, next: Handler, /) -> Any:
        for _ in range(2):
            try:
                return await next(call.fork(), request)
            except Error:
                continue
        return await next(call.fork(), request)

    async def third_time(call: Call, request: Any) -> Any:
        attempts.append(call)
        if len(attempts) < 3:
            raise Error(503, "AWAY")
        return request

    retrying: Middleware = retry
    assert await chain([circuitbreaker(lambda: ledger), retrying], ECHO, third_time)(client(), "x")
    assert len(attempts) == 3
    assert ledger.outcomes == [Outcome.SUCCESS]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: circuitbreaker(SreBreaker()), "makes no breakers"),  # type: ignore[arg-type]
        (lambda: circuitbreaker(per="node"), "per is 'instance'"),  # type: ignore[arg-type]
    ],
)
def test_option_that_makes_no_sense_is_refused(make: Callable[[], object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        make()
