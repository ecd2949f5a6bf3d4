"""Counts of what a middleware did with calls, by result."""

from __future__ import annotations

from kratos.metrics import Counter, Meter, NopMeter
from kratos.transport.call import Call, Side

__all__ = ["Results"]


class Results:
    """Counters ``server_<name>_total`` and ``client_<name>_total``.

    Args:
        name: What is counted.
        description: The same, for people.
        meter: Makes the counters, by kind of transport, operation and result; or ``None``.
    """

    __slots__ = ("_counters", "_series")

    def __init__(self, name: str, description: str, meter: Meter | None) -> None:
        meter = NopMeter() if meter is None else meter
        self._counters = {
            side: meter.counter(
                f"{side.value}_{name}_total",
                description=description,
                unit="{call}",
                labels=("kind", "operation", "result"),
            )
            for side in Side
        }
        # Grows with the operations, which the definitions bound, and not with the calls.
        self._series: dict[tuple[Side, str, str, str], Counter] = {}

    def count(self, call: Call, result: str) -> None:
        """Count one call."""
        key = (call.side, call.transport, call.method.operation, result)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = self._counters[call.side].labels(*key[1:])
        series.inc()
