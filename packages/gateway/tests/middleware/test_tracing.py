"""Spans of attempts, in the trace of the caller (Go: middleware/tracing)."""

from __future__ import annotations

import asyncio

import pytest
from google.protobuf.duration_pb2 import Duration

from kratos.errors import ConfigError
from kratos.log import current_fields
from kratos.testing.tracing import MemoryTracer
from kratos.tracing import PassingTracer, current_span, parse_traceparent
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.tracing_pb2 import Tracing
from kratos_gateway.exchange import Answer, Handler, Request
from kratos_gateway.middleware import Context
from kratos_gateway.middleware.testing import Backend, Pieces, behind, request_to

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ITEMS = Endpoint(path="/items/{id}")


def traced(backend: Handler, tracer: MemoryTracer | PassingTracer) -> Handler:
    context = Context(tracer=tracer)
    return behind(backend, "tracing", Tracing(), endpoint=ITEMS, context=context)


async def test_trace_of_the_caller_goes_on_at_the_back_end() -> None:
    tracer, backend = MemoryTracer(), Backend(Answer(204))
    await traced(backend, tracer)(request_to("/items/7", headers=[("traceparent", CALLER)]))
    served, asked = tracer.finished()
    assert tracer.tree() == ["server GET /items/{id}", "  client GET /items/{id}"]
    assert (served.parent.trace_id, served.parent.span_id) == (CALLER[3:35], CALLER[36:52])
    told = parse_traceparent(backend.last.header(b"traceparent").decode())
    assert told is not None
    assert (told.trace_id, told.span_id) == (CALLER[3:35], asked.context.span_id)


async def test_request_without_a_trace_begins_one() -> None:
    tracer, backend = MemoryTracer(), Backend()
    await traced(backend, tracer)(request_to("/items/7"))
    assert backend.last.header(b"traceparent")
    assert not tracer.finished()[0].parent.valid


async def test_spans_tell_what_was_asked_and_answered() -> None:
    tracer = MemoryTracer()
    request = request_to("/items/7?token=secret", method="PUT")
    request.options.backends.append("10.0.0.1:80")
    await traced(Backend(Answer(503)), tracer)(request)
    served, asked = tracer.finished()
    common = {
        "http.method": "PUT",
        "http.target": "/items/7",
        "http.route": "/items/{id}",
        "http.status_code": 503,
    }
    assert served.attributes == {**common, "net.peer.ip": "192.0.2.7:40000"}
    assert asked.attributes == {**common, "net.peer.ip": "10.0.0.1:80"}
    assert served.error is None  # an answer is an answer, as in Go


async def test_spans_end_with_the_body() -> None:
    tracer = MemoryTracer()
    body = Pieces(b"a", b"b", trailers=[(b"grpc-status", b"0")])
    answer = await traced(Backend(Answer(200, body=body)), tracer)(request_to())
    assert not isinstance(answer.body, bytes)
    assert await answer.body.read() == b"a"
    assert not any(span.ended for span in tracer.spans)
    assert [await answer.body.read(), await answer.body.read()] == [b"b", b""]
    assert answer.body.trailers == [(b"grpc-status", b"0")]
    assert [span.error for span in tracer.finished()] == [None, None]
    answer.body.close()  # and not once more


async def test_spans_of_a_websocket_end_with_its_handshake() -> None:
    tracer, socket = MemoryTracer(), Pieces()
    answer = await traced(Backend(Answer(101, body=socket)), tracer)(request_to())
    assert answer.body is socket
    assert [span.attributes["http.status_code"] for span in tracer.finished()] == [101, 101]


async def test_spans_of_a_body_that_is_lost_or_left_end_with_an_error() -> None:
    lost = MemoryTracer()
    answer = await traced(Backend(Answer(200, body=Pieces(ConnectionError("lost")))), lost)(
        request_to()
    )
    assert not isinstance(answer.body, bytes)
    with pytest.raises(ConnectionError):
        await answer.body.read()
    assert [str(span.error) for span in lost.finished()] == ["lost", "lost"]
    left = MemoryTracer()
    answer = await traced(Backend(Answer(200, body=Pieces(b"a"))), left)(request_to())
    assert not isinstance(answer.body, bytes)
    answer.body.close()
    assert all(span.error is not None for span in left.finished())


async def test_attempt_without_an_answer_ends_its_spans_with_the_error() -> None:
    tracer = MemoryTracer()
    with pytest.raises(ConnectionError):
        await traced(Backend(ConnectionError("refused")), tracer)(request_to())
    assert [str(span.error) for span in tracer.finished()] == ["refused", "refused"]


async def test_spans_of_an_attempt_whose_time_is_over_end_with_that() -> None:
    async def cancelled(_request: Request, /) -> Answer:
        raise asyncio.CancelledError

    tracer, request = MemoryTracer(), request_to()
    request.options.is_late = lambda: True
    with pytest.raises(asyncio.CancelledError):
        await traced(cancelled, tracer)(request)
    assert [type(span.error) for span in tracer.finished()] == [TimeoutError, TimeoutError]


async def test_span_and_fields_of_logs_are_current_further_in_and_not_outside() -> None:
    tracer = MemoryTracer()
    seen: list[object] = []

    async def inner(_request: Request, /) -> Answer:
        seen.extend((current_span(), dict(current_fields())))
        return Answer(200)

    await traced(inner, tracer)(request_to())
    served, asked = tracer.finished()
    fields = {"trace_id": served.context.trace_id, "span_id": served.context.span_id}
    assert seen == [asked, fields]
    assert current_span() is None


async def test_without_a_tracer_the_trace_is_passed_on_as_it_came() -> None:
    backend = Backend()
    sent = [("traceparent", CALLER), ("x-latin", "\udcff")]
    request = request_to()
    request.headers = [
        (name.encode(), text.encode("utf-8", "surrogateescape")) for name, text in sent
    ]
    await traced(backend, PassingTracer())(request)
    assert backend.last.headers == [(b"traceparent", CALLER.encode()), (b"x-latin", b"\xff")]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (Tracing(http_endpoint="a:1", sample_ratio=2), "sampleRatio must be from 0 to 1"),
        (Tracing(http_endpoint="a:1", timeout=Duration(seconds=-1)), "timeout must be at least"),
        (Tracing(http_endpoint="http://a:1"), "httpEndpointUrl"),
        (Tracing(http_endpoint_url="a:1"), "URL of http or https"),
    ],
)
def test_options_out_of_range_are_refused(options: Tracing, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        behind(Backend(), "tracing", options)
