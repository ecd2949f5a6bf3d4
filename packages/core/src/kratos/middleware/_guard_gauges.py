"""The states of guards as metrics, read when somebody looks and not per call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final, NamedTuple

from aegis.stats import is_sum
from kratos.metrics import Collecting, Counter, Gauge, Meter

__all__ = ["GuardGauges"]

_LABELS: Final = ("name", "operation")
_STATE_LABELS: Final = (*_LABELS, "state")


class GuardGauges:
    """Gauges and counters of what the guards of one middleware tell in ``stats()``.

    A number in the field ``limit`` becomes the gauge ``<prefix>_limit``, by name of the middleware
    and operation. A field that only grows, see ``aegis.stats.SUM``, becomes a counter:
    ``<prefix>_refused_total``. A field with an enumeration becomes a series per member, 1 for the
    present one. What has no value (``None``) is left out, and 0 where it had one before.

    Args:
        meter: Makes the instruments; one that is ``Collecting`` says when to write them.
        prefix: Of their names.
        name: Label that tells this middleware from others of its kind.
    """

    __slots__ = ("_counters", "_gauges", "_meter", "_name", "_prefix", "_read")

    def __init__(self, meter: Meter, prefix: str, name: str) -> None:
        self._meter = meter
        self._prefix = prefix
        self._name = name
        self._read: dict[str, Callable[[], Any]] = {}
        self._gauges: dict[tuple[str, ...], Gauge] = {}
        self._counters: dict[tuple[str, str], _Sum] = {}
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
        """Set the gauges, and let the counters follow."""
        for operation, stats in self.stats().items():
            for told in _numbers(stats):
                field, state, value = told.field, told.state, told.value
                if told.grows:
                    self._counter(field, operation).reach(float(value or 0))
                elif value is not None or (field, operation, state) in self._gauges:
                    self._gauge(field, operation, state).set(float(value or 0))

    def _gauge(self, field: str, operation: str, state: str) -> Gauge:
        key = (field, operation, state)
        child = self._gauges.get(key)
        if child is None:
            gauge = self._meter.gauge(
                f"{self._prefix}_{field}",
                description=f"{_words(field)} of the guard.",
                labels=_STATE_LABELS if state else _LABELS,
            )
            values = (self._name, operation, *([state] if state else ()))
            child = self._gauges[key] = gauge.labels(*values)
        return child

    def _counter(self, field: str, operation: str) -> _Sum:
        key = (field, operation)
        child = self._counters.get(key)
        if child is None:
            counter = self._meter.counter(
                f"{self._prefix}_{field}_total",
                description=f"{_words(field)} by the guard, since the start.",
                labels=_LABELS,
            )
            child = self._counters[key] = _Sum(counter.labels(self._name, operation))
        return child


class _Sum:
    """A counter that follows a sum which somebody else keeps."""

    __slots__ = ("_counter", "_reached")

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._reached = 0.0

    def reach(self, value: float) -> None:
        # A sum that has fallen was begun anew, by a guard in place of another.
        added = value - self._reached if value >= self._reached else value
        self._reached = value
        if added > 0:
            self._counter.inc(added)


class _Number(NamedTuple):
    """One number of statistics: its field, the member of an enumeration or nothing, its value."""

    field: str
    state: str
    value: float | None
    grows: bool = False


def _numbers(stats: object) -> Iterator[_Number]:
    """Iterate over the numbers in statistics."""
    if not is_dataclass(stats):
        return
    for field in fields(stats):
        value = getattr(stats, field.name)
        if isinstance(value, Enum):
            for member in type(value):
                yield _Number(field.name, str(member.value), float(member is value))
        elif value is None or isinstance(value, (bool, int, float)):
            yield _Number(field.name, "", value, is_sum(field))


def _words(field: str) -> str:
    return field.replace("_", " ").capitalize()
