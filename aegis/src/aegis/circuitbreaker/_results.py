"""What became of the last calls: how many there were, how many failed, how many were slow."""

from __future__ import annotations

from typing import Final, Protocol

from aegis.circuitbreaker._buckets import Buckets

__all__ = ["FAILED", "SLOW", "LastCalls", "LastSeconds", "Results"]

FAILED: Final = 1
SLOW: Final = 2


class Results(Protocol):
    """Counts of a sliding window. A call may be both failed and slow."""

    calls: int
    failed: int
    slow: int

    def add(self, now: int, flags: int, /) -> None:
        """Count a call that ended at ``now`` (nanoseconds) as ``FAILED``, ``SLOW``, both or 0."""
        ...

    def look(self, now: int) -> None:
        """Bring the counts up to ``now``."""
        ...

    def clear(self, now: int) -> None:
        """Forget everything."""
        ...


class LastCalls:
    """The last ``size`` calls, however long ago: a ring of two bits each."""

    __slots__ = ("_next", "_ring", "calls", "failed", "slow")

    def __init__(self, size: int) -> None:
        self._ring: Final = bytearray(size)
        self._next = 0
        self.calls = self.failed = self.slow = 0

    def add(self, now: int, flags: int, /) -> None:
        """Count one call in place of the oldest."""
        ring, place = self._ring, self._next
        if self.calls < len(ring):
            self.calls += 1
        self._next = place + 1 if place + 1 < len(ring) else 0
        old = ring[place]
        if old != flags:
            ring[place] = flags
            self.failed += (flags & FAILED) - (old & FAILED)
            self.slow += (flags >> 1) - (old >> 1)

    def look(self, now: int) -> None:
        """Do nothing: time does not matter here."""

    def clear(self, now: int) -> None:
        """Forget everything."""
        self._ring[:] = bytes(len(self._ring))
        self._next = self.calls = self.failed = self.slow = 0


class LastSeconds:
    """The calls that ended within the last ``window`` seconds, in buckets."""

    __slots__ = ("_buckets", "_end", "calls", "failed", "slow")

    def __init__(self, now: int, *, window: float, buckets: int) -> None:
        self._buckets: Final = Buckets(now, window=window, buckets=buckets, width=3)
        self._end = self._buckets.end
        self.calls = self.failed = self.slow = 0

    def add(self, now: int, flags: int, /) -> None:
        """Count one call."""
        if now >= self._end:
            self._roll(now)
        self.calls += 1
        if flags:
            self.failed += flags & FAILED
            self.slow += flags >> 1

    def look(self, now: int) -> None:
        """Forget what is older than the window."""
        if now >= self._end:
            self._roll(now)

    def clear(self, now: int) -> None:
        """Forget everything."""
        self._buckets.clear(now)
        self._end = self._buckets.end
        self.calls = self.failed = self.slow = 0

    def _roll(self, now: int) -> None:
        sums = (self.calls, self.failed, self.slow)
        self.calls, self.failed, self.slow = self._buckets.roll(now, sums)
        self._end = self._buckets.end
