"""Headers by which a trace goes from service to service.

Sources: W3C Trace Context, https://www.w3.org/TR/trace-context/ (level 1; of level 2 the flag that
says that an id is random), and W3C Baggage, https://www.w3.org/TR/baggage/.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from kratos.tracing._context import EMPTY, SpanContext
from kratos.tracing._interface import current_context
from kratos.transport.call import Side
from kratos.transport.header import Header

__all__ = [
    "SERVICE_NAME",
    "W3C",
    "Baggage",
    "Composite",
    "Propagator",
    "ServiceName",
    "TraceContext",
    "format_traceparent",
    "parent_of",
    "parse_traceparent",
    "parse_tracestate",
]

_TRACEPARENT: Final = "traceparent"
_TRACESTATE: Final = "tracestate"
_BAGGAGE: Final = "baggage"
SERVICE_NAME: Final = "x-md-service-name"

_PARENT: Final = re.compile(
    r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.A
)
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_FLAGS: Final = 0b11  # sampled, and random; others mean nothing yet and are not passed on

_MEMBER: Final = re.compile(
    r"[a-z0-9][a-z0-9_\-*/]{0,255}(?:@[a-z][a-z0-9_\-*/]{0,13})?="
    r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MOST_MEMBERS: Final = 32
_MOST_BAGGAGE: Final = 8192  # bytes
_SPACE: Final = " \t"


class Propagator(Protocol):
    """Reads and writes some headers."""

    @property
    def fields(self) -> Sequence[str]:
        """Lower-case names of the headers."""
        ...

    def extract(self, headers: Header, context: SpanContext, /) -> SpanContext:
        """Return ``context`` with what the headers tell; never raises for what they hold."""
        ...

    def inject(self, headers: Header, context: SpanContext, /) -> None:
        """Write into headers what is to be passed on; what there is of it, is replaced."""
        ...


def parse_traceparent(text: str) -> SpanContext | None:
    """Return what a ``traceparent`` says; ``None`` if it is malformed.

    Of a later version than 00, what follows the four known parts is passed over.
    """
    found = _PARENT.fullmatch(text.strip(_SPACE))
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if (
        version == "ff"
        or (version == "00" and rest)
        or trace_id == _NO_TRACE
        or span_id == _NO_SPAN
    ):
        return None
    return SpanContext(trace_id=trace_id, span_id=span_id, flags=int(flags, 16) & _FLAGS)


def format_traceparent(context: SpanContext) -> str:
    """Return the ``traceparent`` of a span in a trace."""
    return f"00-{context.trace_id}-{context.span_id}-{context.flags & _FLAGS:02x}"


def parse_tracestate(texts: Iterable[str]) -> str:
    """Return the ``tracestate`` of one or more headers; empty if it is malformed.

    That is the case with a member that is none, one key twice, or more than 32 members.
    """
    members = [member.strip(_SPACE) for text in texts for member in text.split(",")]
    members = [member for member in members if member]
    keys = {member.partition("=")[0] for member in members}
    if len(keys) != len(members) or len(members) > _MOST_MEMBERS:
        return ""
    if not all(map(_MEMBER.fullmatch, members)):
        return ""
    return ",".join(members)


class TraceContext:
    """``traceparent`` and ``tracestate`` of W3C."""

    __slots__ = ()

    fields = (_TRACEPARENT, _TRACESTATE)

    def extract(self, headers: Header, context: SpanContext, /) -> SpanContext:
        """Return the caller's span; ``context`` if there is none, or not exactly one."""
        parents = headers.values(_TRACEPARENT)
        parent = parse_traceparent(parents[0]) if len(parents) == 1 else None
        if parent is None:
            return context
        states = headers.values(_TRACESTATE)
        state = parse_tracestate(states) if states else ""
        if state or context.baggage:
            parent = parent._replace(state=state, baggage=context.baggage)
        return parent

    def inject(self, headers: Header, context: SpanContext, /) -> None:
        """Write the span; outside of a trace, nothing."""
        if not context.valid:
            return
        headers.set(_TRACEPARENT, format_traceparent(context))
        if context.state:
            headers.set(_TRACESTATE, context.state)
        elif _TRACESTATE in headers:
            headers.remove(_TRACESTATE)


class Baggage:
    """``baggage`` of W3C, passed on as it comes."""

    __slots__ = ()

    fields = (_BAGGAGE,)

    def extract(self, headers: Header, context: SpanContext, /) -> SpanContext:
        """Return ``context`` with the baggage; none if it is no ASCII, or more than 8192 bytes."""
        baggage = ",".join(filter(None, headers.values(_BAGGAGE)))
        if not baggage or len(baggage) > _MOST_BAGGAGE:
            return context
        if not (baggage.isascii() and baggage.isprintable()):
            return context
        return context._replace(baggage=baggage)

    def inject(self, headers: Header, context: SpanContext, /) -> None:
        """Write the baggage, if there is any."""
        if context.baggage:
            headers.set(_BAGGAGE, context.baggage)


class Composite:
    """Several propagators as one, in their order.

    Attributes:
        fields: Lower-case names of all their headers.
    """

    __slots__ = ("_propagators", "fields")

    def __init__(self, *propagators: Propagator) -> None:
        self._propagators = propagators
        self.fields = tuple(dict.fromkeys(name for each in propagators for name in each.fields))

    def extract(self, headers: Header, context: SpanContext, /) -> SpanContext:
        """Return ``context`` with what all of them read."""
        if headers.mentions(self.fields):  # most have none, and need not be decoded
            for propagator in self._propagators:
                context = propagator.extract(headers, context)
        return context

    def inject(self, headers: Header, context: SpanContext, /) -> None:
        """Write what all of them write."""
        for propagator in self._propagators:
            propagator.inject(headers, context)


W3C: Final = Composite(Baggage(), TraceContext())
"""What Kratos speaks by default, apart from ``ServiceName``."""


def parent_of(side: Side, headers: Header, propagator: Propagator) -> SpanContext:
    """Return what a new span hangs below: what the headers tell a server, or the current span."""
    return propagator.extract(headers, EMPTY) if side is Side.SERVER else current_context()


class ServiceName:
    """``x-md-service-name``, by which a callee learns who calls (Go: tracing.Metadata)."""

    __slots__ = ()

    fields = (SERVICE_NAME,)

    def extract(self, headers: Header, /) -> str:
        """Return the name of the calling service; empty if it does not tell."""
        return headers.get(SERVICE_NAME) if headers.mentions(self.fields) else ""

    def inject(self, headers: Header, name: str, /) -> None:
        """Write the name of this service, if it has one."""
        if name:
            headers.set(SERVICE_NAME, name)
