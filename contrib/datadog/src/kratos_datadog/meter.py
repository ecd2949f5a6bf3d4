"""A meter that sends to the agent of Datadog (Go: contrib/metrics/datadog)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias, TypeVar, get_args

from kratos.errors import ConfigError
from kratos.log import Logger, StdLogger
from kratos.metrics import Across, Counter, Family, Gauge, Kind, Observer, bounds_of, require_across
from kratos.options import require_count, require_methods, require_number
from kratos_datadog._agent import agent_of, tags_of
from kratos_datadog._sender import Delivery, Sender
from kratos_datadog.instruments import (
    CounterInstrument,
    GaugeInstrument,
    HistogramInstrument,
    Instrument,
    Room,
    Scale,
)
from kratos_datadog.lines import cleaned

__all__ = ["DogStatsdMeter", "Histograms"]

Histograms: TypeAlias = Literal["timing", "distribution", "histogram"]

_KINDS: Final = {"distribution": "d", "histogram": "h"}
_LARGEST_PACKET: Final = 65_507
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_NAMESPACE: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_.]*")

I = TypeVar("I", CounterInstrument, GaugeInstrument, HistogramInstrument)  # noqa: E741


class DogStatsdMeter:
    """Adds up what instruments are told, and sends it to the agent every ``interval`` seconds.

    Instruments may be used from any thread, and never wait: a thread, which begins with the first
    value, sends. Of a counter, what was added is sent, of a gauge its value, again and again, and
    of a histogram each value, many in a packet. Workers send for themselves; their gauges have the
    tag ``worker``. What is left is sent when the process ends, for at most ``patience`` seconds.

    While an agent cannot be reached, as far as datagrams tell, counters go on adding up, and up
    to ``limit`` values of histograms wait.

    Args:
        address: ``udp://host:port``, or ``unix:///path`` of a socket for datagrams. By default
            what ``DD_DOGSTATSD_URL`` says, else ``DD_AGENT_HOST`` and ``DD_DOGSTATSD_PORT``, else
            ``DD_DOGSTATSD_SOCKET``, else port 8125 of this machine.
        namespace: Before each name, with a dot in between.
        tags: What everything has, as ``name:value``, besides those of ``DD_TAGS``, ``DD_ENV``,
            ``DD_SERVICE``, ``DD_VERSION`` and ``DD_ENTITY_ID``.
        histograms: What a histogram is to Datadog: ``timing`` sends seconds as milliseconds, as
            Go Kratos does, and other units as a histogram; ``distribution`` and ``histogram``
            send the unit of the instrument.
        sample_rate: Which part of the values of histograms is sent, above 0 and up to 1.
        interval: Seconds, above 0.
        max_packet: Bytes of a packet, from 64; by default 1432 over UDP and 8192 else.
        limit: Values of histograms that may wait, at least 1; further ones are dropped.
        patience: Seconds for what is left when the process ends, at least 0.
        max_series: How many series an instrument may have, at least 1. Those of further values of
            labels are one, with ``other`` for each value, and a warning tells of it once.
        log: Where that goes, and that the agent cannot be reached.

    Raises:
        ConfigError: An option, or a variable of the environment, is wrong; the text names it.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        namespace: str = "",
        tags: Sequence[str] = (),
        histograms: Histograms = "timing",
        sample_rate: float = 1.0,
        interval: float = 2.0,
        max_packet: int | None = None,
        limit: int = 100_000,
        patience: float = 1.0,
        max_series: int = 10_000,
        log: Logger | None = None,
    ) -> None:
        if histograms not in get_args(Histograms):
            raise ConfigError(
                f"histograms are timing, distribution or histogram, not {histograms!r}"
            )
        if namespace and not _NAMESPACE.fullmatch(namespace):
            raise ConfigError(f"namespace is letters, digits, _ and dots, not {namespace!r}")
        if isinstance(tags, str):
            raise ConfigError(f"tags is a list such as ['team:shop'], not {tags!r}")
        require_number("sample_rate", sample_rate, above=0)
        if sample_rate > 1:
            raise ConfigError(f"sample_rate is at most 1, not {sample_rate}")
        require_number("interval", interval, above=0, finite=True)
        require_number("patience", patience, least=0, finite=True)
        require_count("limit", limit)
        require_count("max_series", max_series)
        require_methods("log", log, "a logger", "log")
        agent = agent_of(address)
        most = agent.longest if max_packet is None else max_packet
        require_count("max_packet", most, least=64)
        if most > _LARGEST_PACKET:
            raise ConfigError(f"max_packet is at most {_LARGEST_PACKET}, not {most}")
        self._prefix: Final = f"{namespace}." if namespace else ""
        self._histograms: Final = histograms
        self._rate: Final = float(sample_rate)
        self._instruments: Final[dict[str, Instrument]] = {}
        delivery = Delivery(
            agent=agent,
            interval=interval,
            limit=limit,
            max_packet=most,
            patience=patience,
            tags=tuple(cleaned(each) for each in (*tags_of(), *tags)),
        )
        log = StdLogger() if log is None else log
        self._room: Final = Room(most=max_series, log=log)
        self._sender: Final = Sender(delivery, log)

    @property
    def dropped(self) -> int:
        """Values and lines that were not sent: too many waited, or the agent took none."""
        return self._sender.dropped

    @property
    def declared(self) -> tuple[Family, ...]:
        """What instruments there are, without values: those are gone when they are sent."""
        return tuple(made.declared for made in self._instruments.values())

    def counter(
        self, name: str, *, description: str = "", unit: str = "", labels: Sequence[str] = ()
    ) -> Counter:
        """Make a counter; see ``Meter``."""
        family = self._family("counter", name, description, unit, labels)
        return self._one(CounterInstrument(self._sender, family, self._shown(name), self._room))

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
        family = self._family("gauge", name, description, unit, labels, across)
        return self._one(GaugeInstrument(self._sender, family, self._shown(name), self._room))

    def histogram(
        self,
        name: str,
        *,
        description: str = "",
        unit: str = "",
        labels: Sequence[str] = (),
        buckets: Sequence[float] = (),
    ) -> Observer:
        """Make a histogram; see ``Meter``. Datadog has no use for buckets.

        Raises:
            ValueError: The buckets do not rise, one is not finite, or the name is taken.
        """
        bounds = bounds_of(name, buckets)
        family = self._family("histogram", name, description, unit, labels)
        scale = Scale(kind=_KINDS.get(self._histograms, "h"), factor=1.0, rate=self._rate)
        if self._histograms == "timing" and unit == "s":
            scale = Scale(kind="ms", factor=1000.0, rate=self._rate)
        made = HistogramInstrument(
            self._sender, family, self._shown(name), self._room, scale=scale, bounds=bounds
        )
        return self._one(made)

    def on_collect(self, publish: Callable[[], None], /) -> None:
        """Call ``publish`` before gauges are sent; see ``kratos.metrics.Collecting``.

        In the event loop that this, or what makes an instrument, was called in last; not before
        there was one.
        """
        self._sender.on_collect(publish)

    def flush(self) -> bool:
        """Send what there is now; blocks for as long as the agent's socket does.

        Returns:
            Whether it could be sent.
        """
        return self._sender.flush()

    def close(self) -> None:
        """Send what there is, for at most ``patience`` seconds, and no more; blocks.

        Called by itself when the process ends. Idempotent.
        """
        self._sender.close()

    def _shown(self, name: str) -> str:
        return self._prefix + name.replace(":", ".")  # a colon would end it

    def _family(
        self,
        kind: Kind,
        name: str,
        description: str,
        unit: str,
        labels: Sequence[str],
        across: Across = "each",
    ) -> Family:
        self._sender.meet_loop()
        if isinstance(labels, str):
            raise TypeError(f"labels of {name} is a list of names, not the text {labels!r}")
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a metric: letters, digits, _ and : make one")
        for label in labels:
            if not _LABEL.fullmatch(label):
                raise ValueError(f"{label!r} of {name} is no label: letters, digits and _ make one")
        return Family(
            name=name,
            kind=kind,
            description=description,
            unit=unit,
            labels=tuple(labels),
            across=across,
        )

    def _one(self, made: I) -> I:
        name = made.declared.name
        known = self._instruments.setdefault(name, made)
        if not isinstance(known, type(made)) or known.nature != made.nature:
            raise ValueError(f"{name} is taken by another {known.declared.kind}")
        return known
