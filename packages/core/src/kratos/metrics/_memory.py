"""A meter that keeps its figures in this process."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import isfinite
from typing import Final, get_args

from kratos.log import Level, Logger, StdLogger
from kratos.metrics._interface import Across, Counter, Gauge, Observer
from kratos.metrics._snapshot import Distribution, Family, Snapshot, merge
from kratos.metrics._text import CONTENT_TYPE, exposition

__all__ = ["DEFAULT_BUCKETS", "MemoryMeter"]

# Seconds; Go: middleware/metrics, DefaultSecondsHistogramBuckets.
DEFAULT_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

_OWN: Final = "host"
_RULES: Final = get_args(Across)


class MemoryMeter:
    """Keeps what is counted, and gives it as data, or as text for Prometheus.

    For tests, and for services that want no further package. With workers, the one of the
    supervisor shows what all workers have counted: see ``Including``. Its instruments are for
    the thread of the event loop.

    Args:
        log: Where failures of what ``on_collect`` was given go.

    Attributes:
        content_type: Of what ``render`` gives.
    """

    content_type = CONTENT_TYPE

    def __init__(self, *, log: Logger | None = None) -> None:
        self._log = StdLogger() if log is None else log
        self._instruments: dict[str, _Instrument] = {}
        self._publishers: list[Callable[[], None]] = []
        self._sources: list[Callable[[], Awaitable[Snapshot]]] = []

    def counter(
        self, name: str, *, description: str = "", unit: str = "", labels: Sequence[str] = ()
    ) -> Counter:
        """Make a counter; see ``Meter``."""
        family = Family(
            name=name, kind="counter", description=description, unit=unit, labels=tuple(labels)
        )
        return self._made(family)

    def gauge(
        self,
        name: str,
        *,
        description: str = "",
        unit: str = "",
        labels: Sequence[str] = (),
        across: Across = "each",
    ) -> Gauge:
        """Make a gauge; see ``Meter``.

        Raises:
            ValueError: Workers' gauges cannot be combined like that, or the name is taken.
        """
        if across not in _RULES:
            raise ValueError(f"across of {name} is one of {', '.join(_RULES)}, not {across!r}")
        family = Family(
            name=name,
            kind="gauge",
            description=description,
            unit=unit,
            labels=tuple(labels),
            across=across,
        )
        return self._made(family)

    def histogram(
        self,
        name: str,
        *,
        description: str = "",
        unit: str = "",
        labels: Sequence[str] = (),
        buckets: Sequence[float] = (),
    ) -> Observer:
        """Make a histogram; see ``Meter``. Its buckets are Go Kratos' by default, for seconds.

        Raises:
            ValueError: The buckets do not rise, one is not finite, or the name is taken.
        """
        bounds = tuple(map(float, buckets)) or DEFAULT_BUCKETS
        if not all(map(isfinite, bounds)) or any(low >= high for low, high in pairwise(bounds)):
            raise ValueError(
                f"buckets of {name} must be finite and rise, not {bounds}; one without a bound "
                "follows by itself"
            )
        family = Family(
            name=name, kind="histogram", description=description, unit=unit, labels=tuple(labels)
        )
        return self._made(family, bounds)

    def on_collect(self, publish: Callable[[], None], /) -> None:
        """Call ``publish`` before gauges are read; see ``Collecting``."""
        self._publishers.append(publish)

    def include(self, source: Callable[[], Awaitable[Snapshot]], /) -> None:
        """Add what others have counted to what ``render`` gives; see ``Including``."""
        self._sources.append(source)

    def snapshot(self) -> Snapshot:
        """Return what was counted in this process; see ``Snapshotting``."""
        for publish in self._publishers:
            try:
                publish()
            except Exception as error:
                self._log.log(Level.ERROR, "a gauge could not be set", {"error": error})
        return tuple(made.family() for made in self._instruments.values())

    async def render(self) -> str:
        """Return everything as text for Prometheus, what is included as well."""
        included = [("", await source()) for source in self._sources]
        # Gauges of this process stand beside those of others, so they are named, too.
        own = _OWN if included else ""
        return exposition(merge([*included, (own, self.snapshot())]))

    def _made(self, family: Family, bounds: tuple[float, ...] = ()) -> _Instrument:
        made = self._instruments.setdefault(family.name, _Instrument(family, bounds))
        if not made.is_like(family, bounds):
            raise ValueError(f"{family.name} is taken by another {made.declared.kind}")
        return made


class _Series:
    """One series of any kind."""

    __slots__ = ("_bounds", "counts", "value")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.value = 0.0
        self.counts = [0] * (len(bounds) + 1)

    def labels(self, *values: str) -> _Series:
        if values:
            raise ValueError(f"{values} are more values than there are labels")
        return self

    def inc(self, amount: float = 1.0, /) -> None:
        self.value += amount

    add = inc

    def set(self, value: float, /) -> None:
        self.value = value

    def observe(self, value: float, /) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.value += value

    def read(self) -> float | Distribution:
        if not self._bounds:
            return self.value
        return Distribution(bounds=self._bounds, counts=tuple(self.counts), total=self.value)


class _Instrument:
    """All series of one name."""

    __slots__ = ("_bounds", "_series", "declared")

    def __init__(self, declared: Family, bounds: tuple[float, ...]) -> None:
        self.declared = declared
        self._bounds = bounds
        self._series: dict[tuple[str, ...], _Series] = {}

    def is_like(self, family: Family, bounds: tuple[float, ...]) -> bool:
        mine = self.declared
        return (mine.kind, mine.labels, mine.across, self._bounds) == (
            family.kind,
            family.labels,
            family.across,
            bounds,
        )

    def labels(self, *values: str) -> _Series:
        series = self._series.get(values)
        if series is None:
            names = self.declared.labels
            if len(values) != len(names):
                raise ValueError(f"{self.declared.name} has the labels {names}, not {values}")
            series = self._series[values] = _Series(self._bounds)
        return series

    def inc(self, amount: float = 1.0, /) -> None:
        self.labels().inc(amount)

    def add(self, amount: float, /) -> None:
        self.labels().add(amount)

    def set(self, value: float, /) -> None:
        self.labels().set(value)

    def observe(self, value: float, /) -> None:
        self.labels().observe(value)

    def family(self) -> Family:
        series = {values: one.read() for values, one in self._series.items()}
        return replace(self.declared, series=series)
