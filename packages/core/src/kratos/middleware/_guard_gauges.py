"""The states of guards as gauges, read when somebody looks and not per call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final

from kratos.metrics import Collecting, Gauge, Meter

__all__ = ["GuardGauges"]

_LABELS: Final = ("name", "operation")
_STATE_LABELS: Final = (*_LABELS, "state")


class GuardGauges:
    """Gauges of what the guards of one middleware tell in ``stats()``.

    A number in the field ``limit`` becomes ``<prefix>_limit``, by name of the middleware and
    operation. A field with an enumeration becomes a series per member, 1 for the present one.
    What has no value (``None``) is left out, and 0 where it had one before.

    Args:
        meter: Makes the gauges; one that is ``Collecting`` says when to write them.
        prefix: Of their names.
        name: Label that tells this middleware from others of its kind.
    """

    __slots__ = ("_gauges", "_meter", "_name", "_prefix", "_read")

    def __init__(self, meter: Meter, prefix: str, name: str) -> None:
        self._meter = meter
        self._prefix = prefix
        self._name = name
        self._read: dict[str, Callable[[], Any]] = {}
        self._gauges: dict[tuple[str, ...], Gauge] = {}
        if isinstance(meter, Collecting):
            meter.on_collect(self.publish)

    def watch(self, operation: str, guard: object) -> None:
        """Show the states of a guard from now on; one without ``stats`` has none to show."""
        stats = getattr(guard, "stats", None)
        if callable(stats):
            self._read[operation] = stats

    def stats(self) -> dict[str, Any]:
        """Return what each guard tells of itself, by operation."""
        return {operation: read() for operation, read in self._read.items()}

    def publish(self) -> None:
        """Set the gauges."""
        for operation, stats in self.stats().items():
            for field, state, value in _numbers(stats):
                if value is not None or (field, operation, state) in self._gauges:
                    self._gauge(field, operation, state).set(float(value or 0))

    def _gauge(self, field: str, operation: str, state: str) -> Gauge:
        key = (field, operation, state)
        child = self._gauges.get(key)
        if child is None:
            gauge = self._meter.gauge(
                f"{self._prefix}_{field}",
                description=f"{field.replace('_', ' ').capitalize()} of the guard.",
                labels=_STATE_LABELS if state else _LABELS,
            )
            values = (self._name, operation, *([state] if state else ()))
            child = self._gauges[key] = gauge.labels(*values)
        return child


def _numbers(stats: object) -> Iterator[tuple[str, str, float | None]]:
    """Iterate over fields of statistics: name, member of an enumeration or nothing, value."""
    if not is_dataclass(stats):
        return
    for field in fields(stats):
        value = getattr(stats, field.name)
        if isinstance(value, Enum):
            for member in type(value):
                yield field.name, str(member.value), float(member is value)
        elif value is None or isinstance(value, (bool, int, float)):
            yield field.name, "", value
