"""A quantile of what was seen of late, in fixed memory."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log
from typing import ClassVar, Final

from aegis._check import above, at_least
from aegis._locked import Lockable

__all__ = ["LatencyQuantile", "LatencyQuantileStats"]

_LOWEST: Final = 1e-5  # seconds
_HIGHEST: Final = 1e3
_GROWTH: Final = 1.05
_LOG_GROWTH: Final = log(_GROWTH)
_BUCKETS: Final = ceil(log(_HIGHEST / _LOWEST) / _LOG_GROWTH) + 1
_RENEWALS: Final = 32  # times that the value is computed while a window passes


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyQuantileStats:
    """What is known.

    Attributes:
        value: The present estimate, in seconds.
        samples: Weight of what it rests on; older samples count less.
    """

    value: float
    samples: float


class LatencyQuantile(Lockable):
    """Follows a quantile of latencies from 10 microseconds to 1000 seconds, within 5 percent.

    Counts samples in buckets that grow by 5 percent, and halves all counts when there are
    ``window`` of them: the present weighs most, and after a change the old is forgotten within
    some windows. Adding costs half a microsecond.

    Source: the buckets are those of DDSketch (Masson, Rim and Lee, VLDB 2019).

    Args:
        quantile: Which, between 0 and 1, for example 0.95.
        initial: Estimate in seconds until there are ``min_samples``; more than 0.
        min_samples: Samples needed for an estimate; at least 1.
        window: Samples after which the counts are halved; at least ``min_samples``.
        threadsafe: Whether to hold a lock in each method.

    Raises:
        ValueError: An option is out of its range.
    """

    __slots__ = ("_counts", "_due", "_quantile", "_total", "_value", "_window")

    LOCKED: ClassVar[tuple[str, ...]] = ("observe", "stats", "value")

    def __init__(
        self,
        quantile: float,
        *,
        initial: float,
        min_samples: float = 100,
        window: int = 1000,
        threadsafe: bool = False,
    ) -> None:
        if not 0 < quantile < 1:
            msg = f"quantile must lie between 0 and 1, got {quantile!r}"
            raise ValueError(msg)
        above("initial", initial)
        at_least("min_samples", min_samples, 1)
        at_least("window", window, min_samples)
        self._quantile = quantile
        self._window = window
        self._counts = [0.0] * _BUCKETS  # fractions, so that halving does not lose the rare
        self._total = 0.0
        self._due = min_samples  # samples until the value is computed again
        self._value = initial

    @property
    def value(self) -> float:
        """The present estimate, in seconds."""
        return self._value

    def observe(self, seconds: float) -> None:
        """Add a sample; what is out of range counts as the nearest that is in it."""
        if seconds <= _LOWEST:
            bucket = 0
        elif seconds < _HIGHEST:
            bucket = int(log(seconds / _LOWEST) / _LOG_GROWTH) + 1
        else:
            bucket = _BUCKETS - 1
        self._counts[bucket] += 1.0
        self._total += 1.0
        self._due -= 1
        if self._due <= 0:  # never 0 on the way down from a fraction
            self._renew()

    def stats(self) -> LatencyQuantileStats:
        """Return what is known."""
        return LatencyQuantileStats(value=self._value, samples=self._total)

    def _renew(self) -> None:
        rank = self._quantile * self._total
        seen = 0.0
        for bucket, count in enumerate(self._counts):
            seen += count
            if seen >= rank:
                self._value = _LOWEST * _GROWTH**bucket  # the upper end of the bucket
                break
        if self._total >= self._window:
            self._counts = [count / 2 for count in self._counts]
            self._total = sum(self._counts)
        self._due = max(1, self._window // _RENEWALS)
