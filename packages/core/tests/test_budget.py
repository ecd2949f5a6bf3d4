"""The time of a call, from hop to hop."""

from __future__ import annotations

import asyncio
import logging as std_logging
import math
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given, settings
from hypothesis import strategies as st

from kratos import App
from kratos.errors import ConfigError, Error, StartupError
from kratos.metadata import Metadata, client_metadata, server_metadata
from kratos.middleware import Budget, budget, circuitbreaker, logging, metadata, timeout
from kratos.testing.app import running
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.testing.guard import Ledger
from kratos.testing.virtual_time import advance, run_still
from kratos.transport import (
    BUDGET_TOO_SMALL,
    Call,
    Caller,
    CallOptions,
    ChainCaller,
    Dispatcher,
    Handler,
    Method,
    Side,
    detached,
    local,
    server_call,
)

FLOORS = {method.operation: 0.05 for method in (ECHO, COLLECT, WATCH, CHAT)}


def now() -> float:
    return asyncio.get_running_loop().time()


class Wire:
    """The innermost handler of a client; notes what would be sent."""

    def __init__(self) -> None:
        self.left: list[float | None] = []

    async def __call__(self, call: Call, request: Any) -> Any:
        self.left.append(call.remaining())
        return request

    def caller(self, **options: Any) -> ChainCaller:
        return ChainCaller(self, transport="wire", **options)


class Relay(EchoService):
    """Uses up some time, then calls on."""

    def __init__(self, caller: Caller, *, seconds: float = 0.0) -> None:
        super().__init__()
        self._caller = caller
        self._seconds = seconds

    async def echo(self, request: StringValue, /) -> StringValue:
        self.seen.append(request.value)
        advance(self._seconds)
        return await self._caller.unary(ECHO, request, None)


async def serve(service: EchoService, *, left: float | None, **options: Any) -> Any:
    """Serve one call that has so much time."""
    made = Dispatcher(transport="wire", **options)
    made.add(service)
    deadline = None if left is None else now() + left
    call = Call(ECHO, Side.SERVER, "wire", deadline=deadline)
    return await made.operations[ECHO.operation].run(call, text("x"))


async def use_all(caller: Caller, options: CallOptions) -> None:
    """Call all arities."""
    for arity in (ECHO, COLLECT, WATCH, CHAT):
        with pytest.raises(Error, match=BUDGET_TOO_SMALL):
            await use(caller, arity, options)


async def use(caller: Caller, method: Method[Any, Any], options: CallOptions) -> None:
    if method is ECHO:
        await caller.unary(ECHO, text("x"), options)
    elif method is COLLECT:
        await caller.client_stream(COLLECT, [text("x")], options)
    elif method is WATCH:
        async with caller.server_stream(WATCH, text("x"), options) as replies:
            assert [reply async for reply in replies]
    else:
        async with caller.bidi_stream(CHAT, options) as chat:
            await chat.send(text("x"))
            await chat.end()
            assert [reply async for reply in chat]


def test_what_a_hop_used_is_subtracted() -> None:
    wire = Wire()
    run_still(serve(Relay(wire.caller(), seconds=0.06), left=0.1))
    (left,) = wire.left
    assert left == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("own", "expected"), [(0.02, 0.02), (0.3, 0.04), (None, 0.04)], ids=["own", "both", "none"]
)
def test_nearer_of_own_and_inherited_deadline_wins(own: float | None, expected: float) -> None:
    wire = Wire()
    run_still(serve(Relay(wire.caller(timeout=own), seconds=0.06), left=0.1))
    assert wire.left == [pytest.approx(expected)]


def test_server_without_a_deadline_hands_none_on() -> None:
    wire = Wire()
    run_still(serve(Relay(wire.caller(timeout=None)), left=None, timeout=None))
    assert wire.left == [None]


def test_call_whose_time_was_used_up_is_not_sent() -> None:
    wire = Wire()
    with pytest.raises(Error, match="DEADLINE_EXCEEDED"):
        run_still(serve(Relay(wire.caller(), seconds=0.1), left=0.1))
    assert wire.left == []


hops = st.lists(
    st.tuples(
        st.floats(min_value=0, max_value=2),  # used
        st.none() | st.floats(min_value=0.001, max_value=3),  # limit of the server
        st.none() | st.floats(min_value=0.001, max_value=3),  # limit of the client
        st.floats(min_value=-1e6, max_value=1e6),  # what the clock shows
    ),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=30)
@given(st.none() | st.floats(min_value=0.001, max_value=3), hops)
def test_budget_of_a_chain_of_hops_depends_on_times_used_and_not_on_clocks(
    first: float | None, chain: list[tuple[float, float | None, float | None, float]]
) -> None:
    left = math.inf if first is None else first
    sent = first
    for used, server, client, clock in chain:
        wire = Wire()
        relay = Relay(wire.caller(timeout=client), seconds=used)
        left = min(left, math.inf if server is None else server) - used
        serving = serve(relay, left=sent, timeout=server)
        if left <= 1e-9:
            with pytest.raises(Error, match="DEADLINE_EXCEEDED"):
                run_still(serving, start=clock)
            assert not wire.left or wire.left[0] == pytest.approx(0, abs=1e-6)
            return
        run_still(serving, start=clock)
        left = min(left, math.inf if client is None else client)
        (sent,) = wire.left
        assert (math.inf if sent is None else sent) == pytest.approx(left, abs=1e-6)


async def test_in_process_call_inherits_the_time_that_is_left() -> None:
    left: list[float | None] = []

    class Asks(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            call = server_call()
            assert call is not None
            left.append(call.remaining())
            return request

    class Outer(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            return await local(Asks(), timeout=None).unary(ECHO, request, None)

    await local(Outer(), timeout=None).unary(ECHO, text("x"), CallOptions(timeout=30.0))
    await local(Outer(), timeout=None).unary(ECHO, text("x"))
    assert left[0] is not None
    assert 0 < left[0] <= 30.0
    assert left[1] is None


async def test_server_refuses_what_cannot_succeed_in_the_time_left() -> None:
    service = EchoService()
    caller = local(service, floors=dict.fromkeys(FLOORS, 60.0), timeout=None)
    await use_all(caller, CallOptions(timeout=30.0))
    assert service.seen == []


async def test_client_does_not_send_what_cannot_succeed_in_the_time_left() -> None:
    wire = Wire()
    caller = wire.caller(floors=dict.fromkeys(FLOORS, 60.0), timeout=None)
    await use_all(caller, CallOptions(timeout=30.0))
    assert wire.left == []


async def test_floor_lets_calls_pass_that_have_enough_time_or_no_limit() -> None:
    caller = local(EchoService(), floors=FLOORS, timeout=None)
    for method in (ECHO, COLLECT, WATCH, CHAT):
        await use(caller, method, CallOptions(timeout=30.0))
        await use(caller, method, CallOptions())


@given(
    st.floats(min_value=0.001, max_value=10),
    st.floats(min_value=0.001, max_value=10).filter(lambda seconds: seconds != 1),
)
def test_call_is_refused_if_and_only_if_less_than_the_floor_is_left(
    left: float, floor: float
) -> None:
    wire = Wire()
    caller = wire.caller(floors={ECHO.operation: floor}, timeout=None)
    refused = False
    try:
        run_still(caller.unary(ECHO, text("x"), CallOptions(timeout=left)), start=0.0)
    except Error as error:
        refused = error.reason == BUDGET_TOO_SMALL
    assert refused is (left < floor)
    assert wire.left == ([] if refused else [left])


def test_refusal_says_what_was_needed_and_what_was_left() -> None:
    wire = Wire()
    relay = Relay(wire.caller(floors={ECHO.operation: 0.05}), seconds=0.06)
    with pytest.raises(Error) as refusal:
        run_still(serve(relay, left=0.1))
    error = refusal.value
    assert (error.code, error.reason) == (504, BUDGET_TOO_SMALL)
    assert error.message == (
        "/kratos.testing.Echo/Echo was not begun: it takes 0.05 s, and 0.04 s were left"
    )
    assert error.metadata == {"floor": "0.05", "left": "0.04"}
    assert wire.left == []


async def test_guards_hear_nothing_of_a_call_that_came_too_late() -> None:
    ledger = Ledger()
    wire = Wire()
    caller = wire.caller(
        floors={ECHO.operation: 60.0}, middleware=[circuitbreaker(lambda: ledger)], timeout=30.0
    )
    with pytest.raises(Error, match=BUDGET_TOO_SMALL):
        await caller.unary(ECHO, text("x"))
    assert ledger.outcomes == []


@pytest.mark.parametrize("floor", [0, -1.0, math.nan, math.inf, "1s"])
def test_floor_that_is_no_time_is_refused(floor: Any) -> None:
    floors: Mapping[str, float] = {"/a.B/C": floor}
    with pytest.raises(ConfigError, match=r"floor of /a\.B/C"):
        local(EchoService(), floors=floors)
    with pytest.raises(ConfigError, match=r"floor of /a\.B/C"):
        Wire().caller(floors=floors)
    with pytest.raises(ConfigError, match=r"floor of /a\.B/C"):
        timeout(floors=floors)


def test_floor_above_the_time_limit_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigError, match=r"more than its time limit of 1\.0"):
        local(EchoService(), floors={ECHO.operation: 2.0})
    with pytest.raises(ConfigError, match=r"more than its time limit of 1\.0"):
        timeout(1.0, floor=2.0)
    with pytest.raises(ConfigError, match=r"more than its time limit of 1\.0"):
        timeout(operations={WATCH.operation: 1.0}, floors={WATCH.operation: 2.0})
    with pytest.raises(ConfigError, match=r"more than its time limit of 1\.0"):
        local(EchoService(), middleware=[timeout(1.0, floors={ECHO.operation: 2.0})])


@pytest.mark.parametrize("side", ["middleware", "client_middleware"])
async def test_middleware_refuses_below_its_floor(side: str) -> None:
    service = EchoService()
    chain: dict[str, Any] = {side: [timeout(floor=60.0, floors={WATCH.operation: 60.0})]}
    caller = local(service, timeout=None, **chain)
    options = CallOptions(timeout=30.0)
    for method in (ECHO, WATCH):
        with pytest.raises(Error, match=BUDGET_TOO_SMALL):
            await use(caller, method, options)
    assert service.seen == []
    for method in (COLLECT, CHAT):
        await use(caller, method, options)


async def test_middleware_measures_its_floor_against_its_own_limit_too() -> None:
    chain = [timeout(20.0, floor=10.0)]
    left: list[float | None] = []

    async def note(call: Call, request: Any, next: Handler, /) -> Any:
        left.append(call.remaining())
        return await next(call, request)

    await local(EchoService(), timeout=None, middleware=[*chain, note]).unary(ECHO, text("x"))
    assert left[0] is not None
    assert 10 < left[0] <= 20


def fields(record: std_logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = record.__dict__["kratos"]
    return found


def test_log_tells_the_time_that_a_call_had_and_what_was_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(std_logging.INFO, "kratos.calls")

    async def run() -> None:
        wire = Wire()
        relay = Relay(wire.caller(middleware=[logging()]), seconds=0.06)
        await serve(relay, left=0.1, middleware=[logging()])

    run_still(run())
    inner, outer = (fields(record) for record in caplog.records)
    assert inner["budget_left"] == outer["budget_left"] == pytest.approx(0.04)
    # The loop stands still, but not the clock by which the latency is measured.
    assert inner["budget"] == pytest.approx(0.04 + inner["latency"])
    assert outer["budget"] == pytest.approx(0.04 + outer["latency"])


async def test_log_of_a_call_without_a_deadline_tells_of_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(std_logging.INFO, "kratos.calls")
    caller = local(EchoService(), middleware=[logging()], timeout=None)
    await caller.unary(ECHO, text("x"))
    await caller.unary(ECHO, text("x"), CallOptions(timeout=math.inf))
    assert all("budget" not in fields(record) for record in caplog.records)


def test_budget_has_attributes_for_spans() -> None:
    async def run() -> Budget | None:
        call = Call(ECHO, Side.SERVER, "wire", deadline=now() + 0.1)
        advance(0.06)
        return budget(call, 0.06)

    found = run_still(run())
    assert found is not None
    assert found.used == pytest.approx(0.06)
    assert found.attributes() == {
        "kratos.budget": pytest.approx(0.1),
        "kratos.budget_left": pytest.approx(0.04),
    }


def test_budget_that_was_overdrawn_is_negative() -> None:
    async def run() -> Budget | None:
        call = Call(ECHO, Side.SERVER, "wire", deadline=now() + 0.1)
        advance(0.5)
        return budget(call, 0.5)

    found = run_still(run())
    assert found is not None
    assert found.left == pytest.approx(-0.4)


TRACE: ContextVar[str] = ContextVar("trace", default="")


class Orders(EchoService):
    """Leaves work behind that outlives the call."""

    def __init__(self, caller: Caller) -> None:
        super().__init__()
        self._caller = caller
        self.may_go_on = asyncio.Event()
        self.audits: list[asyncio.Task[None]] = []
        self.traces: list[str] = []

    async def echo(self, request: StringValue, /) -> StringValue:
        with detached():
            self.audits.append(self.spawn(request))
        return await super().echo(request)

    def spawn(self, request: StringValue) -> asyncio.Task[None]:
        return asyncio.create_task(self.audit(request))

    async def audit(self, request: StringValue) -> None:
        await self.may_go_on.wait()
        self.traces.append(TRACE.get())
        await self._caller.unary(ECHO, request, None)


async def trace(call: Call, request: Any, next: Handler, /) -> Any:
    token = TRACE.set(call.headers.get("traceparent"))
    try:
        return await next(call, request)
    finally:
        TRACE.reset(token)


CARRIED = CallOptions(headers={"traceparent": "00-a-b-01", "x-md-global-user": "7"}, timeout=30.0)


async def test_detached_work_goes_on_without_deadline_when_its_call_was_cancelled() -> None:
    wire = Wire()
    orders = Orders(wire.caller(timeout=None))
    calling = asyncio.create_task(
        local(orders, timeout=None).unary(ECHO, text("hang"), CallOptions(timeout=30.0))
    )
    await orders.entered.wait()
    calling.cancel()
    await asyncio.wait((calling,))
    assert orders.interrupted == 1
    orders.may_go_on.set()
    await orders.audits[0]
    assert wire.left == [None]


async def test_detached_work_keeps_metadata_and_trace() -> None:
    seen: list[str] = []

    async def note(call: Call, request: Any) -> Any:
        seen.append(call.headers.get("x-md-global-user"))
        return request

    inner = ChainCaller(note, transport="wire", middleware=[metadata()])
    orders = Orders(inner)
    outer = local(orders, middleware=[metadata(), trace])
    await outer.unary(ECHO, text("x"), CARRIED)
    orders.may_go_on.set()
    await orders.audits[0]
    assert seen == ["7"]
    assert orders.traces == ["00-a-b-01"]


async def test_task_of_the_application_keeps_the_context_of_a_detached_block() -> None:
    wire = Wire()
    app = App(name="orders", signals=())

    class Spawning(Orders):
        def spawn(self, request: StringValue) -> asyncio.Task[None]:
            return app.spawn(self.audit(request), finish=True)

    orders = Spawning(wire.caller(timeout=None))
    async with running(app):
        await local(orders, middleware=[trace]).unary(ECHO, text("x"), CARRIED)
        orders.may_go_on.set()
        await orders.audits[0]
    assert orders.traces == ["00-a-b-01"]
    assert wire.left == [None]


async def test_task_of_the_application_has_no_context_of_a_call_otherwise() -> None:
    seen: list[tuple[Metadata | None, Metadata | None]] = []
    app = App(name="orders", signals=())

    async def work() -> None:
        seen.append((server_metadata(), client_metadata()))

    class Spawning(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            await app.spawn(work())
            return request

    async with running(app):
        await local(Spawning(), middleware=[metadata()]).unary(ECHO, text("x"), CARRIED)
    assert seen == [(None, None)]


async def test_call_served_inside_of_a_detached_block_has_a_deadline_of_its_own() -> None:
    wire = Wire()

    class Inner(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            return await wire.caller(timeout=None).unary(ECHO, request, None)

    class Outer(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            with detached():  # the one served next runs in this task and context
                await serve(Inner(), left=20.0, timeout=None)
            return request

    await serve(Outer(), left=None, timeout=None)
    (left,) = wire.left
    assert left is not None
    assert 0 < left <= 20.0


def test_floor_of_an_operation_that_is_not_served_is_refused_at_the_start() -> None:
    floors = {"/kratos.testing.Echo/Ecco": 0.05}
    for made in (
        Dispatcher(transport="wire", floors=floors),
        Dispatcher(transport="wire", middleware=[timeout(floors=floors)]),
    ):
        made.add(EchoService())
        with pytest.raises(StartupError, match=r"/kratos\.testing\.Echo/Echo"):
            made.check_names()
