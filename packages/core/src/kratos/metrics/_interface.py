"""What a metrics back end supplies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from kratos.metrics._snapshot import Snapshot

__all__ = [
    "Across",
    "Collecting",
    "Counter",
    "Gauge",
    "Including",
    "Meter",
    "Observer",
    "Snapshotting",
]

Across: TypeAlias = Literal["each", "sum", "max", "min"]


class Counter(Protocol):
    """A sum that only grows."""

    def labels(self, *values: str) -> Counter:
        """Return the child for these label values, in the declared order.

        The same values give the same series. Look it up once and keep it.

        Raises:
            ValueError: There are more or fewer values than labels.
        """
        ...

    def inc(self, amount: float = 1.0, /) -> None:
        """Add ``amount``.

        Raises:
            ValueError: It is negative, or no number.
        """
        ...


class Gauge(Protocol):
    """A value that goes up and down."""

    def labels(self, *values: str) -> Gauge:
        """Return the child for these label values, in the declared order.

        Raises:
            ValueError: There are more or fewer values than labels.
        """
        ...

    def set(self, value: float, /) -> None:
        """Put ``value`` in place of the present one."""
        ...

    def add(self, amount: float, /) -> None:
        """Add ``amount``, which may be negative."""
        ...


class Observer(Protocol):
    """A distribution, for instance a histogram."""

    def labels(self, *values: str) -> Observer:
        """Return the child for these label values, in the declared order.

        Raises:
            ValueError: There are more or fewer values than labels.
        """
        ...

    def observe(self, value: float, /) -> None:
        """Record one value, in the unit of the instrument."""
        ...


class Meter(Protocol):
    """Makes instruments. Asking twice for one name with equal arguments gives one instrument."""

    def counter(
        self, name: str, *, description: str = "", unit: str = "", labels: Sequence[str] = ()
    ) -> Counter:
        """Make a counter.

        Args:
            name: Name of the series, for example ``server_requests_code_total``.
            description: What it counts, in one line.
            unit: Unit of the values, for example ``s``; empty for a plain number.
            labels: Names of the labels, in the order in which values are given.

        Raises:
            ValueError: The name is taken by an instrument of another kind or other labels, or it or
                a label is no name to Prometheus.
        """
        ...

    def gauge(
        self,
        name: str,
        *,
        description: str = "",
        unit: str = "",
        labels: Sequence[str] = (),
        across: Across = "each",
    ) -> Gauge:
        """Make a gauge; further arguments and errors as ``counter``.

        Args:
            name: Name of the series.
            description: What it shows, in one line.
            unit: Unit of the values.
            labels: Names of the labels.
            across: What is shown of several workers: the value of each, with a label ``worker``
                for its number, or the sum, the greatest or the least one. What workers have
                in common is shown well by ``"max"``, what they share out by ``"sum"``.
        """
        ...

    def histogram(
        self,
        name: str,
        *,
        description: str = "",
        unit: str = "",
        labels: Sequence[str] = (),
        buckets: Sequence[float] = (),
    ) -> Observer:
        """Make a histogram; further arguments and errors as ``counter``.

        Args:
            name: Name of the series.
            description: What it measures, in one line.
            unit: Unit of the values.
            labels: Names of the labels.
            buckets: Upper bounds, rising; empty for the back end's own.
        """
        ...


@runtime_checkable
class Collecting(Protocol):
    """What a meter has besides if it can say when its gauges are about to be read; optional.

    States that change with every call are then written when somebody looks, and not per call.
    A meter that cannot is sent them by a job: ``Periodic(middleware.publish, interval=10)``.
    """

    def on_collect(self, publish: Callable[[], None], /) -> None:
        """Call ``publish``, which sets gauges, before each time that they are read.

        Called in the thread of the event loop, where the states belong to. What it raises is
        logged and spoils nothing else. The meter keeps it for good.
        """
        ...


@runtime_checkable
class Snapshotting(Protocol):
    """What a meter has besides if it can give what it has counted as data; optional.

    A worker tells its supervisor by this what it has counted.
    """

    def snapshot(self) -> Snapshot:
        """Return what was counted in this process.

        Called in the thread of the event loop.
        """
        ...


@runtime_checkable
class Including(Protocol):
    """What a meter has besides if it can show what others have counted; optional.

    The supervisor of workers asks its meter for it, so that one answer tells of all workers: of
    counters and histograms the sum, also over workers that have ended, and of gauges what their
    ``across`` says.
    """

    def include(self, source: Callable[[], Awaitable[Snapshot]], /) -> None:
        """Show what ``source`` returns, too, asking anew each time.

        It takes a second at most, and does not raise. The meter keeps it for good.
        """
        ...
