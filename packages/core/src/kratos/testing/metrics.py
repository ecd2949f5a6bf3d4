"""A meter that keeps its figures for a test to look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from kratos.metrics import Across, Collecting, Counter, Gauge, Meter, Observer

__all__ = ["MemoryMeter"]

_Labels = tuple[str, ...]


class MemoryMeter:
    """Counts in memory, and checks what a back end would refuse.

        meter.value("server_requests_code_total", kind="grpc", code="200")

    Asks for its gauges before they are read, as ``kratos.metrics.Collecting`` says.
    """

    def __init__(self) -> None:
        self._instruments: dict[str, _Instrument] = {}
        self._publishers: list[Callable[[], None]] = []

    def counter(
        self, name: str, *, description: str = "", unit: str = "", labels: Sequence[str] = ()
    ) -> Counter:
        """Make a counter; see ``Meter``."""
        return _Counter(self._instrument(name, "counter", labels), ())

    def gauge(
        self,
        name: str,
        *,
        description: str = "",
        unit: str = "",
        labels: Sequence[str] = (),
        across: Across = "each",
    ) -> Gauge:
        """Make a gauge; see ``Meter``."""
        return _Gauge(self._instrument(name, "gauge", labels), ())

    def histogram(
        self,
        name: str,
        *,
        description: str = "",
        unit: str = "",
        labels: Sequence[str] = (),
        buckets: Sequence[float] = (),
    ) -> Observer:
        """Make a histogram, which keeps every value; see ``Meter``."""
        return _Observer(self._instrument(name, "histogram", labels), ())

    def on_collect(self, publish: Callable[[], None], /) -> None:
        """Call ``publish`` before each reading; see ``kratos.metrics.Collecting``."""
        self._publishers.append(publish)

    def value(self, name: str, /, **labels: str) -> float:
        """Return the sum of a counter's or a gauge's series, 0 if none was touched.

        Args:
            name: Name of the instrument.
            labels: Values of some of its labels; the others may have any.

        Raises:
            LookupError: No such counter or gauge was made, or it has no such label.
        """
        return sum(sum(values) for values in self._chosen(name, labels, ("counter", "gauge")))

    def observed(self, name: str, /, **labels: str) -> list[float]:
        """Return what a histogram was told, series by series; arguments and errors as ``value``."""
        return [value for values in self._chosen(name, labels, ("histogram",)) for value in values]

    def _chosen(
        self, name: str, labels: Mapping[str, str], kinds: Sequence[str]
    ) -> Sequence[Sequence[float]]:
        for publish in self._publishers:
            publish()
        found = self._instruments.get(name)
        if found is None or found.kind not in kinds:
            known = ", ".join(sorted(self._instruments)) or "none"
            raise LookupError(f"there is no {' or '.join(kinds)} {name!r}; made so far: {known}")
        return found.chosen(labels)

    def _instrument(self, name: str, kind: str, labels: Sequence[str]) -> _Instrument:
        made = self._instruments.setdefault(name, _Instrument(name, kind, tuple(labels)))
        if (made.kind, made.labels) != (kind, tuple(labels)):
            raise ValueError(
                f"{name!r} is a {made.kind} with the labels {made.labels}, and cannot become a "
                f"{kind} with {tuple(labels)}"
            )
        return made


class _Instrument:
    """All series of one name."""

    def __init__(self, name: str, kind: str, labels: _Labels) -> None:
        self.name: Final = name
        self.kind: Final = kind
        self.labels: Final = labels
        self.series: dict[_Labels, list[float]] = {}

    def chosen(self, labels: Mapping[str, str]) -> Sequence[Sequence[float]]:
        unknown = labels.keys() - set(self.labels)
        if unknown:
            raise LookupError(f"{self.name!r} has the labels {self.labels}, not {sorted(unknown)}")
        return [
            values
            for key, values in self.series.items()
            if labels.items() <= dict(zip(self.labels, key, strict=True)).items()
        ]

    def child(self, values: _Labels) -> _Labels:
        if len(values) != len(self.labels):
            raise ValueError(f"{self.name!r} has the labels {self.labels}; it was given {values}")
        return values

    def at(self, key: _Labels) -> list[float]:
        return self.series.setdefault(self.child(key), [])


class _Counter:
    def __init__(self, instrument: _Instrument, key: _Labels) -> None:
        self._instrument = instrument
        self._key = key

    def labels(self, *values: str) -> _Counter:
        return _Counter(self._instrument, self._instrument.child(values))

    def inc(self, amount: float = 1.0, /) -> None:
        if amount < 0:
            raise ValueError(f"{self._instrument.name!r} only grows; it was told {amount}")
        values = self._instrument.at(self._key)
        values[:] = [sum(values) + amount]


class _Gauge:
    def __init__(self, instrument: _Instrument, key: _Labels) -> None:
        self._instrument = instrument
        self._key = key

    def labels(self, *values: str) -> _Gauge:
        return _Gauge(self._instrument, self._instrument.child(values))

    def set(self, value: float, /) -> None:
        self._instrument.at(self._key)[:] = [value]

    def add(self, amount: float, /) -> None:
        values = self._instrument.at(self._key)
        values[:] = [sum(values) + amount]


class _Observer:
    def __init__(self, instrument: _Instrument, key: _Labels) -> None:
        self._instrument = instrument
        self._key = key

    def labels(self, *values: str) -> _Observer:
        return _Observer(self._instrument, self._instrument.child(values))

    def observe(self, value: float, /) -> None:
        self._instrument.at(self._key).append(value)


if TYPE_CHECKING:
    _meter: type[Meter] = MemoryMeter
    _collecting: type[Collecting] = MemoryMeter
