"""The middleware that refuses calls for which there is no room, or no right."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest

from aegis import ManualClock, Outcome
from aegis.concurrency import Gradient2, Shedder
from aegis.ratelimit import Gcra, KeyedGcra
from kratos.errors import ConfigError, Error
from kratos.middleware import Outcome as Outcomes
from kratos.middleware import (
    by_caller,
    by_header,
    chain,
    circuitbreaker,
    ratelimit,
    shedding,
)
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.testing.guard import Ledger
from kratos.transport import Call, CallOptions, Cause, Handler, Method, Side, local

MESSAGE = "service unavailable due to rate limit exceeded"


async def core(call: Call, request: Any) -> Any:
    if isinstance(request, BaseException):
        raise request
    return request


def linked(middleware: Any, method: Method[Any, Any] = ECHO) -> Handler:
    return chain([middleware], method, core)


def server(method: Method[Any, Any] = ECHO, **options: Any) -> Call:
    return Call(method, side=Side.SERVER, transport="test", **options)


async def test_refusal_says_what_go_says_and_the_handler_is_not_called() -> None:
    ledger, service = Ledger(), EchoService()
    ledger.open = False
    caller = local(service, middleware=[ratelimit(ledger)])
    with pytest.raises(Error) as refusal:
        await caller.unary(ECHO, text("x"))
    error = refusal.value
    assert (error.code, error.reason, error.message) == (429, "RATELIMIT", MESSAGE)
    assert error.metadata == {}
    assert service.seen == []
    assert ledger.outcomes == []


async def test_refusal_names_the_seconds_to_wait_in_metadata_and_header() -> None:
    ledger = Ledger(retry_after=1.2341)
    ledger.open = False
    call = server()
    with pytest.raises(Error) as refusal:
        await linked(ratelimit(ledger))(call, "x")
    assert refusal.value.metadata == {"retry_after": "1.235"}
    assert call.reply_headers.get("retry-after") == "2"
    assert "closed by the test" in str(refusal.value.cause)


@pytest.mark.parametrize(
    ("seconds", "told", "header"),
    [
        (12345.6781, "12345.679", "12346"),
        (2_000_000.0, "2000000", "2000000"),
        (0.0, "0", "1"),
        (-3.0, "0", "1"),
        (math.inf, None, ""),
        (math.nan, None, ""),
    ],
)
async def test_wait_is_told_as_a_decimal_number_that_is_not_too_short_or_not_at_all(
    seconds: float, told: str | None, header: str
) -> None:
    ledger = Ledger(retry_after=seconds)
    ledger.open = False
    call = server()
    with pytest.raises(Error) as refusal:
        await linked(ratelimit(ledger))(call, "x")
    assert refusal.value.metadata.get("retry_after") == told
    assert call.reply_headers.get("retry-after") == header


@pytest.mark.parametrize(
    ("key", "header"), [(by_header("caller"), "caller"), (by_caller, "x-md-service-name")]
)
def test_key_is_short_however_long_a_header_is(key: Callable[[Call], str], header: str) -> None:
    def of(value: str) -> str:
        call = server()
        call.headers.set(header, value)
        return key(call)

    assert of("a" * 128) == "a" * 128
    assert len(of("a" * 60_000)) == 32
    assert of("a" * 60_000) == of("a" * 60_000) != of("a" * 59_999 + "b")


@pytest.mark.parametrize("made", [None, 3, "bbr"])
def test_factory_that_makes_no_limiter_is_refused_before_a_call_comes(made: Any) -> None:
    with pytest.raises(ConfigError, match="which cannot be used here"):
        linked(ratelimit(lambda: made))


@pytest.mark.parametrize(
    ("end", "side", "verdict"),
    [
        (Error(404, "GONE"), Side.SERVER, Outcome.SUCCESS),
        (Error(500, "BROKEN"), Side.SERVER, Outcome.FAILURE),
        (ValueError(), Side.SERVER, Outcome.FAILURE),
        (Error(429, "RATELIMIT"), Side.SERVER, Outcome.FAILURE),
        (Error(429, "RATELIMIT"), Side.CLIENT, Outcome.OVERLOAD),
        (Error(503, "CIRCUITBREAKER"), Side.SERVER, Outcome.FAILURE),
        (Error(503, "AWAY"), Side.CLIENT, Outcome.OVERLOAD),
        (Error(504, "DEADLINE_EXCEEDED"), Side.SERVER, Outcome.OVERLOAD),
        (Error(504, "BUDGET_TOO_SMALL"), Side.SERVER, Outcome.IGNORED),
        (Error(504, "BUDGET_TOO_SMALL"), Side.CLIENT, Outcome.IGNORED),
        (asyncio.CancelledError(), Side.SERVER, Outcome.IGNORED),
        (KeyboardInterrupt(), Side.SERVER, Outcome.IGNORED),
    ],
    ids=repr,
)
async def test_limiter_hears_once_how_a_call_ended(
    end: BaseException, side: Side, verdict: Outcome
) -> None:
    ledger = Ledger()
    with pytest.raises(type(end)):
        await linked(ratelimit(ledger))(Call(ECHO, side=side, transport="t"), end)
    assert ledger.outcomes == [verdict]
    assert ledger.inside == 0


async def test_good_end_is_a_success() -> None:
    ledger = Ledger()
    assert await linked(ratelimit(ledger))(server(), "x") == "x"
    assert ledger.outcomes == [Outcome.SUCCESS]


@pytest.mark.parametrize(
    ("cause", "verdict"),
    [(Cause.DEADLINE, Outcome.OVERLOAD), (Cause.PEER_GONE, Outcome.IGNORED)],
    ids=str,
)
async def test_reply_of_a_call_that_was_cut_off_is_no_success(
    cause: Cause, verdict: Outcome
) -> None:
    async def stubborn(call: Call, request: Any) -> Any:
        call.cause = cause
        return request

    ledger = Ledger()
    await chain([ratelimit(ledger)], ECHO, stubborn)(server(), "x")
    assert ledger.outcomes == [verdict]


async def test_call_that_is_closed_without_an_end_frees_its_slot() -> None:
    ledger = Ledger()

    async def hang(call: Call, request: Any) -> Any:
        await asyncio.get_running_loop().create_future()

    running: Any = chain([ratelimit(ledger)], ECHO, hang)(server(), "x")
    running.send(None)
    assert ledger.inside == 1
    running.close()
    assert ledger.outcomes == [Outcome.IGNORED]


async def test_classification_that_fails_frees_the_slot() -> None:
    def broken(call: Call, end: Any) -> Outcome:
        raise LookupError("of the classification")

    ledger = Ledger()
    with pytest.raises(LookupError, match="of the classification"):
        await linked(ratelimit(ledger, classify=broken))(server(), Error(404))
    assert ledger.outcomes == [Outcome.IGNORED]


async def test_classification_is_the_users() -> None:
    ledger = Ledger()
    limited = linked(ratelimit(ledger, classify=lambda call, end: Outcome.OVERLOAD))
    with pytest.raises(Error):
        await limited(server(), Error(404))
    assert ledger.outcomes == [Outcome.OVERLOAD]


def upside_down(_call: Call, end: Outcomes) -> Outcome:
    return Outcome.OVERLOAD if end.ok else Outcome.SUCCESS


@pytest.mark.parametrize("count_waiting", [True, False])
async def test_classification_of_the_users_hears_of_answers_too(count_waiting: bool) -> None:
    ledger = Ledger()
    limiter = ratelimit(ledger, classify=upside_down, count_waiting=count_waiting)
    for guarded in (
        limiter,
        circuitbreaker(lambda: ledger, classify=upside_down),
        shedding(Shedder(ledger), classify=upside_down),
    ):
        assert await linked(guarded)(server(), "x") == "x"
    assert ledger.outcomes == [Outcome.OVERLOAD] * 3


@pytest.mark.parametrize("method", [WATCH, COLLECT, CHAT], ids=lambda m: m.arity.value)
async def test_stream_holds_its_slot_to_its_end_and_teaches_nothing(
    method: Method[Any, Any],
) -> None:
    ledger = Ledger()
    seen: list[int] = []

    async def note(call: Call, request: Any) -> Any:
        seen.append(ledger.inside)
        if request:
            raise request

    limited = chain([ratelimit(ledger)], method, note)
    await limited(server(method), None)
    with pytest.raises(Error):
        await limited(server(method), Error(504))
    assert seen == [1, 1]
    assert ledger.outcomes == [Outcome.IGNORED] * 2


async def test_stream_may_count_only_when_it_opens() -> None:
    ledger = Ledger()

    async def note(call: Call, request: Any) -> Any:
        return ledger.inside

    limited = chain([ratelimit(ledger, streams="opening")], WATCH, note)
    assert await limited(server(WATCH), "x") == 0
    ledger.open = False
    with pytest.raises(Error, match="RATELIMIT"):
        await limited(server(WATCH), "x")


def test_streams_may_be_exempt() -> None:
    limited = ratelimit(Ledger(), streams="exempt")
    assert limited.bind(WATCH) is None
    assert limited.bind(ECHO) is not None


async def test_one_limiter_serves_all_operations_of_an_instance() -> None:
    made: list[Ledger] = []

    def make() -> Ledger:
        made.append(Ledger())
        return made[-1]

    limited = ratelimit(make)
    for method in (ECHO, WATCH, ECHO):
        await linked(limited, method)(server(method), "x")
    assert len(made) == 1


async def test_operation_has_the_same_limiter_on_every_server() -> None:
    made: list[Ledger] = []

    def make() -> Ledger:
        made.append(Ledger())
        return made[-1]

    limited = ratelimit(make, per="operation")
    for method in (ECHO, WATCH, ECHO):
        await linked(limited, method)(server(method), "x")
    assert [len(ledger.outcomes) for ledger in made] == [2, 1]
    assert set(limited.stats()) == {ECHO.operation, WATCH.operation}


async def test_limiters_of_keys_are_made_and_forgotten_as_needed() -> None:
    made: list[Ledger] = []

    def make() -> Ledger:
        made.append(Ledger())
        return made[-1]

    limited = linked(ratelimit(make, per=by_header("caller", missing=None), keys=2))

    async def call(caller: str) -> None:
        request = server()
        if caller:
            request.headers.set("caller", caller)
        await limited(request, "x")

    for caller in ("a", "b", "a", ""):
        await call(caller)
    assert [len(ledger.outcomes) for ledger in made] == [2, 1]
    for caller in ("c", "d", "a"):
        await call(caller)
    assert len(made) == 5


async def test_rate_of_all_calls_is_limited_and_the_wait_is_told() -> None:
    clock = ManualClock()
    limited = linked(ratelimit(Gcra(rate=2, burst=1, clock=clock)))
    assert await limited(server(), "x") == "x"
    call = server()
    with pytest.raises(Error) as refusal:
        await limited(call, "x")
    assert (refusal.value.code, refusal.value.reason) == (429, "RATELIMIT")
    assert refusal.value.metadata == {"retry_after": "0.5"}
    assert call.reply_headers.get("retry-after") == "1"
    clock.advance(0.5)
    assert await limited(server(), "x") == "x"


async def test_rate_of_each_key_is_limited_by_itself() -> None:
    limiter = KeyedGcra(rate=2, burst=1, clock=ManualClock())
    caller = local(EchoService(), middleware=[ratelimit(limiter, per=by_header("caller"))])

    async def call(name: str) -> None:
        await caller.unary(ECHO, text("x"), CallOptions(headers={"caller": name}))

    await call("a")
    await call("b")
    with pytest.raises(Error) as refusal:
        await call("a")
    assert refusal.value.metadata == {"retry_after": "0.5"}


async def test_keyed_rate_takes_operations_for_keys() -> None:
    limited = ratelimit(KeyedGcra(rate=1, burst=1, clock=ManualClock()), per="operation")
    await linked(limited, ECHO)(server(ECHO), "x")
    await linked(limited, WATCH)(server(WATCH), "x")
    with pytest.raises(Error, match="RATELIMIT"):
        await linked(limited, ECHO)(server(ECHO), "x")


async def test_limiter_that_is_asked_elsewhere_is_awaited() -> None:
    local_one = KeyedGcra(rate=1, burst=1, clock=ManualClock())

    class Shared:
        async def take(self, key: str, /) -> Any:
            await asyncio.sleep(0)
            return local_one.take(key)

    limited = linked(ratelimit(Shared(), per=by_header("caller", missing=None)))
    request = server()
    request.headers.set("caller", "a")
    await limited(request, "x")
    with pytest.raises(Error, match="RATELIMIT"):
        await limited(request, "x")
    await limited(server(), "x")


@pytest.mark.parametrize("name", ["bbr", "gradient2", "vegas", "aimd"])
async def test_limiter_is_chosen_by_name(name: Any) -> None:
    assert await linked(ratelimit(name))(server(), "x") == "x"


async def test_limiter_of_concurrency_refuses_when_its_limit_is_reached() -> None:
    service = EchoService()
    caller = local(service, middleware=[ratelimit(Gradient2(limit=1))], timeout=None)
    held = asyncio.create_task(caller.unary(ECHO, text("hang")))
    await service.entered.wait()
    with pytest.raises(Error, match="RATELIMIT"):
        await caller.unary(ECHO, text("x"))
    held.cancel()
    with pytest.raises(asyncio.CancelledError):
        await held
    assert (await caller.unary(ECHO, text("x"))).value == "x"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ratelimit("codel"), "there is no limiter 'codel': choose one of bbr"),  # type: ignore[arg-type]
        (lambda: ratelimit(7), "7 is no limiter"),  # type: ignore[arg-type]
        (lambda: ratelimit(Ledger(), per="operation"), "is one limiter.*Ledger itself"),
        (lambda: ratelimit(per="caller"), "per is 'instance'"),  # type: ignore[arg-type]
        (lambda: ratelimit(streams="all"), "streams is 'hold'"),  # type: ignore[arg-type]
        (lambda: ratelimit(keys=0), "keys must be a number from 1"),
    ],
)
def test_option_that_makes_no_sense_is_refused(make: Callable[[], object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        make()
