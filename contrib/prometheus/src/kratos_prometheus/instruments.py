"""Instruments: series that are counted here, and that a registry of prometheus_client collects.

Series of prometheus_client itself can be read sample by sample only: of ten thousand histograms
that takes half a second, in which a worker that tells its supervisor serves nobody.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from threading import Lock
from typing import Final, Generic, TypeAlias, TypeVar

from prometheus_client import Metric

from kratos.log import Level, Logger
from kratos.metrics import Distribution, Exemplar, Family
from kratos.tracing import EMPTY, SpanContext, current_context
from kratos_prometheus.families import FamilyMetric

__all__ = ["CounterInstrument", "GaugeInstrument", "HistogramInstrument", "Instrument"]

# OpenMetrics allows 128 characters for labels of an exemplar, their names among them.
_LONGEST: Final = 128 - len("trace_id") - len("span_id")
_OTHER: Final = "other"
_NONE: Final[Mapping[int, Exemplar]] = {}


def _exemplar(span: SpanContext, value: float) -> Exemplar | None:
    """Return an exemplar of a trace if that is recorded, and so can be looked up."""
    if not (span.sampled and span.valid) or len(span.trace_id) + len(span.span_id) > _LONGEST:
        return None
    labels = {"trace_id": span.trace_id, "span_id": span.span_id}
    return Exemplar(labels=labels, value=value, time=time.time())


class CounterSeries:
    """A sum that only grows."""

    __slots__ = ("_lock", "_value", "exemplars")

    def __init__(self) -> None:
        self._lock = Lock()
        self._value = 0.0
        self.exemplars = _NONE

    def labels(self, *values: str) -> CounterSeries:
        """Return itself: no labels are left; see ``Counter``."""
        _require_none(values)
        return self

    def inc(self, amount: float = 1.0, /) -> None:
        """Add ``amount``; see ``Counter``."""
        if not amount >= 0:
            raise ValueError(f"a counter only grows; {amount} cannot be added")
        span = current_context()
        exemplar = None if span is EMPTY else _exemplar(span, amount)
        with self._lock:
            self._value += amount
            if exemplar is not None:
                self.exemplars = {0: exemplar}

    def read(self) -> float:
        """Return the sum."""
        return self._value


class GaugeSeries:
    """A value that goes up and down."""

    __slots__ = ("_lock", "_value", "exemplars")

    def __init__(self) -> None:
        self._lock = Lock()
        self._value = 0.0
        self.exemplars = _NONE

    def labels(self, *values: str) -> GaugeSeries:
        """Return itself: no labels are left; see ``Gauge``."""
        _require_none(values)
        return self

    def set(self, value: float, /) -> None:
        """Put ``value`` in place of the present one."""
        with self._lock:
            self._value = float(value)

    def add(self, amount: float, /) -> None:
        """Add ``amount``, which may be negative."""
        with self._lock:
            self._value += amount

    def read(self) -> float:
        """Return the value."""
        return self._value


class HistogramSeries:
    """Values, counted in buckets."""

    __slots__ = ("_bounds", "_counts", "_lock", "_total", "exemplars")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._lock = Lock()
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0
        self.exemplars = _NONE

    def labels(self, *values: str) -> HistogramSeries:
        """Return itself: no labels are left; see ``Observer``."""
        _require_none(values)
        return self

    def observe(self, value: float, /) -> None:
        """Record one value."""
        index = bisect_left(self._bounds, value)
        span = current_context()
        exemplar = None if span is EMPTY else _exemplar(span, value)
        with self._lock:
            self._counts[index] += 1
            self._total += value
            if exemplar is not None:
                self.exemplars = {**self.exemplars, index: exemplar}

    def read(self) -> Distribution:
        """Return what was observed."""
        with self._lock:
            counts, total = tuple(self._counts), self._total
        return Distribution(bounds=self._bounds, counts=counts, total=total)


S = TypeVar("S", CounterSeries, GaugeSeries, HistogramSeries)


class _Labelled(Generic[S]):
    """All series of one name, by the values of their labels; a collector of prometheus_client.

    Args:
        declared: What it is.
        make: Makes a series.
        most: How many there may be: values of labels that come from peers must not fill the memory.
        log: Where it is told that there are more.
    """

    __slots__ = ("__weakref__", "_log", "_make", "_most", "_other", "_series", "declared")

    def __init__(self, declared: Family, make: Callable[[], S], *, most: int, log: Logger) -> None:
        self.declared: Final = declared
        self._make: Final[Callable[[], S]] = make
        self._most: Final = most
        self._log: Final = log
        self._series: Final[dict[tuple[str, ...], S]] = {}
        self._other: S | None = None

    def labels(self, *values: str) -> S:
        """Return the series of these values; beyond the limit that of ``other``."""
        series = self._series.get(values)
        return self._made(values) if series is None else series

    def family(self) -> Family:
        """Return what was counted."""
        found = self._series.copy()
        return replace(
            self.declared,
            series={values: one.read() for values, one in found.items()},
            exemplars={values: one.exemplars for values, one in found.items() if one.exemplars},
        )

    def describe(self) -> Iterable[Metric]:
        """Say what it is, without its series; called by a registry for the names that it takes."""
        return [FamilyMetric(self.declared)]

    def collect(self) -> Iterable[Metric]:
        """Return its series, as a registry wants them."""
        return [FamilyMetric(self.family())]

    @property
    def nature(self) -> tuple[object, ...]:
        """What two instruments of one name have in common."""
        return self.declared.kind, self.declared.labels, self.declared.across

    def _made(self, values: tuple[str, ...]) -> S:
        names = self.declared.labels
        if len(values) != len(names):
            raise ValueError(f"{self.declared.name} has the labels {names}, not {values}")
        # One label from afar with half a surrogate pair would end all metrics for good.
        told = tuple(value.encode(errors="replace").decode() for value in values)
        if len(self._series) < self._most or told in self._series:
            return self._series.setdefault(told, self._make())
        if self._other is None:
            self._log.log(
                Level.WARN,
                "a metric has too many series: further ones are counted together, as 'other'",
                {"metric": self.declared.name, "most": self._most, "first": ",".join(told)[:256]},
            )
            self._other = self._series.setdefault((_OTHER,) * len(names), self._make())
        return self._other


class CounterInstrument(_Labelled[CounterSeries]):
    """A counter with its series."""

    __slots__ = ()

    def __init__(self, declared: Family, *, most: int, log: Logger) -> None:
        super().__init__(declared, CounterSeries, most=most, log=log)
        if not declared.labels:
            self.labels()  # it is 0 before it has grown, so that its first step is seen

    def inc(self, amount: float = 1.0, /) -> None:
        """Add ``amount``; see ``Counter``."""
        self.labels().inc(amount)


class GaugeInstrument(_Labelled[GaugeSeries]):
    """A gauge with its series; one that nobody has set has none, or 0 were the least of all."""

    __slots__ = ()

    def __init__(self, declared: Family, *, most: int, log: Logger) -> None:
        super().__init__(declared, GaugeSeries, most=most, log=log)

    def set(self, value: float, /) -> None:
        """Put ``value`` in place of the present one."""
        self.labels().set(value)

    def add(self, amount: float, /) -> None:
        """Add ``amount``, which may be negative."""
        self.labels().add(amount)


class HistogramInstrument(_Labelled[HistogramSeries]):
    """A histogram with its series."""

    __slots__ = ("bounds",)

    def __init__(
        self, declared: Family, *, bounds: tuple[float, ...], most: int, log: Logger
    ) -> None:
        super().__init__(declared, lambda: HistogramSeries(bounds), most=most, log=log)
        self.bounds: Final = bounds
        if not declared.labels:
            self.labels()

    def observe(self, value: float, /) -> None:
        """Record one value."""
        self.labels().observe(value)

    @property
    def nature(self) -> tuple[object, ...]:
        """What two instruments of one name have in common."""
        return (*super().nature, self.bounds)


def _require_none(values: tuple[str, ...]) -> None:
    if values:
        raise ValueError(f"{values} are more values than there are labels")


Instrument: TypeAlias = CounterInstrument | GaugeInstrument | HistogramInstrument
