"""A meter on prometheus_client."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from threading import Lock
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

import prometheus_client as client
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest

from kratos.log import Level, Logger, StdLogger
from kratos.metrics import (
    Across,
    Counter,
    Family,
    Gauge,
    Kind,
    Observer,
    Snapshot,
    bounds_of,
    merge,
    require_across,
)
from kratos.options import require_count
from kratos.process import worker_slot
from kratos_prometheus.families import FamilyMetric, family_of, shown, without_created
from kratos_prometheus.instruments import (
    CounterInstrument,
    GaugeInstrument,
    HistogramInstrument,
    Instrument,
)
from kratos_prometheus.scrapes import Scrapes

__all__ = ["PrometheusMeter"]

_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_HOST: Final = "host"
_WORKER: Final = "worker"

# Instruments of a registry: two meters on one registry, that of an installed plug-in and one of
# the program's own, share them.
_made: Final[WeakKeyDictionary[CollectorRegistry, dict[str, Instrument]]] = WeakKeyDictionary()
_making: Final = Lock()

I = TypeVar("I", CounterInstrument, GaugeInstrument, HistogramInstrument)  # noqa: E741


class PrometheusMeter:
    """Makes instruments in a registry of prometheus_client, and shows all that is in there.

    Instruments may be used from any thread. The name of a counter ends with ``_total``; if it does
    not, it is added. Counters and histograms remember the trace of the call that they were told of
    last, if it is recorded, as exemplars.

    With workers, the meter of the supervisor shows all of them, also what programs have made with
    prometheus_client itself; see ``kratos.metrics.Including``. No files are written for it:
    ``PROMETHEUS_MULTIPROC_DIR`` is best left unset.

    Args:
        registry: Where instruments are, ``prometheus_client.REGISTRY`` if ``None``.
        max_series: How many series an instrument may have, at least 1. Those of further values of
            labels are one, with ``other`` for each value, and a warning tells of it once.
        log: Where that goes, and failures of what ``on_collect`` was given.

    Raises:
        ConfigError: ``max_series`` is no whole number from 1.

    Attributes:
        content_type: Of what ``render`` gives.
    """

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(
        self,
        *,
        registry: CollectorRegistry | None = None,
        max_series: int = 10_000,
        log: Logger | None = None,
    ) -> None:
        require_count("max_series", max_series)
        self._registry = client.REGISTRY if registry is None else registry
        self._most = max_series
        self._log = StdLogger() if log is None else log
        self._instruments = _made.setdefault(self._registry, {})
        self._scrapes = Scrapes()
        self._publishers: list[Callable[[], None]] = []
        self._sources: list[Callable[[], Awaitable[Snapshot]]] = []

    @property
    def registry(self) -> CollectorRegistry:
        """Where its instruments are, and what it shows."""
        return self._registry

    def counter(
        self, name: str, *, description: str = "", unit: str = "", labels: Sequence[str] = ()
    ) -> Counter:
        """Make a counter; see ``Meter``.

        Raises:
            ValueError: The name is taken, or Prometheus does not allow it or a label.
        """
        family = _family("counter", name, description, unit, labels)
        return self._one(CounterInstrument(family, most=self._most, log=self._log))

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
            ValueError: Workers' gauges cannot be combined like that, the name is taken, or
                Prometheus does not allow it or a label.
        """
        require_across(name, across)
        family = replace(_family("gauge", name, description, unit, labels), across=across)
        return self._one(GaugeInstrument(family, most=self._most, log=self._log))

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
            ValueError: The buckets do not rise, one is not finite, the name is taken, or Prometheus
                does not allow it or a label.
        """
        bounds = bounds_of(name, buckets)
        family = _family("histogram", name, description, unit, labels)
        return self._one(HistogramInstrument(family, bounds=bounds, most=self._most, log=self._log))

    def on_collect(self, publish: Callable[[], None], /) -> None:
        """Call ``publish`` before gauges are read; see ``kratos.metrics.Collecting``."""
        self._publishers.append(publish)

    def include(self, source: Callable[[], Awaitable[Snapshot]], /) -> None:
        """Show what others have counted, too; see ``kratos.metrics.Including``."""
        self._sources.append(source)

    def snapshot(self) -> Snapshot:
        """Return all that is in the registry; see ``kratos.metrics.Snapshotting``."""
        self._publish()
        slot = worker_slot()
        origin = (_HOST if self._sources else "") if slot is None else str(slot)
        standard = _standard()
        families: list[Family] = []
        for metric in self._registry.collect():
            family = family_of(metric)
            if family is None or not family.series:
                continue
            # What a process uses is looked at process by process; the core does so for gauges.
            apart = origin and family.kind == "counter" and metric.name in standard
            families.append(_of_worker(family, origin) if apart else family)
        return tuple(families)

    async def render(self) -> bytes:
        """Return everything as text for Prometheus, format 0.0.4, what is included as well."""
        body, _ = await self._rendered(generate_latest, self.content_type)
        return body

    async def render_as(self, accept: str, /) -> tuple[bytes, str]:
        """Return everything, and its content type, in the best format that a scraper takes.

        That is OpenMetrics, which has exemplars, for those that ask for it.

        Args:
            accept: The header of that name, empty if there is none.
        """
        try:
            encode, kind = choose_encoder(accept)
        except (TypeError, ValueError):  # a version that is none
            encode, kind = generate_latest, self.content_type
        return await self._rendered(encode, kind)

    async def _rendered(self, encode: Callable[[_View], bytes], kind: str) -> tuple[bytes, str]:
        return await self._scrapes.answer(kind, lambda: self._written(encode)), kind

    async def _written(self, encode: Callable[[_View], bytes]) -> bytes:
        if self._sources:
            included = [("", await source()) for source in self._sources]
            merged = merge([*included, (_HOST, self.snapshot())])
            view = _View(lambda: map(FamilyMetric, merged))
        else:
            self._publish()
            view = _View(lambda: map(without_created, self._registry.collect()))
        # Ten thousand series take a tenth of a second, in which calls go on.
        return await asyncio.to_thread(encode, view)

    def _publish(self) -> None:
        for publish in self._publishers:
            try:
                publish()
            except Exception as error:
                self._log.log(Level.ERROR, "a gauge could not be set", {"error": error})

    def _one(self, made: I) -> I:
        """Return the instrument that is there already, or put this one into the registry."""
        name = made.declared.name
        with _making:
            known = self._instruments.get(name)
            if known is None:
                try:
                    self._registry.register(made)
                except ValueError as error:
                    raise ValueError(
                        f"{name} cannot be a {made.declared.kind}: {error}; another name is needed"
                    ) from error
                self._instruments[name] = made
                return made
        if not isinstance(known, type(made)) or known.nature != made.nature:
            raise ValueError(
                f"{name} cannot be a {_told(made.nature)}: it is a {_told(known.nature)} already"
            )
        return known


class _View:
    """A collector of what a function returns."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self.collect = collect


def _family(kind: Kind, name: str, description: str, unit: str, labels: Sequence[str]) -> Family:
    where = f"{name!r} cannot be a {kind}"
    if not _NAME.fullmatch(name):
        raise ValueError(f"{where}: a name has letters, digits, _ and :, and begins with no digit")
    for label in labels:
        if not _LABEL.fullmatch(label) or label.startswith("__"):
            raise ValueError(
                f"{where}: its label {label!r} is none; one has letters, digits and _, and begins "
                "with neither a digit nor __"
            )
        if label == "le" and kind == "histogram":
            raise ValueError(f"{where}: the label 'le' is that of its buckets; choose another")
    if len(set(labels)) < len(labels):
        raise ValueError(f"{where}: it has a label twice, of {', '.join(labels)}")
    return Family(
        name=shown(kind, name),
        kind=kind,
        description=description,
        unit=unit,
        labels=tuple(labels),
    )


def _told(nature: tuple[object, ...]) -> str:
    kind, labels, across, *bounds = nature
    more = [f"across {across}"] * (kind == "gauge") + [f"buckets {each}" for each in bounds]
    return ", ".join([f"{kind} with the labels {labels}", *more])


def _of_worker(family: Family, origin: str) -> Family:
    series = {(*values, origin): value for values, value in family.series.items()}
    return replace(family, labels=(*family.labels, _WORKER), series=series)


def _standard() -> set[str]:
    """Return the names of what tells of the process, its platform and its garbage collector."""
    collectors = (client.PROCESS_COLLECTOR, client.PLATFORM_COLLECTOR, client.GC_COLLECTOR)
    return {metric.name for each in collectors for metric in each.collect()}
