"""Instruments that add up what they are told until it is sent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from random import random
from typing import Any, ClassVar, Final, Generic, Protocol, TypeAlias, TypeVar

from kratos.log import Level, Logger
from kratos.metrics import Family
from kratos_datadog.lines import number, tag, value_lines

__all__ = [
    "CounterInstrument",
    "GaugeInstrument",
    "HistogramInstrument",
    "Instrument",
    "Room",
    "Scale",
    "Series",
    "Sink",
]

_OTHER: Final = "other"


class Sink(Protocol):
    """What the instruments of a meter share."""

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """Held while a series changes."""
        ...

    def touch(self, series: Series, /) -> None:
        """Note that a series has something to send; called with the lock held."""
        ...

    def admit(self) -> bool:
        """Tell whether one more value of a histogram may wait; called with the lock held."""
        ...

    def release(self, number: int, /) -> None:
        """Note that so many values do not wait any more; called with the lock held."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How values of a histogram are sent.

    Attributes:
        kind: What DogStatsD calls them.
        factor: What they are multiplied with.
        rate: Which part of them is sent.
    """

    kind: str
    factor: float
    rate: float


class Series:
    """One series: a name and tags."""

    __slots__ = ("_name", "_sink", "_tags", "_waiting")

    def __init__(self, sink: Sink, name: str, tags: tuple[str, ...]) -> None:
        self._sink: Final = sink
        self._name: Final = name
        self._tags: Final = tags
        self._waiting = False

    lasting: ClassVar[bool] = False
    """Whether it is sent again and again once it was touched."""

    def take(self) -> Sequence[float]:
        """Return the values that are to be sent now, and begin anew; called with the lock held."""
        raise NotImplementedError

    def lines(
        self, values: Sequence[float], tags: tuple[str, ...], longest: int
    ) -> Iterable[bytes]:
        """Return lines for values that were taken."""
        raise NotImplementedError

    def forget(self) -> None:
        """Be as one that was not touched, in a process that was forked."""
        self.take()
        self._waiting = False

    def _touch(self) -> None:
        if not self._waiting:
            self._waiting = True
            self._sink.touch(self)

    def _tail(self, kind: str, tags: tuple[str, ...]) -> str:
        told = ",".join((*self._tags, *tags))
        return f"|{kind}|#{told}" if told else f"|{kind}"

    def _lines(self, values: Sequence[float], kind: str, tags: tuple[str, ...]) -> list[bytes]:
        tail = self._tail(kind, tags)
        return [f"{self._name}:{number(value)}{tail}".encode() for value in values]

    def _alone(self, values: tuple[str, ...]) -> None:
        if values:
            raise ValueError(f"{values} are more values than there are labels")


class CounterSeries(Series):
    """A sum; what was added since it was sent last is sent."""

    __slots__ = ("_added",)

    def __init__(self, sink: Sink, name: str, tags: tuple[str, ...]) -> None:
        super().__init__(sink, name, tags)
        self._added = 0.0

    def labels(self, *values: str) -> CounterSeries:
        """Return itself; see ``Counter``."""
        self._alone(values)
        return self

    def inc(self, amount: float = 1.0, /) -> None:
        """Add ``amount``; see ``Counter``."""
        if not 0 <= amount < math.inf:
            raise ValueError(f"a counter only grows; {amount} cannot be added")
        with self._sink.lock:
            self._added += amount
            self._touch()

    def take(self) -> Sequence[float]:
        """Return what was added, if anything was."""
        added, self._added, self._waiting = self._added, 0.0, False
        return (added,) if added else ()

    def lines(
        self, values: Sequence[float], tags: tuple[str, ...], longest: int
    ) -> Iterable[bytes]:
        """Return a line for each."""
        return self._lines(values, "c", tags)


class GaugeSeries(Series):
    """A value, which is sent again and again once it is known: agents forget."""

    __slots__ = ("_value",)

    lasting = True

    def __init__(self, sink: Sink, name: str, tags: tuple[str, ...]) -> None:
        super().__init__(sink, name, tags)
        self._value = 0.0

    def labels(self, *values: str) -> GaugeSeries:
        """Return itself; see ``Gauge``."""
        self._alone(values)
        return self

    def set(self, value: float, /) -> None:
        """Put ``value`` in place of the present one."""
        with self._sink.lock:
            self._value = value
            self._touch()

    def add(self, amount: float, /) -> None:
        """Add ``amount``, which may be negative."""
        with self._sink.lock:
            self._value += amount
            self._touch()

    def take(self) -> Sequence[float]:
        """Return the value, if it is one that Datadog has."""
        return (self._value,) if math.isfinite(self._value) else ()

    def lines(
        self, values: Sequence[float], tags: tuple[str, ...], longest: int
    ) -> Iterable[bytes]:
        """Return a line for each."""
        return self._lines(values, "g", tags)


class HistogramSeries(Series):
    """Values, each of which is sent."""

    __slots__ = ("_scale", "_values")

    def __init__(self, sink: Sink, name: str, tags: tuple[str, ...], scale: Scale) -> None:
        super().__init__(sink, name, tags)
        self._scale: Final = scale
        self._values: list[float] = []

    def labels(self, *values: str) -> HistogramSeries:
        """Return itself; see ``Observer``."""
        self._alone(values)
        return self

    def observe(self, value: float, /) -> None:
        """Record one value."""
        if self._scale.rate < 1 and random() >= self._scale.rate:
            return
        with self._sink.lock:
            if math.isfinite(value) and self._sink.admit():
                self._values.append(value)
                self._touch()

    def take(self) -> Sequence[float]:
        """Return all values."""
        values, self._values, self._waiting = self._values, [], False
        self._sink.release(len(values))
        return values

    def lines(
        self, values: Sequence[float], tags: tuple[str, ...], longest: int
    ) -> Iterable[bytes]:
        """Return lines with many values each."""
        scale = self._scale
        kind = scale.kind if scale.rate == 1 else f"{scale.kind}|@{number(scale.rate)}"
        scaled = values if scale.factor == 1 else [each * scale.factor for each in values]
        return value_lines(self._name, scaled, self._tail(kind, tags), longest)


S = TypeVar("S", CounterSeries, GaugeSeries, HistogramSeries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many series an instrument may have: peers' values of labels must not fill the memory.

    Attributes:
        most: Their number.
        log: Where it is told that there are more.
    """

    most: int
    log: Logger


class _Labelled(Generic[S]):
    """All series of one name, by the values of their labels."""

    __slots__ = ("_make", "_other", "_room", "_series", "_sink", "declared", "nature")

    def __init__(
        self,
        sink: Sink,
        declared: Family,
        room: Room,
        make: Callable[[tuple[str, ...]], S],
        *nature: object,
    ) -> None:
        self.declared: Final = declared
        self.nature: Final = (declared.kind, declared.labels, declared.across, *nature)
        self._sink: Final = sink
        self._room: Final = room
        self._other: S | None = None
        self._make: Final[Callable[[tuple[str, ...]], S]] = make
        self._series: Final[dict[tuple[str, ...], S]] = {}

    def labels(self, *values: str) -> S:
        """Return the child for these values; beyond the limit that of ``other``."""
        series = self._series.get(values)
        if series is not None:
            return series
        names = self.declared.labels
        if len(values) != len(names):
            raise ValueError(f"{self.declared.name} has the labels {names}, not {values}")
        with self._sink.lock:
            if len(self._series) >= self._room.most:
                return self._beyond(values)
            return self._series.setdefault(values, self._made(values))

    def _made(self, values: Iterable[str]) -> S:
        return self._make(tuple(map(tag, self.declared.labels, values)))

    def _beyond(self, values: tuple[str, ...]) -> S:
        if self._other is None:
            name, most = self.declared.name, self._room.most
            others = (_OTHER,) * len(values)
            self._other = self._series.setdefault(others, self._made(others))
            self._room.log.log(
                Level.WARN,
                "a metric has too many series: further ones are counted together, as 'other'",
                {"metric": name, "most": most, "first": ",".join(values)[:256]},
            )
        return self._other


class CounterInstrument(_Labelled[CounterSeries]):
    """A counter with its series."""

    __slots__ = ()

    def __init__(self, sink: Sink, declared: Family, name: str, room: Room) -> None:
        super().__init__(sink, declared, room, lambda tags: CounterSeries(sink, name, tags))

    def inc(self, amount: float = 1.0, /) -> None:
        """Add ``amount``; see ``Counter``."""
        self.labels().inc(amount)


class GaugeInstrument(_Labelled[GaugeSeries]):
    """A gauge with its series."""

    __slots__ = ()

    def __init__(self, sink: Sink, declared: Family, name: str, room: Room) -> None:
        super().__init__(sink, declared, room, lambda tags: GaugeSeries(sink, name, tags))

    def set(self, value: float, /) -> None:
        """Put ``value`` in place of the present one."""
        self.labels().set(value)

    def add(self, amount: float, /) -> None:
        """Add ``amount``, which may be negative."""
        self.labels().add(amount)


class HistogramInstrument(_Labelled[HistogramSeries]):
    """A histogram with its series."""

    __slots__ = ()

    def __init__(
        self,
        sink: Sink,
        declared: Family,
        name: str,
        room: Room,
        *,
        scale: Scale,
        bounds: tuple[float, ...],
    ) -> None:
        super().__init__(
            sink, declared, room, lambda tags: HistogramSeries(sink, name, tags, scale), bounds
        )

    def observe(self, value: float, /) -> None:
        """Record one value."""
        self.labels().observe(value)


Instrument: TypeAlias = "CounterInstrument | GaugeInstrument | HistogramInstrument"
