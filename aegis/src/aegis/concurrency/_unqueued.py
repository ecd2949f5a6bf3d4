"""The latency of calls that wait for nothing, remembered and, under overload, measured anew."""

from __future__ import annotations

from math import inf
from typing import Final

from aegis.concurrency._buckets import LongMinimum

__all__ = ["Unqueued"]

_SLICES: Final = 6  # of the horizon
_GROUP: Final = 100  # calls whose mean is a sample: the least of noisier ones would be far too low
_DIP_GROUP: Final = 50
_DIPS: Final = 2  # in a horizon


class Unqueued:
    """Keeps the least mean latency over a horizon, and dips the limit lest overload outlast it.

    When refusals have gone on for half a horizon, the limit is cut to a quarter until the calls in
    flight have drained to that, and then until a sample has been taken, for ``patience`` at most.
    Without such dips the memory of the time before the overload runs out; what is least then is
    the latency of a queue, and the limit doubles with each horizon. Cardwell et al. call the same
    thing ProbeRTT.

    Args:
        horizon: Nanoseconds to look back.
        bucket: Nanoseconds between two calls of ``add``, at least.
        patience: Nanoseconds that a dip lasts at most.
    """

    __slots__ = (
        "_dip_at",
        "_dip_end",
        "_draining",
        "_enough",
        "_interval",
        "_minimum",
        "_patience",
        "_refused",
        "_sampled",
        "_timed",
        "_total",
        "least",
    )

    def __init__(self, horizon: int, bucket: int, patience: int) -> None:
        self._minimum = LongMinimum(_SLICES, -(-horizon // (bucket * _SLICES)))
        self._interval = horizon // _DIPS
        self._patience = patience
        self._timed = self._total = 0  # of the group
        self._enough = _GROUP
        self._sampled = self._draining = False
        self._refused = 0
        self._dip_at: int | None = None  # when the next one begins, or this one began
        self._dip_end: int | None = None
        self.least = inf

    @property
    def dipping(self) -> bool:
        """Whether the limit is cut at present."""
        return self._dip_end is not None

    def add(self, timed: int, total: int, skipped: int) -> None:
        """Add a bucket of ``timed`` calls that took ``total`` nanoseconds together.

        Args:
            timed: Calls.
            total: Nanoseconds.
            skipped: Empty buckets after it.
        """
        self._timed += timed
        self._total += total
        mean = self._total / self._timed if self._timed else inf
        if self._timed < self._enough:
            least = self._minimum.add(inf, skipped)
            self.least = mean if least == inf else least  # better than nothing
            return
        self.least = min(self._minimum.add(mean, skipped), mean)
        self._timed = self._total = 0
        self._sampled = True

    def cut(self, limit: int, inflight: int, refused: int, now: int) -> int:
        """Return the limit, or a quarter of it during a dip.

        Args:
            limit: The one in force.
            inflight: Calls in flight.
            refused: Calls refused so far.
            now: Reading of the clock.
        """
        if self._dip_end is None:
            if self._dip_at is not None and now < self._dip_at:
                return limit
            first, since = self._dip_at is None, refused - self._refused
            self._dip_at, self._refused = now + self._interval, refused
            if first or since < _GROUP:
                return limit
            self._dip_end = now + self._patience
            self._draining = True
        low = max(1, limit // 4)
        if now >= self._dip_end or (self._sampled and not self._draining):
            self._dip_end, self._dip_at = None, now + self._interval
            self._enough = _GROUP
            return limit
        if self._draining and inflight <= low + 1:  # what ends from here on has not waited
            self._timed = self._total = 0
            self._enough, self._sampled, self._draining = _DIP_GROUP, False, False
        return low
