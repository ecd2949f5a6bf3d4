"""Tracing: spans of calls, and what goes with them from service to service (Go: tracing).

The core knows what a span of a call is and where it begins and ends; what records it is a
``Tracer``, which an installed distribution supplies. Without one a caller's trace is passed on.
"""

from kratos.tracing._attributes import (
    attributes,
    end_attributes,
    method_attributes,
    peer_attributes,
    target_of,
)
from kratos.tracing._context import EMPTY, SpanContext
from kratos.tracing._installed import default_tracer
from kratos.tracing._interface import (
    Activating,
    Attributes,
    AttributeValue,
    Span,
    Tracer,
    current_context,
    current_span,
)
from kratos.tracing._passing import PassingTracer
from kratos.tracing._propagation import (
    W3C,
    Baggage,
    Composite,
    Propagator,
    ServiceName,
    TraceContext,
    format_traceparent,
    parent_of,
    parse_traceparent,
    parse_tracestate,
)
from kratos.tracing._valuers import span_id, trace_id
from kratos.tracing._within import within

__all__ = [
    "EMPTY",
    "W3C",
    "Activating",
    "AttributeValue",
    "Attributes",
    "Baggage",
    "Composite",
    "PassingTracer",
    "Propagator",
    "ServiceName",
    "Span",
    "SpanContext",
    "TraceContext",
    "Tracer",
    "attributes",
    "current_context",
    "current_span",
    "default_tracer",
    "end_attributes",
    "format_traceparent",
    "method_attributes",
    "parent_of",
    "parse_traceparent",
    "parse_tracestate",
    "peer_attributes",
    "span_id",
    "target_of",
    "trace_id",
    "within",
]
