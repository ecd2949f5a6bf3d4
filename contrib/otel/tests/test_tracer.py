"""Spans on OpenTelemetry's SDK."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from opentelemetry import baggage, context, trace
from opentelemetry.propagators.textmap import Getter, Setter, TextMapPropagator
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, Sampler
from opentelemetry.trace import SpanKind, StatusCode

from kratos import App, Client, Error
from kratos.log import LineLogger, with_
from kratos.middleware import tracing
from kratos.testing import MemoryLogger
from kratos.testing._guard import call_words, eventually, until
from kratos.testing.app import running
from kratos.testing.echo import ALL, ECHO, WATCH, EchoService, text
from kratos.tracing import current_context, span_id, trace_id
from kratos.transport import Call, Caller, CallOptions, Handler, Header, Method, Side, local
from kratos_grpc import GrpcServer
from kratos_http import HttpServer
from kratos_otel import OtelTracer

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
MAKERS: dict[str, Any] = {"http": HttpServer, "grpc": GrpcServer}

every_arity = pytest.mark.parametrize("method", ALL, ids=[m.arity.value for m in ALL])
either_transport = pytest.mark.parametrize("transport", MAKERS)


class Kept:
    """What was recorded, with the tracer that does so."""

    def __init__(self, sampler: Sampler | None = None, **options: Any) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = OtelTracer(self.provider, **options)

    def spans(self) -> Sequence[ReadableSpan]:
        """Return the spans that have ended, in the order in which they began."""
        return sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time or 0)


@pytest.fixture(autouse=True)
def nothing_said(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Hold that OpenTelemetry never complains, for instance of contexts that are left elsewhere."""
    yield
    said = [each.getMessage() for each in caplog.records if each.name.startswith("opentelemetry")]
    assert said == []


@pytest.fixture
def kept() -> Kept:
    return Kept()


def pair(tracer: OtelTracer, service: EchoService | None = None, **options: Any) -> Caller:
    traced = tracing(tracer)
    service = service or EchoService()
    return local(service, middleware=[traced], client_middleware=[traced], **options)


def told(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def ids(span: ReadableSpan) -> tuple[str, str]:
    context = span.context
    assert context is not None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def begun(tracer: OtelTracer, side: Side = Side.CLIENT, **headers: str) -> Header:
    """Begin a span and return the headers that go out, or came in."""
    carrier = Header.of(headers.items())
    tracer.start("/a.B/C", side=side, headers=carrier, attributes={}).end()
    return carrier


@asynccontextmanager
async def reaching(transport: str, service: EchoService, traced: Any) -> AsyncGenerator[Client]:
    """Serve and call over a transport, both in spans."""
    app = App(
        name="echo",
        services=[service],
        middleware=[traced],
        servers=[MAKERS[transport]("127.0.0.1:0")],
        log=MemoryLogger(),
        signals=(),
    )
    async with running(app), Client(app.endpoints[0], middleware=[traced]) as caller:
        yield caller


@every_arity
async def test_client_and_server_are_parent_and_child_under_the_operations_name(
    kept: Kept, method: Method[Any, Any]
) -> None:
    await call_words(pair(kept.tracer), method, "a", "b")
    called, served = kept.spans()
    assert [called.name, served.name] == [method.operation, method.operation]
    assert [called.kind, served.kind] == [SpanKind.CLIENT, SpanKind.SERVER]
    assert served.parent is not None
    assert (served.parent.span_id, served.parent.is_remote) == (int(ids(called)[1], 16), True)
    assert called.parent is None
    assert [span.status.status_code for span in (called, served)] == [StatusCode.OK] * 2
    assert told(served)["rpc.service"] == "kratos.testing.Echo"
    assert served.instrumentation_scope is not None
    assert served.instrumentation_scope.name == "kratos"


@every_arity
async def test_error_sets_the_status_and_tells_code_and_reason(
    kept: Kept, method: Method[Any, Any]
) -> None:
    with pytest.raises(Error):
        await call_words(pair(kept.tracer), method, "fail")
    for span in kept.spans():
        assert span.status.status_code is StatusCode.ERROR
        assert (span.status.description or "").startswith("error: code = 409 reason = BUSY")
        assert (told(span)["rpc.status_code"], told(span)["error.type"]) == (409, "BUSY")
        (event,) = span.events
        attributes = dict(event.attributes or {})
        assert (event.name, attributes["exception.type"]) == ("exception", "kratos.errors.Error")
        assert "exception.stacktrace" not in attributes


async def test_crash_is_told_with_its_own_type_and_trace_where_it_happened(kept: Kept) -> None:
    with pytest.raises(Error):
        await pair(kept.tracer).unary(ECHO, text("crash"), None)
    called, served = kept.spans()
    (event,) = served.events
    attributes = dict(event.attributes or {})
    assert attributes["exception.type"] == "RuntimeError"
    assert "RuntimeError: an inner secret" in str(attributes["exception.stacktrace"])
    assert "an inner secret" not in str(called.events[0].attributes)


class Mute(Exception):
    def __str__(self) -> str:
        raise LookupError("no text")


@pytest.mark.parametrize("error", [Mute(), ValueError("\ud800"), Error(500, "\ud800", "\udfff")])
def test_error_whose_text_cannot_be_carried_ends_the_span_all_the_same(
    kept: Kept, error: Exception
) -> None:
    span = kept.tracer.start("/a.B/C", side=Side.SERVER, headers=Header(), attributes={})
    span.set("http.target", "/\ud800")
    try:
        raise error
    except Exception as raised:
        span.end(raised)
    (ended,) = kept.spans()
    ended.to_json().encode()
    assert ended.status.status_code is StatusCode.ERROR
    assert told(ended)["http.target"] == "/?"


async def test_spans_of_the_program_hang_between_those_of_calls(kept: Kept) -> None:
    own = kept.provider.get_tracer("shop")
    inner = pair(kept.tracer)

    class Relay(EchoService):
        async def _act(self, request: Any, method: Any) -> Any:
            with own.start_as_current_span("reserve"):
                return await inner.unary(ECHO, request, None)

    await pair(kept.tracer, Relay()).unary(ECHO, text("x"), None)
    spans = kept.spans()
    assert [span.name for span in spans] == [
        *(ECHO.operation, ECHO.operation, "reserve", ECHO.operation, ECHO.operation)
    ]
    for above, below in pairwise(spans):
        assert below.parent is not None
        assert f"{below.parent.span_id:016x}" == ids(above)[1]
    assert not trace.get_current_span().get_span_context().is_valid


async def test_server_hangs_below_its_headers_and_below_nothing_else(kept: Kept) -> None:
    with kept.provider.get_tracer("shop").start_as_current_span("of nobody's business"):
        begun(kept.tracer, Side.SERVER)
        begun(kept.tracer, Side.SERVER, traceparent=PARENT, tracestate="a=1,b=2")
    alone, below, _ = sorted(kept.spans(), key=lambda span: span.parent is not None)
    below = next(span for span in kept.spans() if span.parent is not None)
    assert alone.parent is None
    assert below.parent is not None
    assert ids(below)[0] == TRACE
    assert f"{below.parent.span_id:016x}" == SPAN
    assert below.context is not None
    assert below.context.trace_state.to_header() == "a=1,b=2"


@pytest.mark.parametrize(
    "header", ["", "00-broken", PARENT[:-1], f"ff{PARENT[2:]}", "00-" + "0" * 32 + PARENT[35:]]
)
async def test_malformed_header_is_as_none_and_no_line_of_the_log(kept: Kept, header: str) -> None:
    begun(kept.tracer, Side.SERVER, traceparent=header, tracestate=",=;", baggage=";=,%zz=\t")
    (span,) = kept.spans()
    assert span.parent is None


@pytest.mark.parametrize("state", ["1=x", "a=1,2b=2", "a@b=1,3@=x", f"{'a' * 250}@b=1"])
async def test_state_that_opentelemetry_would_complain_of_is_left_out(
    kept: Kept, state: str
) -> None:
    begun(kept.tracer, Side.SERVER, traceparent=PARENT, tracestate=state)
    (span,) = kept.spans()
    assert ids(span)[0] == TRACE


class TestHeaders:
    async def test_client_writes_where_it_stands_in_place_of_what_was_there(
        self, kept: Kept
    ) -> None:
        headers = begun(kept.tracer, traceparent=PARENT, tracestate="stale=1")
        (span,) = kept.spans()
        own_trace, own_span = ids(span)
        assert headers.values("traceparent") == [f"00-{own_trace}-{own_span}-01"]
        assert "tracestate" not in headers

    async def test_flag_that_older_peers_in_go_refuse_is_not_written(self, kept: Kept) -> None:
        # The SDK's ids are random, and it says so in the context; Go before 1.43 takes 00 and 01.
        assert begun(kept.tracer).get("traceparent").endswith("-01")
        assert begun(Kept(ALWAYS_OFF).tracer).get("traceparent").endswith("-00")

    async def test_baggage_goes_on_as_it_came(self, kept: Kept) -> None:
        seen: list[tuple[object, str]] = []
        inner = pair(kept.tracer, Looking(seen))
        header = "user=a%20b;ttl=1, plan = gold"

        class Relay(EchoService):
            async def _act(self, request: Any, method: Any) -> Any:
                seen.append((dict(baggage.get_all()), current_context().baggage))
                return await inner.unary(ECHO, request, None)

        options = CallOptions(headers={"baggage": header})
        await local(Relay(), middleware=[tracing(kept.tracer)]).unary(ECHO, text("x"), options)
        known = {"user": "a b", "plan": "gold"}
        assert [found for found, _ in seen] == [known, known]
        assert [raw for _, raw in seen] == [header, header]

    async def test_baggage_that_the_program_sets_goes_along(self, kept: Kept) -> None:
        token = context.attach(baggage.set_baggage("user", "a b,ü", context.get_current()))
        try:
            headers = begun(kept.tracer)
        finally:
            context.detach(token)
        assert headers.get("baggage") == "user=a%20b%2C%C3%BC"

    async def test_other_propagator_reads_and_writes_its_own(self) -> None:
        kept = Kept(propagator=Mark())
        headers = begun(kept.tracer, mark=f"{TRACE}:{SPAN}")
        begun(kept.tracer, Side.SERVER, mark=f"{TRACE}:{SPAN}")
        called, served = kept.spans()
        assert headers.get("mark") == ":".join(ids(called))
        assert "traceparent" not in headers
        assert ids(served)[0] == TRACE


class Looking(EchoService):
    def __init__(self, seen: list[tuple[object, str]]) -> None:
        super().__init__()
        self._seen = seen

    async def _act(self, request: Any, method: Any) -> Any:
        self._seen.append((dict(baggage.get_all()), current_context().baggage))
        return request


class Mark(TextMapPropagator):
    """A propagator of a header ``Mark``."""

    @property
    def fields(self) -> set[str]:
        return {"mark"}

    def extract(self, carrier: Any, context: Any = None, getter: Getter[Any] | None = None) -> Any:
        assert getter is not None
        assert "mark" in getter.keys(carrier)
        (value,) = getter.get(carrier, "Mark") or [""]
        trace_part, span_part = (int(part, 16) for part in value.split(":"))
        parent = trace.SpanContext(trace_part, span_part, True, trace.TraceFlags(1))
        return trace.set_span_in_context(trace.NonRecordingSpan(parent), context)

    def inject(self, carrier: Any, context: Any = None, setter: Setter[Any] | None = None) -> None:
        own = trace.get_current_span(context).get_span_context()
        assert setter is not None
        setter.set(carrier, "Mark", f"{own.trace_id:032x}:{own.span_id:016x}")


class TestSampling:
    async def test_caller_that_does_not_record_is_followed(self) -> None:
        kept = Kept()
        seen: list[str] = []

        async def look(call: Call, request: Any, next: Handler, /) -> Any:
            seen.append(call.headers.get("traceparent"))
            return await next(call, request)

        traced = tracing(kept.tracer)
        inner = local(EchoService(), middleware=[look], client_middleware=[traced])

        class Relay(EchoService):
            async def _act(self, request: Any, method: Any) -> Any:
                return await inner.unary(ECHO, request, None)

        headers = {"traceparent": f"00-{TRACE}-{SPAN}-00"}
        options = CallOptions(headers=headers)
        await local(Relay(), middleware=[traced]).unary(ECHO, text("x"), options)
        assert kept.spans() == []
        assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-00", seen[0])

    async def test_span_that_nobody_records_is_told_nothing(self) -> None:
        tracer = Kept(ParentBased(ALWAYS_OFF)).tracer
        span = tracer.start("/a.B/C", side=Side.SERVER, headers=Header(), attributes={})
        assert not span.recording
        assert span.context.valid
        assert not span.context.sampled

    async def test_sampler_sees_the_attributes_known_beforehand(self) -> None:
        seen: list[Any] = []

        class Look(Sampler):
            def should_sample(
                self,
                parent_context: Any,
                trace_id: int,
                name: str,
                kind: Any = None,
                attributes: Any = None,
                links: Any = None,
                trace_state: Any = None,
            ) -> Any:
                seen.append((name, dict(attributes)))
                return ALWAYS_OFF.should_sample(parent_context, trace_id, name)

            def get_description(self) -> str:
                return "Look"

        await local(EchoService(), middleware=[tracing(Kept(Look()).tracer)]).unary(
            ECHO, text("x"), None
        )
        ((name, attributes),) = seen
        assert (name, attributes["rpc.method"]) == (ECHO.operation, "Echo")


class TestWithoutAnything:
    """No Telemetry, no global provider: the trace of the caller goes on."""

    async def test_trace_of_the_caller_goes_on(self) -> None:
        headers = Header.of([("traceparent", PARENT), ("baggage", "a=1")])
        span = OtelTracer().start("/a.B/C", side=Side.SERVER, headers=headers, attributes={})
        assert (span.context.trace_id, span.context.span_id) == (TRACE, SPAN)
        assert not span.recording

    async def test_call_outside_of_a_trace_begins_none(self) -> None:
        assert "traceparent" not in begun(OtelTracer())


@pytest.mark.parametrize("transport", MAKERS)
@every_arity
async def test_span_of_a_stream_ends_when_the_stream_does(
    kept: Kept, transport: str, method: Method[Any, Any]
) -> None:
    traced = tracing(kept.tracer)
    async with reaching(transport, EchoService(), traced) as caller:
        await call_words(caller, method, "a", "b")
        await until(lambda: len(kept.spans()) == 2)
    assert [span.status.status_code for span in kept.spans()] == [StatusCode.OK] * 2


@either_transport
@every_arity
async def test_span_ends_with_a_client_that_goes_away(
    kept: Kept, transport: str, method: Method[Any, Any]
) -> None:
    service = EchoService()
    async with reaching(transport, service, tracing(kept.tracer)) as caller:
        task = asyncio.create_task(call_words(caller, method, "hang"))
        await eventually(service.entered)
        assert kept.spans() == []
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: len(kept.spans()) == 2)
    for span in kept.spans():
        assert span.status.status_code is StatusCode.ERROR
        assert told(span)["rpc.status_code"] == 499


@either_transport
async def test_span_of_a_stream_lasts_as_long_as_its_messages(kept: Kept, transport: str) -> None:
    more = asyncio.Event()

    class Slow(EchoService):
        async def watch(self, request: StringValue, /) -> AsyncIterator[StringValue]:
            yield request
            await more.wait()
            yield request

    async with reaching(transport, Slow(), tracing(kept.tracer)) as caller:
        async with caller.server_stream(WATCH, text("x"), None) as replies:
            await anext(replies)
            assert kept.spans() == []
            more.set()
            assert [reply.value async for reply in replies] == ["x"]
        await until(lambda: len(kept.spans()) == 2)
    for span in kept.spans():
        assert span.status.status_code is StatusCode.OK


@either_transport
async def test_span_of_a_stream_that_fails_in_its_middle_tells_so(
    kept: Kept, transport: str
) -> None:
    async with reaching(transport, EchoService(), tracing(kept.tracer)) as caller:
        async with caller.server_stream(WATCH, text("a b fail"), None) as replies:
            with pytest.raises(Error):
                async for _ in replies:
                    pass
        await until(lambda: len(kept.spans()) == 2)
    assert [told(span)["error.type"] for span in kept.spans()] == ["BUSY", "BUSY"]


async def test_lines_of_any_logger_have_the_ids(kept: Kept) -> None:
    class Lines:
        def __init__(self) -> None:
            self.written: list[bytes] = []

        def write(self, line: bytes, /) -> None:
            self.written.append(line)

    lines, memory = Lines(), MemoryLogger()
    plain = LineLogger(lines, format="json")
    valued = with_(memory, trace_id=trace_id(), span_id=span_id())

    class Logging(EchoService):
        async def _act(self, request: Any, method: Any) -> Any:
            plain.log(20, "an order")  # type: ignore[arg-type]
            valued.log(20, "an order")  # type: ignore[arg-type]
            return request

    await pair(kept.tracer, Logging()).unary(ECHO, text("x"), None)
    _, served = kept.spans()
    own_trace, own_span = ids(served)
    assert f'"trace_id":"{own_trace}","span_id":"{own_span}"'.encode() in lines.written[0]
    assert memory.records[0][2] == {"trace_id": own_trace, "span_id": own_span}


class TestCurrentConventions:
    @either_transport
    async def test_names_and_attributes_are_those_of_today(self, transport: str) -> None:
        kept = Kept(conventions="current")
        async with reaching(transport, EchoService(), tracing(kept.tracer)) as caller:
            with pytest.raises(Error):
                await caller.unary(ECHO, text("fail"))
            await until(lambda: len(kept.spans()) == 2)
        called, served = kept.spans()
        method = "kratos.testing.Echo/Echo"
        if transport == "http":
            names = {"POST /kratos.testing/echo"}
            common = {
                "http.request.method": "POST",
                "http.route": "/kratos.testing/echo",
                "url.path": "/kratos.testing/echo",
                "http.response.status_code": 409,
            }
        else:
            names = {method}
            common = {"rpc.system.name": "grpc", "rpc.response.status_code": "ABORTED"}
        common |= {"rpc.method": method, "error.type": "BUSY"}
        assert {called.name, served.name} == names
        for span in (called, served):
            assert common.items() <= told(span).items()
            assert not told(span).keys() & {"rpc.system", "net.peer.ip", "http.method"}
        assert told(called)["server.address"] == "127.0.0.1"
        assert isinstance(told(called)["server.port"], int)
        assert told(served)["client.address"] == told(served)["network.peer.address"] == "127.0.0.1"
        assert isinstance(told(served)["network.peer.port"], int)

    def test_others_are_refused(self) -> None:
        with pytest.raises(ValueError, match="must be kratos or current, not 'newest'"):
            OtelTracer(conventions="newest")  # type: ignore[arg-type]
