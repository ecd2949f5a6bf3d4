"""A meter that keeps its figures in this process."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

from kratos.log import Level, Logger, StdLogger
from kratos.metrics._checks import bounds_of, require_across
from kratos.metrics._interface import Across, Counter, Gauge, Observer
from kratos.metrics._series import (
    CounterInstrument,
    GaugeInstrument,
    HistogramInstrument,
    Instrument,
)
from kratos.metrics._snapshot import Distribution, Family, Snapshot, merge
from kratos.metrics._text import CONTENT_TYPE, exposition

__all__ = ["MemoryMeter"]

_OWN: Final = "host"
_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

I = TypeVar("I", bound=Instrument)  # noqa: E741


class MemoryMeter:
    """Keeps what is counted, and gives it as data, or as text for Prometheus.

    For tests, and for services that want no further package. With workers, the one of the
    supervisor shows what all workers have counted: see ``Including``. Its instruments are for
    the thread of the event loop.

    A test asks it by ``value`` and ``observed``:

        meter.value("server_requests_code_total", kind="grpc", code="200")

    Args:
        log: Where failures of what ``on_collect`` was given go.

    Attributes:
        content_type: Of what ``render`` gives.
    """

    content_type = CONTENT_TYPE

    def __init__(self, *, log: Logger | None = None) -> None:
        self._log = StdLogger() if log is None else log
        self._instruments: dict[str, Instrument] = {}
        self._publishers: list[Callable[[], None]] = []
        self._sources: list[Callable[[], Awaitable[Snapshot]]] = []

    def counter(
        self, name: str, *, description: str = "", unit: str = "", labels: Sequence[str] = ()
    ) -> Counter:
        """Make a counter; see ``Meter``."""
        family = Family(
            name=name, kind="counter", description=description, unit=unit, labels=_listed(labels)
        )
        return self._made(CounterInstrument(family))

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
        require_across(name, across)
        family = Family(
            name=name,
            kind="gauge",
            description=description,
            unit=unit,
            labels=_listed(labels),
            across=across,
        )
        return self._made(GaugeInstrument(family))

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
        bounds = bounds_of(name, buckets)
        family = Family(
            name=name, kind="histogram", description=description, unit=unit, labels=_listed(labels)
        )
        return self._made(HistogramInstrument(family, bounds))

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
            except (Exception, asyncio.CancelledError) as error:  # not ours: no await
                self._log.log(Level.ERROR, "a gauge could not be set", {"error": error})
        return tuple(made.family() for made in self._instruments.values())

    async def render(self) -> str:
        """Return everything as text for Prometheus, what is included as well."""
        included = [("", await source()) for source in self._sources]
        # Gauges of this process stand beside those of others, so they are named, too.
        own = _OWN if included else ""
        return exposition(merge([*included, (own, self.snapshot())]))

    def value(self, name: str, /, **labels: str) -> float:
        """Return the sum of a counter's or a gauge's series, 0 if none was touched.

        Gauges are set before they are read, as ``Collecting`` says. What is included is not
        asked for.

        Args:
            name: Name of the instrument.
            labels: Values of some of its labels; the others may have any.

        Raises:
            LookupError: No such counter or gauge was made, or it has no such label.
        """
        chosen = self._chosen(name, labels, ("counter", "gauge"))
        return sum(each for each in chosen if not isinstance(each, Distribution))

    def observed(self, name: str, /, **labels: str) -> tuple[int, float]:
        """Return how many values a histogram was told, and their sum.

        Arguments and errors as ``value``.
        """
        chosen = self._chosen(name, labels, ("histogram",))
        told = [each for each in chosen if isinstance(each, Distribution)]
        return sum(sum(each.counts) for each in told), sum(each.total for each in told)

    def _chosen(
        self, name: str, labels: Mapping[str, str], kinds: Sequence[str]
    ) -> Sequence[float | Distribution]:
        families = {family.name: family for family in self.snapshot()}
        found = families.get(name)
        if found is None or found.kind not in kinds:
            known = ", ".join(sorted(families)) or "none"
            raise LookupError(f"there is no {' or '.join(kinds)} {name!r}; made so far: {known}")
        unknown = labels.keys() - set(found.labels)
        if unknown:
            raise LookupError(f"{name!r} has the labels {found.labels}, not {sorted(unknown)}")
        return [
            value
            for key, value in found.series.items()
            if labels.items() <= dict(zip(found.labels, key, strict=True)).items()
        ]

    def _made(self, wanted: I) -> I:
        name, labels = wanted.declared.name, wanted.declared.labels
        for text, form in ((name, _NAME), *((label, _LABEL) for label in labels)):
            # One that is none would keep a scraper from all others, too.
            if not form.fullmatch(text):
                raise ValueError(f"{text!r} is no name to Prometheus, of metric or label: {name!r}")
        made = self._instruments.setdefault(name, wanted)
        if not isinstance(made, type(wanted)) or not made.is_like(wanted):
            raise ValueError(f"{name} is taken by another {made.declared.kind}")
        return made


def _listed(labels: Sequence[str]) -> tuple[str, ...]:
    if isinstance(labels, str):
        raise TypeError(f"labels is a list of names: write [{labels!r}]")
    return tuple(labels)
