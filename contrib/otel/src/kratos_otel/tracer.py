"""Spans of Kratos on OpenTelemetry."""

from __future__ import annotations

import re
import traceback
from typing import Final, Literal, TypeAlias, get_args

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, Setter, TextMapPropagator
from opentelemetry.trace import NonRecordingSpan, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.trace.span import TraceFlags, TraceState

from kratos.errors import UNKNOWN_REASON, Error
from kratos.log import text_of
from kratos.tracing import EMPTY, W3C, Attributes, AttributeValue, SpanContext, TraceContext
from kratos.tracing import Span as KratosSpan
from kratos.transport import Header, Side
from kratos_otel import _baggage
from kratos_otel._current import Providers, follow
from kratos_otel._values import clean
from kratos_otel.conventions import Current

__all__ = ["Conventions", "OtelSpan", "OtelTracer"]

Conventions: TypeAlias = Literal["kratos", "current"]
"""Names of spans and attributes: those of Go Kratos, or today's semantic conventions."""

_SCOPE: Final = "kratos"  # the tracer's name, as in Go
_KINDS: Final = {Side.SERVER: SpanKind.SERVER, Side.CLIENT: SpanKind.CLIENT}
_OK: Final = Status(StatusCode.OK)
_NOWHERE: Final = Context()
_TRACE: Final = TraceContext()
_SAMPLED: Final = 1
_KEY: Final = re.compile(
    r"[a-z][_0-9a-z\-*/]{0,255}|[a-z0-9][_0-9a-z\-*/]{0,240}@[a-z][_0-9a-z\-*/]{0,13}"
)


class OtelSpan:
    """A span of a call.

    Attributes:
        context: Where it stands.
        recording: Whether anybody keeps what ``set`` is told.
    """

    __slots__ = ("_span", "around", "context", "recording")

    def __init__(self, span: trace.Span, context: SpanContext, around: Context) -> None:
        self._span: Final = span
        self.around: Final = around
        self.context: Final = context
        self.recording: Final = span.is_recording()

    def set(self, key: str, value: AttributeValue, /) -> None:
        """Set an attribute."""
        self._span.set_attribute(key, clean(value) if isinstance(value, str) else value)

    def end(self, error: BaseException | None = None, /) -> None:
        """End it: well, or with what failed, which it records."""
        if self.recording:
            if error is None:
                self._span.set_status(_OK)
            else:
                self._fail(error)
        self._span.end()

    def _fail(self, error: BaseException) -> None:
        raised = error.__cause__ if error.__traceback__ is None and error.__cause__ else error
        text = clean(text_of(raised))
        told = {"exception.type": _type_of(raised), "exception.message": text}
        # An error that a handler raises on purpose, or that came from afar, needs no trace.
        if not isinstance(raised, Error) and raised.__traceback__ is not None:
            told["exception.stacktrace"] = clean(_trace_of(raised))
        self._span.add_event("exception", told)
        reason = error.reason if isinstance(error, Error) else UNKNOWN_REASON
        self._span.set_attribute("error.type", clean(reason) or UNKNOWN_REASON)
        self._span.set_status(Status(StatusCode.ERROR, text))


class CurrentSpan(OtelSpan):
    """A span that is told under the names of today."""

    __slots__ = ("_words",)

    def __init__(
        self, span: trace.Span, context: SpanContext, around: Context, words: Current
    ) -> None:
        super().__init__(span, context, around)
        self._words: Final = words

    def set(self, key: str, value: AttributeValue, /) -> None:
        """Set what stands for an attribute."""
        for name, told in self._words.translated(key, value).items():
            super().set(name, told)


class OtelTracer:
    """Begins spans of calls on OpenTelemetry, which samples, records and exports them.

    They are current for OpenTelemetry, too, so that spans of the program and of libraries hang
    below them, and those of client calls below these. What comes in headers is read, and what
    goes out is written, as W3C Trace Context and W3C Baggage; baggage is OpenTelemetry's.

    Args:
        provider: Makes the spans; that of the ``Telemetry`` of this process if ``None``, or
            OpenTelemetry's global one where there is none.
        propagator: Reads and writes headers in place of W3C's, for instance B3.
        conventions: ``kratos`` names spans and attributes as Go Kratos does, by the semantic
            conventions 1.4.0; ``current`` as those of today.

    Raises:
        ValueError: There are no such conventions.
    """

    def __init__(
        self,
        provider: TracerProvider | None = None,
        *,
        propagator: TextMapPropagator | None = None,
        conventions: Conventions = "kratos",
    ) -> None:
        if conventions not in get_args(Conventions):
            raise ValueError(f"conventions must be kratos or current, not {conventions!r}")
        self._propagator: Final = propagator
        self._current: Final = conventions == "current"
        self._tracer: trace.Tracer = trace.NoOpTracer()
        if provider is None:
            follow(self)
        else:
            self._tracer = provider.get_tracer(_SCOPE)

    def start(
        self, name: str, /, *, side: Side, headers: Header, attributes: Attributes
    ) -> KratosSpan:
        """Begin a span; see ``kratos.tracing.Tracer``."""
        parent, carried = self._parent(side, headers)
        words = Current.of(side, attributes) if self._current else None
        span = self._tracer.start_span(
            name if words is None else words.name(name, attributes),
            parent,
            _KINDS[side],
            attributes if words is None else words.first(name, attributes),
        )
        around = trace.set_span_in_context(span, parent)
        context = _context_of(span.get_span_context(), carried)
        if side is Side.CLIENT:
            self._inject(headers, context, around)
        if words is None:
            return OtelSpan(span, context, around)
        return CurrentSpan(span, context, around, words)

    def activate(self, span: KratosSpan, /) -> object:
        """Make a span current for OpenTelemetry, too; see ``kratos.tracing.Activating``."""
        return contexts.attach(span.around) if isinstance(span, OtelSpan) else None

    def deactivate(self, token: object, /) -> None:
        """Make current what was so before."""
        if token is not None:
            contexts.detach(token)  # type: ignore[arg-type]  # what activate returned

    def bind(self, providers: Providers, /) -> None:
        """Use these from now on."""
        self._tracer = providers.tracer_provider().get_tracer(_SCOPE)

    def _parent(self, side: Side, headers: Header) -> tuple[Context, str]:
        """Return what a span hangs below, and the baggage that came with it."""
        if side is Side.CLIENT:
            return contexts.get_current(), ""
        if self._propagator is not None:
            return self._propagator.extract(headers, _NOWHERE, _GETTER), ""
        caller = W3C.extract(headers, EMPTY)
        if caller is EMPTY:
            return _NOWHERE, ""
        parent = trace.set_span_in_context(_remote(caller), _NOWHERE) if caller.valid else _NOWHERE
        if caller.baggage:
            parent = _baggage.received(caller.baggage, parent)
        return parent, caller.baggage

    def _inject(self, headers: Header, context: SpanContext, around: Context) -> None:
        if self._propagator is not None:
            self._propagator.inject(headers, around, _SETTER)
            return
        # Without the flag that says that ids are random: OpenTelemetry for Go of before 1.43, which
        # Go Kratos v2 brings, drops the whole trace on seeing it.
        _TRACE.inject(headers, context._replace(flags=context.flags & _SAMPLED))
        carried = _baggage.to_send(around)
        if carried:
            headers.set("baggage", carried)


def _remote(caller: SpanContext) -> trace.Span:
    return NonRecordingSpan(
        trace.SpanContext(
            trace_id=int(caller.trace_id, 16),
            span_id=int(caller.span_id, 16),
            is_remote=True,
            trace_flags=TraceFlags(caller.flags),
            trace_state=_state(caller.state) if caller.state else None,
        )
    )


def _state(text: str) -> TraceState | None:
    members = [(key, value) for key, _, value in (m.partition("=") for m in text.split(","))]
    # Level 2 of the specification allows keys that OpenTelemetry does not, and would log each time.
    return TraceState(members) if all(_KEY.fullmatch(key) for key, _ in members) else None


def _context_of(own: trace.SpanContext, carried: str) -> SpanContext:
    if not own.is_valid:
        return SpanContext(baggage=carried) if carried else EMPTY
    state = own.trace_state
    return SpanContext(
        trace_id=f"{own.trace_id:032x}",
        span_id=f"{own.span_id:016x}",
        flags=int(own.trace_flags),
        state=state.to_header() if state else "",
        baggage=carried,
    )


def _trace_of(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception as failure:  # of an exception's own code
        return f"its trace cannot be shown: {type(failure).__name__}"


def _type_of(error: BaseException) -> str:
    kind = type(error)
    parts = [part for part in kind.__module__.split(".") if not part.startswith("_")]
    return kind.__qualname__ if parts == ["builtins"] else ".".join((*parts, kind.__qualname__))


class _Getter(Getter[Header]):
    """Reads headers for a propagator of OpenTelemetry."""

    def get(self, carrier: Header, key: str) -> list[str] | None:
        return carrier.values(key) or None

    def keys(self, carrier: Header) -> list[str]:
        return carrier.keys()


class _Setter(Setter[Header]):
    """Writes headers for a propagator of OpenTelemetry."""

    def set(self, carrier: Header, key: str, value: str) -> None:
        carrier.set(key.lower(), value)


_GETTER: Final = _Getter()
_SETTER: Final = _Setter()
