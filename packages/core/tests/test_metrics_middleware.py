"""Calls, counted and timed as Go Kratos does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from kratos.errors import ConfigError, Error
from kratos.metrics import Distribution, Family, MemoryMeter, NopMeter
from kratos.middleware import AnyMiddleware, metrics, retry
from kratos.testing import FakeClock, InstantClock
from kratos.testing._guard import call_words, eventually, until
from kratos.testing.echo import ALL, CHAT, COLLECT, ECHO, NEVER, SHORT, WATCH, EchoService, text
from kratos.transport import Arity, Call, CallOptions, Cause, ChainCaller, Method, Side, local

every_arity = pytest.mark.parametrize("method", ALL, ids=[m.arity.value for m in ALL])
both_sides = pytest.mark.parametrize("side", list(Side), ids=[side.value for side in Side])


def calling(measure: AnyMiddleware, side: Side, **options: Any) -> ChainCaller:
    """Return a client of the echo service, measured on one side."""
    where = "middleware" if side is Side.SERVER else "client_middleware"
    options[where] = [measure]
    return local(EchoService(), **options)


def families(meter: MemoryMeter) -> Mapping[str, Family]:
    return {family.name: family for family in meter.snapshot()}


def ends(meter: MemoryMeter, side: Side) -> dict[tuple[str, ...], float]:
    """Return the ends that were counted at all, by their labels."""
    series = families(meter)[f"{side.value}_requests_code_total"].series
    return {key: value for key, value in series.items() if isinstance(value, float) and value}


@every_arity
@both_sides
async def test_call_that_ends_well_is_counted_and_timed(
    method: Method[Any, Any], side: Side
) -> None:
    meter = MemoryMeter()
    assert await call_words(calling(metrics(meter), side), method, "a", "b")
    assert ends(meter, side) == {("local", method.operation, "200", ""): 1}
    number, _ = meter.observed(f"{side.value}_requests_seconds", operation=method.operation)
    assert number == 1


@every_arity
@both_sides
@pytest.mark.parametrize(
    ("word", "code", "reason"), [("fail", "409", "BUSY"), ("crash", "500", "UNKNOWN")]
)
async def test_error_passes_through_and_is_counted_by_code_and_reason(
    method: Method[Any, Any], side: Side, word: str, code: str, reason: str
) -> None:
    meter = MemoryMeter()
    with pytest.raises(Error) as failure:
        await call_words(calling(metrics(meter), side), method, word)
    assert failure.value.reason == reason
    assert ends(meter, side) == {("local", method.operation, code, reason): 1}
    assert meter.observed(f"{side.value}_requests_seconds")[0] == 1


@every_arity
@both_sides
async def test_caller_that_goes_away_is_counted_as_such(
    method: Method[Any, Any], side: Side
) -> None:
    meter, service = MemoryMeter(), EchoService()
    where = "middleware" if side is Side.SERVER else "client_middleware"
    options: dict[str, Any] = {where: [metrics(meter)]}
    task = asyncio.create_task(call_words(local(service, **options), method, "hang"))
    await eventually(service.entered)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: ends(meter, side))
    reason = "CLIENT_CLOSED" if side is Side.SERVER else "CANCELLED"
    assert ends(meter, side) == {("local", method.operation, "499", reason): 1}


async def test_deadline_is_counted_as_what_the_caller_gets() -> None:
    meter = MemoryMeter()
    with pytest.raises(Error):
        await calling(metrics(meter), Side.SERVER, timeout=0.01).unary(ECHO, text("hang"))
    assert ends(meter, Side.SERVER) == {("local", ECHO.operation, "504", "DEADLINE_EXCEEDED"): 1}


async def test_answer_that_comes_after_the_cancellation_is_none() -> None:
    async def late(call: Call, _request: Any) -> Any:
        call.cause = Cause.DRAINING
        return "an answer that nobody gets"

    meter = MemoryMeter()
    measured = metrics(meter).bind(ECHO)
    assert measured is not None
    await measured(Call(ECHO, side=Side.SERVER, transport="http"), "x", late)
    assert ends(meter, Side.SERVER) == {("http", ECHO.operation, "503", "DRAINING"): 1}


async def test_instruments_are_those_of_go() -> None:
    meter = MemoryMeter()
    await calling(metrics(meter), Side.SERVER).unary(ECHO, text("x"))
    made = families(meter)
    for side in ("server", "client"):
        requests = made[f"{side}_requests_code_total"]
        assert (requests.kind, requests.unit) == ("counter", "{call}")
        assert requests.labels == ("kind", "operation", "code", "reason")
        seconds = made[f"{side}_requests_seconds"]
        assert (seconds.kind, seconds.unit) == ("histogram", "s")
        assert seconds.labels == ("kind", "operation")
    told = made["server_requests_seconds"].series["local", ECHO.operation]
    assert isinstance(told, Distribution)
    assert told.bounds == (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
    assert len(made) == 4  # nothing that was not asked for


async def test_seconds_are_those_from_begin_to_end() -> None:
    clock, meter = FakeClock(), MemoryMeter()

    async def slow(_call: Call, request: Any) -> Any:
        await clock.advance(0.3)
        return request

    measured = metrics(meter, clock=clock).bind(ECHO)
    assert measured is not None
    await measured(Call(ECHO, side=Side.CLIENT, transport="grpc"), "x", slow)
    number, total = meter.observed("client_requests_seconds", kind="grpc")
    assert (number, round(total, 6)) == (1, 0.3)


def seconds_alone(meter: MemoryMeter) -> Any:
    return metrics(seconds=meter.histogram("own", labels=("kind", "operation")))


def requests_alone(meter: MemoryMeter) -> Any:
    labels = ("kind", "operation", "code", "reason")
    return metrics(requests=meter.counter("own", labels=labels))


@pytest.mark.parametrize("make", [seconds_alone, requests_alone])
async def test_only_the_instruments_that_are_given_are_used(
    make: Callable[[MemoryMeter], AnyMiddleware],
) -> None:
    meter = MemoryMeter()
    caller = calling(make(meter), Side.SERVER)
    await caller.unary(ECHO, text("x"))
    with pytest.raises(Error):
        await caller.unary(ECHO, text("fail"))
    assert list(families(meter)) == ["own"]
    if families(meter)["own"].kind == "histogram":
        assert meter.observed("own", kind="local", operation=ECHO.operation)[0] == 2
    else:
        assert meter.value("own", code="200") == meter.value("own", reason="BUSY") == 1


def test_without_a_meter_nothing_is_left_in_the_chain() -> None:
    assert metrics(NopMeter()).bind(ECHO) is None
    assert metrics().bind(ECHO) is None  # none is installed


async def test_one_middleware_tells_servers_clients_and_transports_apart() -> None:
    async def core(_call: Call, request: Any) -> Any:
        return request

    meter = MemoryMeter()
    measured = metrics(meter, in_flight=True).bind(ECHO)
    assert measured is not None
    for _ in range(2):
        for side in Side:
            for transport in ("http", "grpc"):
                await measured(Call(ECHO, side=side, transport=transport), "x", core)
    for side in Side:
        for transport in ("http", "grpc"):
            name = f"{side.value}_requests_code_total"
            assert meter.value(name, kind=transport, code="200") == 2
            assert meter.value(f"{side.value}_requests_in_flight", kind=transport) == 0


async def test_peers_cannot_make_series_without_end() -> None:
    async def refuse(_call: Call, error: Any) -> Any:
        raise error

    meter = MemoryMeter()
    measured = metrics(meter, reasons=10).bind(ECHO)
    assert measured is not None
    call = Call(ECHO, side=Side.CLIENT, transport="http")
    odd = [Error(404, "x" * 129), Error(10_001, "ODD"), Error(-7, "ODD")]
    many = [Error(400 + number % 3, f"REASON_{number}") for number in range(1000)]
    for error in (*many, *odd, *many):
        with pytest.raises(Error):
            await measured(call, error, refuse)
    counted = ends(meter, Side.CLIENT)
    assert sum(counted.values()) == 2003
    assert counted["http", ECHO.operation, "400", "REASON_0"] == 2
    assert counted["http", ECHO.operation, "404", "other"] == 1
    assert counted["http", ECHO.operation, "500", "other"] == 2
    assert {key[2:] for key in counted if key[3] == "other"} == {
        (code, "other") for code in ("400", "401", "402", "404", "500")
    }
    assert len(counted) == 9 + 5  # the tenth series is that of success


@pytest.mark.parametrize("reasons", [0, -1])
def test_no_room_for_any_end_is_refused(reasons: int) -> None:
    with pytest.raises(ConfigError, match="reasons="):
        metrics(reasons=reasons)


@pytest.mark.parametrize("word", ["ok", "fail", "hang"])
async def test_calls_in_flight_are_shown_until_they_end(word: str) -> None:
    meter, seen = MemoryMeter(), list[float]()

    async def look(call: Call, request: Any, next: Any, /) -> Any:
        seen.append(meter.value("server_requests_in_flight", operation=ECHO.operation))
        return await next(call, request)

    chain: list[AnyMiddleware] = [metrics(meter, in_flight=True), look]
    for short in SHORT if word == "hang" else SHORT[-1:]:
        caller = local(EchoService(), middleware=chain, timeout=short)
        try:
            await caller.unary(ECHO, text(word))
        except Error:
            assert word != "ok"
        if seen:
            break
    assert seen == [1], NEVER
    assert meter.value("server_requests_in_flight") == 0


async def test_messages_of_a_stream_are_counted_while_it_is_open_and_not_twice() -> None:
    meter = MemoryMeter()
    measure = metrics(meter, messages=True)
    caller = local(EchoService(), middleware=[measure], client_middleware=[measure])

    def told() -> list[float]:
        return [
            meter.value(f"{side}_messages_{way}_total", kind="local", operation=CHAT.operation)
            for side in ("server", "client")
            for way in ("sent", "received")
        ]

    async with caller.bidi_stream(CHAT, None) as stream:
        for number in (1, 2):
            await stream.send(text("x"))
            await anext(stream)
            assert told()[1:] == [number] * 3
        await stream.end()
        assert [reply async for reply in stream] == []
    assert told() == [2, 2, 2, 2]
    await caller.unary(ECHO, text("x"))
    await call_words(caller, COLLECT, "a", "b", "c")
    assert told() == [2, 2, 2, 2]
    received = {"kind": "local", "operation": COLLECT.operation}
    assert meter.value("server_messages_received_total", **received) == 3
    assert {key[1] for key in families(meter)["server_messages_sent_total"].series} == {
        CHAT.operation,
        COLLECT.operation,
    }


async def test_middleware_that_stands_twice_in_a_chain_counts_twice_and_breaks_nothing() -> None:
    meter = MemoryMeter()
    twice = [metrics(meter, in_flight=True, messages=True)] * 2
    assert await call_words(local(EchoService(), middleware=twice), CHAT, "a") == ["a"]
    assert meter.value("server_requests_code_total", code="200") == 2
    assert meter.value("server_messages_sent_total") == 2
    assert meter.value("server_requests_in_flight") == 0


async def test_messages_are_counted_at_the_end_for_a_meter_that_cannot_ask() -> None:
    class Plain:
        """A meter with no more than it needs."""

        def __init__(self, meter: MemoryMeter) -> None:
            self.counter, self.gauge, self.histogram = meter.counter, meter.gauge, meter.histogram

    meter = MemoryMeter()
    await call_words(calling(metrics(Plain(meter), messages=True), Side.SERVER), WATCH, "a", "b")
    assert meter.value("server_messages_sent_total", operation=WATCH.operation) == 2


async def test_inside_of_retry_it_sees_attempts() -> None:
    outer, inner, failures = MemoryMeter(), MemoryMeter(), [Error(503, "AWAY")]

    async def away(call: Call, request: Any, next: Any, /) -> Any:
        if failures:
            raise failures.pop()
        return await next(call, request)

    again = retry(clock=InstantClock(), idempotent=lambda method: True)
    caller = local(EchoService(), client_middleware=[metrics(outer), again, metrics(inner), away])
    await caller.unary(ECHO, text("x"), CallOptions(timeout=5))
    assert {key[2:] for key in ends(inner, Side.CLIENT)} == {("503", "AWAY"), ("200", "")}
    assert {key[2:] for key in ends(outer, Side.CLIENT)} == {("200", "")}


def test_every_arity_is_measured() -> None:
    bound = [metrics(MemoryMeter(), in_flight=True, messages=True).bind(method) for method in ALL]
    assert all(link is not None for link in bound)
    assert {method.arity for method in ALL} == set(Arity)
