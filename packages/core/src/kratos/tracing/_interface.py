"""What records spans, and which span the running code belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final, Protocol, TypeAlias, runtime_checkable

from kratos.tracing._context import EMPTY, SpanContext
from kratos.transport.call import Side
from kratos.transport.header import Header

__all__ = [
    "SPAN",
    "Activating",
    "AttributeValue",
    "Attributes",
    "Span",
    "Tracer",
    "current_context",
    "current_span",
]

AttributeValue: TypeAlias = "str | int | float | bool"
Attributes: TypeAlias = "Mapping[str, AttributeValue]"


class Span(Protocol):
    """One call, or one attempt of it, in a trace."""

    @property
    def context(self) -> SpanContext:
        """Where it stands."""
        ...

    @property
    def recording(self) -> bool:
        """Whether anybody keeps what ``set`` is told; else nothing is worked out for it."""
        ...

    def set(self, key: str, value: AttributeValue, /) -> None:
        """Set an attribute."""
        ...

    def end(self, error: BaseException | None = None, /) -> None:
        """End the span, once: well, or with what failed."""
        ...


class Tracer(Protocol):
    """Begins spans. What it writes and reads in headers is its own affair.

    It may be ``Activating``, too.
    """

    def start(self, name: str, /, *, side: Side, headers: Header, attributes: Attributes) -> Span:
        """Begin a span.

        On a server its parent is what the headers tell, and nothing else. On a client its parent
        is the current span, and the span is written into the headers, in place of what is there.
        Must not raise for what strangers send: malformed headers are as none.

        Args:
            name: The operation.
            side: Which end of the call this is.
            headers: Those of the request.
            attributes: What is known beforehand. Kept as it is: it must not be changed.
        """
        ...


@runtime_checkable
class Activating(Protocol):
    """What a tracer has besides if it has a current span of its own; optional."""

    def activate(self, span: Span, /) -> object:
        """Make a span current, in this context, and return what ``deactivate`` needs."""
        ...

    def deactivate(self, token: object, /) -> None:
        """Make current what was so before; called in the same context."""
        ...


# Read with ``current_span()``; only the middleware sets it.
SPAN: Final[ContextVar[Span | None]] = ContextVar("kratos.span", default=None)


def current_span() -> Span | None:
    """Return the span of the call that this code runs for; ``None`` outside of one.

    In a handler, and in what it calls and starts, that is the span of the inbound call; in the
    chain of a client, further in than ``tracing``, that of the client's call.
    """
    return SPAN.get()


def current_context() -> SpanContext:
    """Return where the current span stands; ``EMPTY`` outside of one."""
    span = SPAN.get()
    return EMPTY if span is None else span.context
