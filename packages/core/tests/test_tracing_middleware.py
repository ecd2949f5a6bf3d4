"""Spans of calls, on both sides and of all arities."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos import plugins
from kratos.errors import ConfigError, Error
from kratos.log import with_
from kratos.log.fields import current_fields
from kratos.metadata import Metadata, server_context, server_metadata
from kratos.middleware import AnyMiddleware, hedging, metadata, retry, tracing
from kratos.testing import InstantClock, MemoryLogger, MemoryTracer
from kratos.testing._guard import call_words, eventually, until
from kratos.testing.echo import ALL, CHAT, ECHO, EchoService, text
from kratos.tracing import (
    EMPTY,
    PassingTracer,
    Span,
    current_context,
    current_span,
    default_tracer,
    span_id,
    trace_id,
)
from kratos.transport import Call, Caller, CallOptions, Header, Method, Side, local

every_arity = pytest.mark.parametrize("method", ALL, ids=[m.arity.value for m in ALL])

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
TRACED = CallOptions(headers={"traceparent": PARENT, "tracestate": "a=1", "baggage": "user=7"})


class Relay(EchoService):
    """Asks another service by another method, in the span of its own call."""

    def __init__(self, caller: Caller) -> None:
        super().__init__()
        self._caller = caller
        self.current: Span | None = None

    async def _act(self, request: StringValue, method: Method[Any, Any]) -> StringValue:
        self.current = current_span()
        await self._caller.unary(ECHO, request, None)
        return await super()._act(request, method)


def pair(tracer: Any, service: EchoService, *inner: AnyMiddleware, **options: Any) -> Caller:
    return local(
        service,
        middleware=[tracing(tracer)],
        client_middleware=[tracing(tracer), *inner],
        **options,
    )


@every_arity
async def test_trace_goes_from_client_to_server_and_on_from_there(
    method: Method[Any, Any],
) -> None:
    tracer = MemoryTracer()
    relay = Relay(pair(tracer, EchoService()))
    await call_words(pair(tracer, relay), method, "x")
    assert tracer.tree() == [
        f"client {method.operation}",
        f"  server {method.operation}",
        f"    client {ECHO.operation}",
        f"      server {ECHO.operation}",
    ]
    spans = tracer.finished()
    assert len({span.context.trace_id for span in spans}) == 1
    assert len({span.context.span_id for span in spans}) == 4
    assert relay.current is spans[1]
    assert current_span() is None
    assert all(span.error is None for span in spans)


@every_arity
@pytest.mark.parametrize(
    ("word", "code", "reason"), [("fail", 409, "BUSY"), ("crash", 500, "UNKNOWN")]
)
async def test_span_ends_with_the_error_that_the_caller_gets(
    method: Method[Any, Any], word: str, code: int, reason: str
) -> None:
    tracer = MemoryTracer()
    with pytest.raises(Error):
        await call_words(pair(tracer, EchoService()), method, word)
    for span in tracer.finished():
        assert isinstance(span.error, Error)
        assert (span.error.code, span.error.reason) == (code, reason)
        assert span.attributes["rpc.status_code"] == code


@every_arity
async def test_spans_end_with_a_caller_that_goes_away(method: Method[Any, Any]) -> None:
    tracer, service = MemoryTracer(), EchoService()
    task = asyncio.create_task(call_words(pair(tracer, service), method, "hang"))
    await eventually(service.entered)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: all(span.ended for span in tracer.spans))
    assert {span.attributes["rpc.status_code"] for span in tracer.finished()} == {499}


async def test_deadline_is_the_error_of_the_span() -> None:
    tracer = MemoryTracer()
    with pytest.raises(Error):
        await pair(tracer, EchoService(), timeout=0.01).unary(ECHO, text("hang"), None)
    await until(lambda: all(span.ended for span in tracer.spans))
    assert {span.attributes["rpc.status_code"] for span in tracer.finished()} == {504}


async def test_span_of_a_stream_is_open_until_its_end() -> None:
    tracer = MemoryTracer()
    async with pair(tracer, EchoService()).bidi_stream(CHAT, None) as stream:
        await stream.send(text("x"))
        await anext(stream)
        assert [span.ended for span in tracer.spans] == [False, False]
    await until(lambda: all(span.ended for span in tracer.spans))


async def test_attributes_are_those_of_the_call() -> None:
    tracer = MemoryTracer()
    await pair(tracer, EchoService()).unary(ECHO, text("abc"), None)
    called, served = tracer.finished()
    size = text("abc").ByteSize()
    expected = {
        "rpc.system": "local",
        "rpc.service": "kratos.testing.Echo",
        "rpc.method": "Echo",
        "recv_msg.size": size,
        "send_msg.size": size,
    }
    assert called.attributes == served.attributes == expected


@every_arity
async def test_attempts_are_spans_below_that_of_their_call(method: Method[Any, Any]) -> None:
    tracer, failures = MemoryTracer(), [Error(503, "AWAY")]

    async def away(call: Call, request: Any, next: Any, /) -> Any:
        if failures:
            raise failures.pop()
        return await next(call, request)

    again = retry(clock=InstantClock(), idempotent=lambda _: True)
    caller = pair(tracer, EchoService(), again, tracing(tracer), away)
    await call_words(caller, method, "x")
    assert tracer.tree() == [
        f"client {method.operation}",
        f"  client {method.operation}",
        f"  client {method.operation}",
        f"    server {method.operation}",
    ]
    _, first, second, _ = tracer.finished()
    assert first.attributes["rpc.status_code"] == 503
    assert second.error is None


async def test_hedges_are_spans_below_that_of_their_call() -> None:
    tracer, service = MemoryTracer(), EchoService()
    slow = asyncio.Event()

    async def first_hangs(call: Call, request: Any, next: Any, /) -> Any:
        if not slow.is_set():
            slow.set()
            await asyncio.get_running_loop().create_future()
        return await next(call, request)

    hedged = hedging(delay=0, idempotent=lambda _: True)
    caller = pair(tracer, service, hedged, tracing(tracer), first_hangs)
    await caller.unary(ECHO, text("x"), None)
    client = f"client {ECHO.operation}"
    assert sorted(tracer.tree()) == sorted(
        [client, f"  {client}", f"  {client}", f"    server {ECHO.operation}"]
    )
    whole, lost, won, _ = tracer.finished()
    assert {span.parent for span in (lost, won)} == {whole.context}
    assert lost.attributes["rpc.status_code"] == 499
    assert won.error is None


async def test_server_hangs_its_span_below_nothing_but_what_it_is_told() -> None:
    tracer = MemoryTracer()
    bound: Any = tracing(tracer).bind(ECHO)

    async def nested(_call: Call, request: Any) -> Any:
        inner = Call(ECHO, side=Side.SERVER, transport="t")
        return await bound(inner, request, echo)

    async def echo(_call: Call, request: Any) -> Any:
        return request

    headers = Header.of([("traceparent", PARENT)])
    await bound(Call(ECHO, side=Side.SERVER, transport="t", headers=headers), "x", nested)
    outer, inner = tracer.finished()
    assert (outer.parent.trace_id, outer.parent.span_id) == (TRACE, SPAN)
    assert inner.parent == EMPTY


@pytest.mark.parametrize("header", ["00-xyz", f"{PARENT}-more", "", "\udcff"])
async def test_malformed_header_begins_a_trace(header: str) -> None:
    tracer = MemoryTracer()
    options = CallOptions(headers={"traceparent": header})
    caller = local(EchoService(), middleware=[tracing(tracer)])
    await caller.unary(ECHO, text("x"), options)
    (span,) = tracer.finished()
    assert span.parent == EMPTY


@every_arity
async def test_without_a_back_end_the_trace_of_a_caller_reaches_logs_and_the_next_hop(
    method: Method[Any, Any],
) -> None:
    seen, log = list[dict[str, str]](), MemoryLogger()
    logger = with_(log, trace=trace_id(), span=span_id())

    class Last(EchoService):
        async def _act(self, request: StringValue, method: Method[Any, Any]) -> StringValue:
            logger.log(8, "here", current_fields())  # type: ignore[arg-type]
            return await super()._act(request, method)

    async def look(call: Call, request: Any, next: Any, /) -> Any:
        seen.append(dict(call.headers.items()))
        return await next(call, request)

    chain: list[AnyMiddleware] = [look, tracing()]
    relay = Relay(local(Last(), middleware=chain, client_middleware=[tracing()]))
    await call_words(local(relay, middleware=[tracing()]), method, "x", options=TRACED)
    assert seen == [{"traceparent": PARENT, "tracestate": "a=1", "baggage": "user=7"}]
    assert log.records[0][2] == {
        "trace": TRACE,
        "span": SPAN,
        "trace_id": TRACE,
        "span_id": SPAN,
    }
    assert current_fields() == {}


async def test_call_without_a_trace_gets_none_unless_that_is_wanted() -> None:
    seen, ids = list[dict[str, str]](), list[str]()

    async def look(call: Call, request: Any, next: Any, /) -> Any:
        seen.append(dict(call.headers.items()))
        ids.append(current_context().trace_id)
        return await next(call, request)

    for tracer in (PassingTracer(), PassingTracer(begin=True)):
        chain: list[AnyMiddleware] = [tracing(tracer), look]
        await local(EchoService(), middleware=chain, client_middleware=[tracing(tracer)]).unary(
            ECHO, text("x")
        )
    assert seen[0] == {}
    assert seen[1]["traceparent"] == f"00-{ids[1]}-{seen[1]['traceparent'][36:52]}-00"
    assert ids[0] == ""


async def test_fields_of_logs_can_be_left_out() -> None:
    seen = list[object]()

    async def look(call: Call, request: Any, next: Any, /) -> Any:
        seen.append(dict(current_fields()))
        return await next(call, request)

    for log_fields in (True, False):
        chain: list[AnyMiddleware] = [tracing(log_fields=log_fields), look]
        await local(EchoService(), middleware=chain).unary(ECHO, text("x"), TRACED)
    assert seen == [{"trace_id": TRACE, "span_id": SPAN}, {}]


async def test_name_of_the_caller_is_in_the_metadata_of_the_call_alone() -> None:
    seen = list[Metadata | None]()

    async def look(call: Call, request: Any, next: Any, /) -> Any:
        seen.append(server_metadata())
        return await next(call, request)

    options = CallOptions(headers={"x-md-service-name": "shop"})
    chains: tuple[list[AnyMiddleware], ...] = (
        [tracing(), look],
        [metadata(prefixes=["x-md-global-"]), tracing(), look],
    )
    for chain in chains:
        await local(EchoService(), middleware=chain).unary(ECHO, text("x"), options)
        await local(EchoService(), middleware=chain).unary(ECHO, text("x"))
    told = [None if found is None else found.get("x-md-service-name") for found in seen]
    assert told == ["shop", None, "shop", ""]

    bound: Any = tracing().bind(ECHO)
    headers = Header.of([("x-md-service-name", "a")])
    call = Call(ECHO, side=Side.SERVER, transport="t", headers=headers)

    async def core(_call: Call, _request: Any) -> Any:
        return server_metadata()

    assert (await bound(call, "x", core)).get("x-md-service-name") == "a"
    assert server_metadata() is None
    with server_context(Metadata()):
        assert await bound(call, "x", core) is server_metadata()


async def test_tracer_with_a_current_span_of_its_own_is_asked_to_set_it() -> None:
    current: ContextVar[Any] = ContextVar("current", default=None)

    class Owner(MemoryTracer):
        def activate(self, span: Span, /) -> object:
            return current.set(span)

        def deactivate(self, token: Any, /) -> None:
            current.reset(token)

    tracer, seen = Owner(), list[object]()

    async def core(_call: Call, request: Any) -> Any:
        seen.append(current.get())
        raise Error(409, "BUSY")

    bound: Any = tracing(tracer).bind(ECHO)
    for side in Side:
        with pytest.raises(Error):
            await bound(Call(ECHO, side=side, transport="t"), "x", core)
    assert seen == tracer.spans
    assert current.get() is None


def unmakeable() -> Any:
    raise OSError("no endpoint")


async def test_installed_tracer_is_taken_by_itself() -> None:
    tracer = MemoryTracer()
    assert isinstance(default_tracer(), PassingTracer)
    undo = plugins.register("kratos.tracing", "memory", lambda: tracer)
    try:
        assert default_tracer() is tracer
        await local(EchoService(), middleware=[tracing()]).unary(ECHO, text("x"))
        assert len(tracer.finished()) == 1
    finally:
        undo()
    assert isinstance(default_tracer(), PassingTracer)


@pytest.mark.parametrize(
    ("factory", "told"),
    [(unmakeable, "made no tracer: no endpoint"), (lambda: 7, "made 7, which is no tracer")],
)
def test_broken_tracer_is_named_when_chains_are_built(
    factory: Callable[[], Any], told: str
) -> None:
    undo = plugins.register("kratos.tracing", "broken", factory)
    try:
        with pytest.raises(ConfigError, match=told):
            tracing().bind(ECHO)
    finally:
        undo()


def test_memory_tracer_tells_of_what_is_wrong_with_its_spans() -> None:
    tracer = MemoryTracer()
    span = tracer.start("/a", side=Side.CLIENT, headers=Header(), attributes={})
    with pytest.raises(AssertionError, match="these have not ended"):
        tracer.finished()
    span.end()
    with pytest.raises(AssertionError, match=r"span /a .* ends twice"):
        span.end()
    with pytest.raises(AssertionError, match=r"span /a .* after its end"):
        span.set("a", 1)
