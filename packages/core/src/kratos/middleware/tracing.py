"""Spans of calls (Go: middleware/tracing, contrib/otel/tracing)."""

from __future__ import annotations

from typing import Any, Final

from kratos.log import context_fields
from kratos.metadata import SERVER_METADATA, Metadata
from kratos.middleware._outcome import outcome
from kratos.options import require_methods
from kratos.tracing import (
    Activating,
    ServiceName,
    Span,
    Tracer,
    attributes,
    default_tracer,
    end_attributes,
    method_attributes,
)
from kratos.tracing._interface import SPAN, Attributes
from kratos.tracing._propagation import SERVICE_NAME
from kratos.transport.call import Call, Handler, Side
from kratos.transport.chain import Middleware, PerMethod
from kratos.transport.method import Method

__all__ = ["is_tracing", "tracing"]

_SERVER: Final = Side.SERVER
_CLIENT: Final = Side.CLIENT
_SERVICE: Final = ServiceName()


def tracing(tracer: Tracer | None = None, *, log_fields: bool = True) -> PerMethod:
    """Make a span of each call, on servers and clients and of all arities.

    The span has the name of the operation and Go Kratos' attributes, and ends with the call, a
    stream's at its end, with the error that the caller gets. On a server its parent is what the
    request's headers tell; on a client it is the current span, and the span is written into the
    headers. It is current further in, see ``kratos.tracing.current_span``: in the handler, in the
    client calls that this makes, and in its logs.

    On a client, outside of ``retry`` and ``hedging`` there is a span for each call; once more
    inside of them, for each attempt, below that one:

        Client(target, middleware=[tracing(), retry(), tracing()])

    It also says in ``x-md-service-name`` who calls, where the ``App`` around a client has a name,
    and puts that of a caller into the server metadata.

    Args:
        tracer: Makes the spans; ``kratos.tracing.default_tracer()`` by default: what an installed
            distribution brings, else one that passes the caller's trace on to logs and to the next
            service.
        log_fields: Whether all records that Kratos' loggers write within a call that is served
            have its ``trace_id`` and ``span_id``.
    """
    require_methods("tracer", tracer, "a tracer", "start")
    return _Tracing(tracer, log_fields=log_fields)


def is_tracing(element: object) -> bool:
    """Tell whether this is what ``tracing`` returns."""
    return isinstance(element, _Tracing)


class _Tracing:
    __slots__ = ("_log_fields", "_tracer")

    def __init__(self, tracer: Tracer | None, *, log_fields: bool) -> None:
        self._tracer = tracer
        self._log_fields = log_fields

    def bind(self, method: Method[Any, Any], /) -> Middleware:
        tracer = default_tracer() if self._tracer is None else self._tracer
        return _Traced(tracer, method, log_fields=self._log_fields).link


class _Traced:
    """The spans of one method."""

    __slots__ = ("_active", "_log_fields", "_method", "_service", "_start", "_told")

    def __init__(self, tracer: Tracer, method: Method[Any, Any], *, log_fields: bool) -> None:
        self._start = tracer.start
        self._active = tracer if isinstance(tracer, Activating) else None
        self._method = method
        self._log_fields = log_fields
        self._service = _own_name()
        self._told: dict[str, Attributes] = {}

    def link(self, call: Call, request: Any, next: Handler, /) -> Any:
        """Run a call in its span."""
        if call.side is _CLIENT:
            return self._ask(call, request, next)
        return self._serve(call, request, next)

    async def _serve(self, call: Call, request: Any, next: Handler) -> Any:
        span = self._begin(call)
        token = None
        service = _SERVICE.extract(call.headers)
        if service:
            metadata = SERVER_METADATA.get()
            if metadata is None:
                token = SERVER_METADATA.set(Metadata({SERVICE_NAME: [service]}))
            else:
                metadata.set(SERVICE_NAME, service)
        try:
            if self._log_fields and span.context.valid:
                context = span.context
                with context_fields(trace_id=context.trace_id, span_id=context.span_id):
                    return await self._run(span, call, request, next)
            return await self._run(span, call, request, next)
        finally:
            if token is not None:
                SERVER_METADATA.reset(token)

    async def _ask(self, call: Call, request: Any, next: Handler) -> Any:
        span = self._begin(call)
        _SERVICE.inject(call.headers, self._service)
        return await self._run(span, call, request, next)

    def _begin(self, call: Call) -> Span:
        told = self._told.get(call.transport)
        if told is None:
            told = self._told[call.transport] = method_attributes(self._method, call.transport)
        return self._start(
            self._method.operation, side=call.side, headers=call.headers, attributes=told
        )

    async def _run(self, span: Span, call: Call, request: Any, next: Handler) -> Any:
        if span.recording:
            _tell(span, attributes(call, request))
        active = None if self._active is None else self._active.activate(span)
        token = SPAN.set(span)
        try:
            reply = await next(call, request)
        except BaseException as error:
            _end(span, call, None, error)
            raise
        else:
            _end(span, call, reply, None)
            return reply
        finally:
            SPAN.reset(token)
            if self._active is not None:
                self._active.deactivate(active)


def _end(span: Span, call: Call, reply: Any, error: BaseException | None) -> None:
    end = outcome(call, error)  # of a call that was cut off, too, whatever was made of that
    if span.recording:
        _tell(span, end_attributes(call, reply, None if end.ok else end.code))
    span.end(end.error)


def _tell(span: Span, told: Attributes) -> None:
    for key, value in told.items():
        span.set(key, value)


def _own_name() -> str:
    from kratos.app._context import app_info  # an App is built on chains, and so on this

    info = app_info()
    return "" if info is None else info.name
