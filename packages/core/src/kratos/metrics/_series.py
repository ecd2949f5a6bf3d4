"""Series of a meter that keeps its figures: one class for each kind of instrument."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypeAlias, TypeVar

from kratos.metrics._snapshot import Distribution, Family

__all__ = ["CounterInstrument", "GaugeInstrument", "HistogramInstrument", "Instrument"]


class _Series:
    """One series; it has no labels left to choose."""

    __slots__ = ()

    def _alone(self, values: tuple[str, ...]) -> None:
        if values:
            raise ValueError(f"{values} are more values than there are labels")


class CounterSeries(_Series):
    """A sum that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def labels(self, *values: str) -> CounterSeries:
        self._alone(values)
        return self

    def inc(self, amount: float = 1.0, /) -> None:
        if not amount >= 0:
            raise ValueError(f"a counter only grows; {amount} cannot be added")
        self.value += amount

    def read(self) -> float:
        return self.value


class GaugeSeries(_Series):
    """A value that goes up and down."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def labels(self, *values: str) -> GaugeSeries:
        self._alone(values)
        return self

    def set(self, value: float, /) -> None:
        self.value = value

    def add(self, amount: float, /) -> None:
        self.value += amount

    def read(self) -> float:
        return self.value


class HistogramSeries(_Series):
    """Values, counted in buckets."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def labels(self, *values: str) -> HistogramSeries:
        self._alone(values)
        return self

    def observe(self, value: float, /) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def read(self) -> Distribution:
        return Distribution(bounds=self._bounds, counts=tuple(self.counts), total=self.total)


S = TypeVar("S", CounterSeries, GaugeSeries, HistogramSeries)


class _Labelled(Generic[S]):
    """All series of one name, by the values of their labels."""

    __slots__ = ("_make", "_series", "declared")

    def __init__(self, declared: Family, make: Callable[[], S]) -> None:
        self.declared = declared
        self._make: Callable[[], S] = make
        self._series: dict[tuple[str, ...], S] = {}

    def labels(self, *values: str) -> S:
        series = self._series.get(values)
        if series is None:
            names = self.declared.labels
            if len(values) != len(names):
                raise ValueError(f"{self.declared.name} has the labels {names}, not {values}")
            series = self._series[values] = self._make()
        return series

    def is_like(self, other: Instrument) -> bool:
        """Tell whether another one counts the same in the same way."""
        return self.nature == other.nature

    def family(self) -> Family:
        """Return what was counted; a series that nobody touched is not there."""
        read = {values: one.read() for values, one in tuple(self._series.items())}
        return replace(self.declared, series=read)

    @property
    def nature(self) -> tuple[object, ...]:
        """What two instruments of one name have in common."""
        return (self.declared.kind, self.declared.labels, self.declared.across)


class CounterInstrument(_Labelled[CounterSeries]):
    """A counter with its series."""

    __slots__ = ()

    def __init__(self, declared: Family) -> None:
        super().__init__(declared, CounterSeries)

    def inc(self, amount: float = 1.0, /) -> None:
        self.labels().inc(amount)


class GaugeInstrument(_Labelled[GaugeSeries]):
    """A gauge with its series."""

    __slots__ = ()

    def __init__(self, declared: Family) -> None:
        super().__init__(declared, GaugeSeries)

    def set(self, value: float, /) -> None:
        self.labels().set(value)

    def add(self, amount: float, /) -> None:
        self.labels().add(amount)


class HistogramInstrument(_Labelled[HistogramSeries]):
    """A histogram with its series."""

    __slots__ = ("_bounds",)

    def __init__(self, declared: Family, bounds: tuple[float, ...]) -> None:
        super().__init__(declared, lambda: HistogramSeries(bounds))
        self._bounds = bounds

    def observe(self, value: float, /) -> None:
        self.labels().observe(value)

    @property
    def nature(self) -> tuple[object, ...]:
        """What two instruments of one name have in common."""
        return (*super().nature, self._bounds)


Instrument: TypeAlias = "CounterInstrument | GaugeInstrument | HistogramInstrument"
