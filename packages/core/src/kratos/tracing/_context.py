"""Where a span stands: what goes with a call from service to service."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["EMPTY", "SpanContext"]

_SAMPLED: Final = 1


class SpanContext(NamedTuple):
    """The ids of a span, and what else its callees are told.

    Attributes:
        trace_id: 32 lower-case hexadecimal digits; empty where there is no trace.
        span_id: 16 of them; empty where there is no trace.
        flags: Those of W3C Trace Context, of which 1 says that the caller records.
        state: What vendors pass on, as in ``tracestate``.
        baggage: What applications pass on, as in ``baggage``. May be there without a trace.
    """

    trace_id: str = ""
    span_id: str = ""
    flags: int = 0
    state: str = ""
    baggage: str = ""

    @property
    def valid(self) -> bool:
        """Whether it belongs to a trace."""
        return bool(self.trace_id)

    @property
    def sampled(self) -> bool:
        """Whether the caller records the trace."""
        return bool(self.flags & _SAMPLED)


EMPTY: Final = SpanContext()
"""Outside of every trace."""
