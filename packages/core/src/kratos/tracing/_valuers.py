"""The ids of the current span in logs (Go: tracing.TraceID, tracing.SpanID)."""

from __future__ import annotations

from kratos.log import Valuer
from kratos.tracing._interface import current_context

__all__ = ["span_id", "trace_id"]


def trace_id() -> Valuer:
    """Return the id of the trace that a record belongs to; empty outside of one."""
    return Valuer(lambda: current_context().trace_id)


def span_id() -> Valuer:
    """Return the id of the span that a record belongs to; empty outside of one."""
    return Valuer(lambda: current_context().span_id)
