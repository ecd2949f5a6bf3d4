"""Metrics and spans of calls over two hops, whichever transports they are."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos import App, Client, Error, Service
from kratos.middleware import AnyMiddleware, metrics, tracing
from kratos.testing import MemoryMeter, MemoryTracer
from kratos.testing._guard import call_words, until
from kratos.testing.app import running
from kratos.testing.echo import ALL, ECHO, EchoService, text
from kratos.tracing import parse_traceparent
from kratos.transport import Call, CallOptions, Handler, Method
from kratos_grpc import GrpcServer
from kratos_http import HttpServer

MAKERS: dict[str, Any] = {"http": HttpServer, "grpc": GrpcServer}
ROUTES = [(first, second) for first in MAKERS for second in MAKERS]
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

every_arity = pytest.mark.parametrize("method", ALL, ids=[m.arity.value for m in ALL])
either_transport = pytest.mark.parametrize("transport", MAKERS)


class Relay(EchoService):
    """Calls on."""

    def __init__(self, caller: Client) -> None:
        super().__init__()
        self._caller = caller

    async def _act(self, request: StringValue, method: Method[Any, Any]) -> StringValue:
        return await self._caller.unary(ECHO, request)


@asynccontextmanager
async def reaching(
    transport: str,
    name: str,
    service: Service,
    *middleware: AnyMiddleware,
    client: Sequence[AnyMiddleware] = (),
    meter: MemoryMeter | None = None,
) -> AsyncGenerator[Client]:
    """Serve with a chain, and call with one."""
    app = App(
        name=name,
        services=[service],
        middleware=middleware,
        servers=[MAKERS[transport]("127.0.0.1:0")],
        metrics=meter,
        signals=(),
    )
    async with running(app), Client(app.endpoints[0], middleware=client) as caller:
        yield caller


@either_transport
@every_arity
async def test_calls_are_counted_by_the_meter_of_the_application(
    transport: str, method: Method[Any, Any]
) -> None:
    meter, own = MemoryMeter(), MemoryMeter()
    chain = [metrics(own)]
    async with reaching(
        transport, "echo", EchoService(), metrics(), client=chain, meter=meter
    ) as caller:
        await call_words(caller, method, "a", "b")
        with pytest.raises(Error):
            await call_words(caller, method, "fail")
    labels = {"kind": transport, "operation": method.operation}
    for side, told in (("server", meter), ("client", own)):
        name = f"{side}_requests_code_total"
        assert told.value(name, **labels) == 2
        assert told.value(name, code="200", reason="", **labels) == 1
        assert told.value(name, code="409", reason="BUSY", **labels) == 1
        assert told.observed(f"{side}_requests_seconds", **labels)[0] == 2


@pytest.mark.parametrize(("first", "second"), ROUTES)
@every_arity
async def test_one_trace_goes_through_all_hops(
    first: str, second: str, method: Method[Any, Any]
) -> None:
    tracer = MemoryTracer()
    traced = tracing(tracer)
    async with (
        reaching(second, "last", EchoService(), traced, client=[traced]) as inner,
        reaching(first, "relay", Relay(inner), traced, client=[traced]) as outer,
    ):
        await call_words(outer, method, "x")
        await until(lambda: all(span.ended for span in tracer.spans))
    assert tracer.tree() == [
        f"client {method.operation}",
        f"  server {method.operation}",
        f"    client {ECHO.operation}",
        f"      server {ECHO.operation}",
    ]
    spans = tracer.finished()
    assert len({span.context.trace_id for span in spans}) == 1
    assert [span.attributes["rpc.system"] for span in spans] == [first, first, second, second]
    assert all(span.attributes["net.peer.ip"] == "127.0.0.1" for span in spans)
    assert all(str(span.attributes["net.peer.port"]).isdecimal() for span in spans)
    # The second hop is called by the service "relay", the first one by nobody with a name.
    assert "peer.service" not in spans[1].attributes
    assert spans[3].attributes["peer.service"] == "relay"


@every_arity
async def test_http_tells_verb_template_and_path(method: Method[Any, Any]) -> None:
    tracer = MemoryTracer()
    traced = tracing(tracer)
    async with reaching("http", "echo", EchoService(), traced, client=[traced]) as caller:
        await call_words(caller, method, "x")
        await until(lambda: all(span.ended for span in tracer.spans))
    (rule,) = method.http
    for span in tracer.finished():
        assert span.attributes["http.method"] == rule.verb
        assert span.attributes["http.route"] == rule.path
        assert span.attributes["http.target"] == rule.path


@pytest.mark.parametrize(("first", "second"), ROUTES)
async def test_trace_of_a_caller_goes_on_where_nothing_records(first: str, second: str) -> None:
    seen = list[str]()

    async def look(call: Call, request: Any, next: Handler, /) -> Any:
        seen.append(call.headers.get("traceparent"))
        return await next(call, request)

    parent = f"00-{TRACE}-{SPAN}-01"
    async with (
        reaching(second, "last", EchoService(), look, client=[tracing()]) as inner,
        reaching(first, "relay", Relay(inner), look, tracing()) as outer,
    ):
        for header in (parent, "00-broken"):
            await outer.unary(ECHO, text("x"), CallOptions(headers={"traceparent": header}))
    assert seen == [parent, parent, "00-broken", ""]
    assert parse_traceparent(seen[1]) is not None
