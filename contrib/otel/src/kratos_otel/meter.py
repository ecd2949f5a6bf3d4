"""Metrics of Kratos on OpenTelemetry."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from kratos.log import Level, Logger, StdLogger
from kratos.metrics import Across, Counter, Gauge, Observer, bounds_of, require_across
from kratos.options import require_count
from kratos_otel._current import Providers, follow
from kratos_otel.instruments import (
    CounterInstrument,
    GaugeInstrument,
    HistogramInstrument,
    Instrument,
)

__all__ = ["OtelMeter"]

_SCOPE: Final = "kratos"
_NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,254}")  # to OpenTelemetry and to Prometheus
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_LONGEST_UNIT: Final = 63
_PATIENCE: Final = 1.0  # seconds in which a busy event loop sets gauges; else they are as before

I = TypeVar("I", CounterInstrument, GaugeInstrument, HistogramInstrument)  # noqa: E741


class OtelMeter:
    """Makes instruments of OpenTelemetry, for whatever reads and exports them.

    Instruments may be used from any thread. Names, labels and buckets are Go Kratos'; the label
    ``code`` is a number, as there. Each worker exports for itself, and is told apart by its
    ``service.instance.id``, so ``across`` of gauges is left to whoever adds them up. Meters on one
    provider share their instruments.

    Args:
        provider: Makes the instruments; that of the ``Telemetry`` of this process if ``None``, or
            OpenTelemetry's global one where there is none.
        max_series: How many series a counter or a gauge may have, at least 1. Those of further
            values of labels are one, with ``other`` for each value, and a warning tells of it
            once. Those of histograms are OpenTelemetry's own to limit.
        log: Where that goes, and failures of what ``on_collect`` was given.

    Raises:
        ConfigError: ``max_series`` is less than 1.
    """

    def __init__(
        self,
        provider: MeterProvider | None = None,
        *,
        max_series: int = 10_000,
        log: Logger | None = None,
    ) -> None:
        require_count("max_series", max_series)
        self._most: Final = max_series
        self._log: Final = StdLogger() if log is None else log
        self._shared: Final = _of_process() if provider is None else _on(provider)

    def counter(
        self, name: str, *, description: str = "", unit: str = "", labels: Sequence[str] = ()
    ) -> Counter:
        """Make a counter; see ``Meter``.

        Raises:
            ValueError: The name is taken, or it or a label is none to OpenTelemetry or Prometheus.
        """
        names = _checked(name, unit, labels)
        made = CounterInstrument(name, description, unit, names, most=self._most, log=self._log)
        return self._shared.one(made)

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
            ValueError: Workers' gauges cannot be combined like that, the name is taken, or it or
                a label is none to OpenTelemetry or Prometheus.
        """
        require_across(name, across)
        names = _checked(name, unit, labels)
        made = GaugeInstrument(name, description, unit, names, most=self._most, log=self._log)
        return self._shared.one(made)

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
            ValueError: The buckets do not rise, one is not finite, the name is taken, or it or a
                label is none to OpenTelemetry or Prometheus.
        """
        bounds = bounds_of(name, buckets)
        names = _checked(name, unit, labels)
        return self._shared.one(HistogramInstrument(name, description, unit, names, bounds=bounds))

    def on_collect(self, publish: Callable[[], None], /) -> None:
        """Call ``publish`` before gauges are read; see ``kratos.metrics.Collecting``.

        Whatever exports them reads in a thread of its own, so it waits for the event loop, for a
        second at most: one that is busy for longer is read as it was before.
        """
        self._shared.add(publish, self._log)


class _Shared:
    """What meters on one provider have in common: two would otherwise show one name twice."""

    def __init__(self) -> None:
        self._instruments: dict[str, Instrument] = {}
        self._publishers: list[tuple[Callable[[], None], Logger]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._meter: metrics.Meter = metrics.NoOpMeter(_SCOPE)

    def bind(self, providers: Providers, /) -> None:
        """Use these from now on."""
        self.make_on(providers.meter_provider())

    def make_on(self, provider: MeterProvider, /) -> None:
        """Let a provider read all instruments from now on."""
        self._meter = provider.get_meter(_SCOPE)
        # Instruments are read in the order in which they were made: this one comes first, and has
        # nothing to show itself.
        self._meter.create_observable_gauge("kratos_collecting", callbacks=[self._collecting])
        for instrument in self._instruments.values():
            instrument.make_on(self._meter)

    def one(self, wanted: I) -> I:
        """Return the instrument of this name, which may be made already."""
        known = self._instruments.get(wanted.name)
        if known is None:
            wanted.make_on(self._meter)
            known = self._instruments[wanted.name] = wanted
        if not isinstance(known, type(wanted)) or known.nature != wanted.nature:
            raise ValueError(f"{wanted.name} is taken by another {known.kind}")
        return known

    def add(self, publish: Callable[[], None], log: Logger) -> None:
        """Call ``publish`` before gauges are read."""
        self._publishers.append((publish, log))
        with suppress(RuntimeError):  # there is none yet: those that are added later bring it along
            self._loop = asyncio.get_running_loop()

    def _collecting(self, _options: CallbackOptions) -> Iterable[Observation]:
        if not self._publishers:
            return ()
        loop = self._loop
        if loop is None or not loop.is_running() or _has_loop():
            self._publish()
            return ()
        done = threading.Event()

        def publish() -> None:
            self._publish()
            done.set()

        try:
            loop.call_soon_threadsafe(publish)
        except RuntimeError:  # it was closed just now
            return ()
        done.wait(_PATIENCE)
        return ()

    def _publish(self) -> None:
        for publish, log in tuple(self._publishers):
            try:
                publish()
            except Exception as error:
                log.log(Level.ERROR, "a gauge could not be set", {"error": error})


_shared: Final[WeakKeyDictionary[MeterProvider, _Shared]] = WeakKeyDictionary()


def _on(provider: MeterProvider) -> _Shared:
    known = _shared.get(provider)
    if known is None:
        known = _shared[provider] = _Shared()
        known.make_on(provider)
    return known


@cache
def _of_process() -> _Shared:
    """Return what goes with the providers that are in force."""
    made = _Shared()
    follow(made)
    return made


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _checked(name: str, unit: str, labels: Sequence[str]) -> tuple[str, ...]:
    if isinstance(labels, str):
        raise TypeError(f"labels is a list of names: write [{labels!r}]")
    for text, form in ((name, _NAME), *((label, _LABEL) for label in labels)):
        if not form.fullmatch(text):
            raise ValueError(
                f"{text!r} is no name to OpenTelemetry and Prometheus, of metric or label: {name!r}"
            )
    if not unit.isascii() or len(unit) > _LONGEST_UNIT:
        raise ValueError(f"unit of {name} must be ASCII of 63 characters at most, not {unit!r}")
    return tuple(labels)
