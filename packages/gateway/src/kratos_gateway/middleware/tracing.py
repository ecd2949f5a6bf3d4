"""Spans of attempts, in the trace of the caller (Go: middleware/tracing)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.log import context_fields
from kratos.tracing import Attributes, AttributeValue, Span, Tracer, default_tracer, within
from kratos.transport import Header, Side
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.tracing_pb2 import Tracing
from kratos_gateway.exchange import Answer, Handler, Middleware, Request
from kratos_gateway.middleware.bodies import Watched
from kratos_gateway.middleware.collector import Collector
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.options import options_of
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.requests import with_headers

__all__ = ["build"]

_NO_FIELDS: Final = nullcontext()
_SWITCHING: Final = 101


def build(options: AnyMessage | None, context: Context, /) -> Middleware:
    """Make what tells a tracer of each attempt.

    There are two spans: one of what is served, below the span of the caller, and one of what is
    asked, below that; the back end is told the second. Both end with the answer's body. They are
    named by method and path of the endpoint, so that there are few names.

    Where the options name a collector, spans go there, which needs ``kratos-otel[http]``; else to
    the tracer of the process. Logs that are written within have ``trace_id`` and ``span_id``.

    Raises:
        ConfigError: An option is out of its range.
        MissingDependency: There is a collector, and no distribution that reaches it.
    """
    told = options_of(options, Tracing)
    collector = Collector.of(told)
    if collector is None:
        tracer = default_tracer() if context.tracer is None else context.tracer
        return Plain(lambda handler, endpoint: _Traced(handler, endpoint, tracer).handle)
    exporting = collector.tracer
    return Plain(
        lambda handler, endpoint: _Traced(handler, endpoint, exporting).handle,
        close=collector.aclose,
    )


class _Traced:
    """A handler within spans."""

    def __init__(self, handler: Handler, endpoint: Endpoint, tracer: Tracer) -> None:
        self._handler: Final = handler
        self._path: Final = endpoint.path
        self._tracer: Final = tracer

    async def handle(self, request: Request, /) -> Answer:
        tracer = self._tracer
        name = f"{request.method} {self._path}"
        headers = Header(request.headers)
        told = _attributes(request, self._path)
        served = tracer.start(name, side=Side.SERVER, headers=headers, attributes=told)
        with within(served, tracer=tracer):
            asked = tracer.start(name, side=Side.CLIENT, headers=headers, attributes=told)
            spans = _Spans(served, asked)
            try:
                with within(asked, tracer=tracer), _fields(served):
                    answer = await self._handler(with_headers(request, headers.raw()))
            except BaseException as error:
                late = request.options.is_late()
                spans.end(TimeoutError("its time is over") if late else error)
                raise
        spans.answered(request, answer)
        return answer


class _Spans:
    """Both spans of an attempt."""

    __slots__ = ("_asked", "_served")

    def __init__(self, served: Span, asked: Span) -> None:
        self._served: Final = served
        self._asked: Final = asked

    def answered(self, request: Request, answer: Answer) -> None:
        backends = request.options.backends
        if backends:
            self._asked.set("net.peer.ip", backends[-1])  # with the port, as in Go
        self._served.set("net.peer.ip", request.peer)
        for span in (self._served, self._asked):
            span.set("http.status_code", answer.status)
        if isinstance(answer.body, bytes) or answer.status == _SWITCHING:
            self.end(None)  # of a WebSocket, the handshake is what is traced
        else:
            answer.body = Watched(answer.body, self.end)

    def end(self, error: BaseException | None) -> None:
        self._asked.end(error)
        self._served.end(error)


def _attributes(request: Request, route: str) -> Attributes:
    told: dict[str, AttributeValue] = {
        "http.method": request.method,
        "http.target": request.path,  # as in Go without the query, which may hold secrets
        "http.route": route,
    }
    return told


def _fields(span: Span) -> AbstractContextManager[None]:
    context = span.context
    if not context.valid:
        return _NO_FIELDS
    return context_fields(trace_id=context.trace_id, span_id=context.span_id)
