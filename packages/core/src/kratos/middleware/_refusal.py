"""The error in place of a call that was not let through, and its count."""

from __future__ import annotations

from math import ceil, isfinite

from aegis.refusal import Refused
from kratos.errors import Error
from kratos.metrics import Counter, Meter
from kratos.transport.call import Call, Side

__all__ = ["RETRY_AFTER", "Refusals", "tell"]

RETRY_AFTER = "retry_after"
"""Key of an error's metadata: seconds after which a try may succeed, as a decimal number."""

_LABELS = ("kind", "operation", "reason")


class Refusals:
    """Makes the errors of one middleware's refusals and counts them.

    Args:
        code: Code of the errors.
        reason: Their reason.
        message: Their text.
        meter: Makes ``server_requests_refused_total`` and ``client_requests_refused_total``,
            by kind of transport, operation and reason.
    """

    __slots__ = ("_code", "_counters", "_message", "_reason", "_series")

    def __init__(self, code: int, reason: str, message: str, meter: Meter) -> None:
        self._code = code
        self._reason = reason
        self._message = message
        self._counters = {
            side: meter.counter(
                f"{side.value}_requests_refused_total",
                description="Calls that were not let through.",
                unit="{call}",
                labels=_LABELS,
            )
            for side in Side
        }
        # Grows with the operations, which the definitions bound, and not with the calls.
        self._series: dict[tuple[Side, str, str], Counter] = {}

    def error(self, call: Call, refused: Refused | None = None) -> Error:
        """Count the refusal of a call and return what to raise for it.

        ``retry_after``, where it is known, stands in the metadata; a server says it in the
        header ``Retry-After`` too.
        """
        key = (call.side, call.transport, call.method.operation)
        series = self._series.get(key)
        if series is None:
            counter = self._counters[call.side]
            series = counter.labels(call.transport, call.method.operation, self._reason)
            self._series[key] = series
        series.inc()
        error = Error(self._code, self._reason, self._message)
        if refused is not None:
            error.__cause__ = refused
            after = refused.retry_after
            if after is not None and isfinite(after):
                tell(call, error, max(after, 0.0))
        return error


def tell(call: Call, error: Error, seconds: float) -> None:
    """Say in an error, and on a server in a header, when a try may succeed."""
    # Rounded up: who comes too early is refused again.
    error.metadata[RETRY_AFTER] = f"{ceil(seconds * 1000) / 1000:.3f}".rstrip("0").rstrip(".")
    if call.side is Side.SERVER and not call.reply_headers.frozen:
        call.reply_headers.set("retry-after", str(max(1, ceil(seconds))))
