"""Passing a trace on without recording it."""

from __future__ import annotations

from secrets import token_hex
from typing import Final

from kratos.tracing._context import EMPTY, SpanContext
from kratos.tracing._interface import Attributes, AttributeValue
from kratos.tracing._propagation import W3C, Propagator, parent_of
from kratos.transport.call import Side
from kratos.transport.header import Header

__all__ = ["PassingTracer"]


class PassingTracer:
    """Hands the caller's trace to logs and to the next service, and records nothing.

    Spans are not new ones: they stand where the caller's span stands, which is what the
    specification asks of those who take no part. So the next service's spans hang below those of
    the caller, and no span is missing between them.

    Args:
        propagator: What is read and written.
        begin: Whether a call without a trace begins one, so that the logs of all services behind
            share an id. It says to these that nobody records, which samplers that follow their
            parent obey: only for where none of them records.
    """

    __slots__ = ("_begin", "_propagator")

    def __init__(self, *, propagator: Propagator = W3C, begin: bool = False) -> None:
        self._propagator = propagator
        self._begin = begin

    def start(self, name: str, /, *, side: Side, headers: Header, attributes: Attributes) -> _Span:
        """Begin a span where the caller's stands."""
        context = parent_of(side, headers, self._propagator)
        if self._begin and not context.valid:
            context = SpanContext(
                trace_id=token_hex(16), span_id=token_hex(8), baggage=context.baggage
            )
        if side is Side.CLIENT and context is not EMPTY:
            self._propagator.inject(headers, context)
        return _NOWHERE if context is EMPTY else _Span(context)


class _Span:
    """A span that nobody records."""

    __slots__ = ("context",)

    recording: bool = False

    def __init__(self, context: SpanContext) -> None:
        self.context: Final = context

    def set(self, key: str, value: AttributeValue, /) -> None:
        pass

    def end(self, error: BaseException | None = None, /) -> None:
        pass


_NOWHERE: Final = _Span(EMPTY)
