"""Instruments of OpenTelemetry as those of Kratos: bound by position, and remade elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Generic, TypeAlias, TypeVar

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from kratos.log import Level, Logger
from kratos_otel._values import clean

__all__ = ["CounterInstrument", "GaugeInstrument", "HistogramInstrument", "Instrument"]

Attributes: TypeAlias = Mapping[str, "str | int"]

_CODE: Final = "code"  # a number in Go; all other labels are texts
_OTHER: Final = "other"
_NO_ATTRIBUTES: Final[Attributes] = {}

S = TypeVar("S")


class _Instrument(Generic[S]):
    """All series of one name."""

    kind = ""

    def __init__(self, name: str, description: str, unit: str, labels: tuple[str, ...]) -> None:
        self.name: Final = name
        self._about: Final = {"description": clean(description), "unit": unit}
        self._labels: Final = labels

    @property
    def nature(self) -> tuple[object, ...]:
        """What two instruments of one name have in common."""
        return self.kind, self._labels

    def make_on(self, meter: Meter, /) -> None:
        """Count on another meter from now on."""
        raise NotImplementedError

    def labels(self, *values: str) -> S:
        """Return the child for these values."""
        if len(values) != len(self._labels):
            raise ValueError(f"{self.name} has the labels {self._labels}, not {values}")
        return self._child(_attributes(self._labels, values))

    def _child(self, attributes: Attributes) -> S:
        raise NotImplementedError


class _Series:
    """One series; it has no labels left to choose."""

    __slots__ = ()

    def _alone(self, values: tuple[str, ...]) -> None:
        if values:
            raise ValueError(f"{values} are more values than there are labels")


class CounterSeries(_Series):
    """A sum that only grows, and is read by whoever exports it."""

    __slots__ = ("_lock", "attributes", "value")

    def __init__(self, attributes: Attributes) -> None:
        self.attributes: Final = attributes
        self._lock: Final = threading.Lock()
        self.value: float | None = None  # nothing to show before it is touched

    def labels(self, *values: str) -> CounterSeries:
        """Return itself."""
        self._alone(values)
        return self

    def inc(self, amount: float = 1.0, /) -> None:
        """Add ``amount``; see ``Counter``."""
        if not amount >= 0:
            raise ValueError(f"a counter only grows; {amount} cannot be added")
        with self._lock:
            self.value = (self.value or 0.0) + amount


class GaugeSeries(_Series):
    """A value that goes up and down, and is read by whoever exports it."""

    __slots__ = ("_lock", "attributes", "value")

    def __init__(self, attributes: Attributes) -> None:
        self.attributes: Final = attributes
        self._lock: Final = threading.Lock()
        self.value: float | None = None  # nothing to show before it is set

    def labels(self, *values: str) -> GaugeSeries:
        """Return itself."""
        self._alone(values)
        return self

    def set(self, value: float, /) -> None:
        """Put ``value`` in place of the present one."""
        with self._lock:
            self.value = value

    def add(self, amount: float, /) -> None:
        """Add ``amount``, which may be negative."""
        with self._lock:
            self.value = (self.value or 0.0) + amount


K = TypeVar("K", bound="CounterSeries | GaugeSeries")


class _Kept(_Instrument[K]):
    """An instrument that keeps its series itself: it is only read when somebody exports it.

    OpenTelemetry takes its labels anew with each count, which costs fifty times as much; and it
    has no gauge that can be added to.

    Args:
        most: How many series there may be: values of labels that come from peers must not fill the
            memory.
        log: Where it is told that there are more.
    """

    def __init__(
        self,
        name: str,
        description: str,
        unit: str,
        labels: tuple[str, ...],
        *,
        most: int,
        log: Logger,
    ) -> None:
        super().__init__(name, description, unit, labels)
        self._most: Final = most
        self._log: Final = log
        self._series: Final[dict[tuple[str, ...], K]] = {}
        self._other: K | None = None

    def labels(self, *values: str) -> K:
        """Return the child for these values, the same for the same; beyond the limit ``other``."""
        series = self._series.get(values)
        if series is not None:
            return series
        made = super().labels(*values)
        if len(self._series) < self._most:
            return self._series.setdefault(values, made)
        return self._beyond(values)

    def _beyond(self, values: tuple[str, ...]) -> K:
        if self._other is None:
            others = (_OTHER,) * len(values)
            made = super().labels(*others)
            self._other = self._series.setdefault(others, made)
            self._log.log(
                Level.WARN,
                "a metric has too many series: further ones are counted together, as 'other'",
                {"metric": self.name, "most": self._most, "first": ",".join(values)[:256]},
            )
        return self._other

    def _read(self, _options: CallbackOptions) -> Iterable[Observation]:
        for series in tuple(self._series.values()):
            value = series.value
            if value is not None:
                # Whole numbers stay so, as a counter of Go has them.
                yield Observation(int(value) if value % 1 == 0 else value, series.attributes)


class CounterInstrument(_Kept[CounterSeries]):
    """A counter with its series."""

    kind = "counter"

    def make_on(self, meter: Meter, /) -> None:
        """Be read by another meter from now on."""
        meter.create_observable_counter(self.name, [self._read], **self._about)

    def inc(self, amount: float = 1.0, /) -> None:
        """Add to the only series."""
        self.labels().inc(amount)

    def _child(self, attributes: Attributes) -> CounterSeries:
        return CounterSeries(attributes)


class GaugeInstrument(_Kept[GaugeSeries]):
    """A gauge with its series."""

    kind = "gauge"

    def make_on(self, meter: Meter, /) -> None:
        """Be read by another meter from now on."""
        meter.create_observable_gauge(self.name, [self._read], **self._about)

    def set(self, value: float, /) -> None:
        """Set the only series."""
        self.labels().set(value)

    def add(self, amount: float, /) -> None:
        """Add to the only series."""
        self.labels().add(amount)

    def _child(self, attributes: Attributes) -> GaugeSeries:
        return GaugeSeries(attributes)


class HistogramSeries(_Series):
    """Values, counted in buckets."""

    __slots__ = ("_attributes", "_of")

    def __init__(self, of: HistogramInstrument, attributes: Attributes) -> None:
        self._of: Final = of
        self._attributes: Final = attributes

    def labels(self, *values: str) -> HistogramSeries:
        """Return itself."""
        self._alone(values)
        return self

    def observe(self, value: float, /) -> None:
        """Record one value."""
        self._of.record(value, self._attributes)


class HistogramInstrument(_Instrument[HistogramSeries]):
    """A histogram with its series."""

    kind = "histogram"
    record: Callable[[float, Attributes], None]

    def __init__(
        self,
        name: str,
        description: str,
        unit: str,
        labels: tuple[str, ...],
        *,
        bounds: Sequence[float],
    ) -> None:
        super().__init__(name, description, unit, labels)
        self._bounds: Final = bounds

    @property
    def nature(self) -> tuple[object, ...]:
        """What two instruments of one name have in common."""
        return *super().nature, self._bounds

    def make_on(self, meter: Meter, /) -> None:
        """Record on another meter from now on."""
        made = meter.create_histogram(
            self.name, **self._about, explicit_bucket_boundaries_advisory=self._bounds
        )
        self.record = made.record

    def observe(self, value: float, /) -> None:
        """Record a value of the only series."""
        self.labels().observe(value)

    def _child(self, attributes: Attributes) -> HistogramSeries:
        return HistogramSeries(self, attributes)


def _attributes(names: Sequence[str], values: Sequence[str]) -> Attributes:
    if not names:
        return _NO_ATTRIBUTES
    told: dict[str, str | int] = {}
    for name, value in zip(names, values, strict=True):
        number = name == _CODE and value.isascii() and value.isdecimal()
        told[name] = int(value) if number else clean(value)
    return told


Instrument: TypeAlias = CounterInstrument | GaugeInstrument | HistogramInstrument
