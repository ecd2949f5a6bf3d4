"""The finished buckets of a window, and a minimum that reaches far back."""

from __future__ import annotations

from math import inf

__all__ = ["Buckets", "LongMinimum"]


class Buckets:
    """A ring of finished buckets: how many calls ended in each, and how long they took.

    Source: Go aegis ``internal/window``, of which this is the part that the limiter reads: the
    bucket in use counts for nothing, and neither do those older than the window.

    Args:
        size: Finished buckets to keep, at least 1.
    """

    __slots__ = ("_at", "_means", "_passes")

    def __init__(self, size: int) -> None:
        self._passes = [0] * size
        self._means = [inf] * size
        self._at = 0

    def push(self, passed: int, mean: float, skipped: int) -> None:
        """Add a bucket in which ``passed`` calls ended, and ``skipped`` empty ones after it.

        Args:
            passed: Calls that ended.
            mean: Their mean latency; infinite if none was measured.
            skipped: Empty buckets since.
        """
        size = len(self._passes)
        self._put(passed, mean)
        for _ in range(min(skipped, size)):
            self._put(0, inf)

    @property
    def max_pass(self) -> int:
        """Most calls that ended in one bucket, at least 1."""
        return max(1, *self._passes)

    @property
    def min_mean(self) -> float:
        """Least mean latency of a bucket; infinite if none has one."""
        return min(self._means)

    def _put(self, passed: int, mean: float) -> None:
        at = self._at
        self._passes[at], self._means[at] = passed, mean
        self._at = (at + 1) % len(self._passes)


class LongMinimum:
    """The least value of a long time, kept in a few slices of it.

    Args:
        slices: How many slices the time has; one of them at a time is forgotten.
        length: Steps that make a slice.
    """

    __slots__ = ("_left", "_length", "_slices")

    def __init__(self, slices: int, length: int) -> None:
        self._slices = [inf] * slices
        self._length = self._left = length

    def add(self, value: float, skipped: int = 0) -> float:
        """Add a value, infinite if there is none, of one step; return the least one known.

        Args:
            value: The value.
            skipped: Steps without a value that came after it.
        """
        slices = self._slices
        slices[0] = min(slices[0], value)
        self._left -= 1 + skipped
        if self._left <= 0:
            begun = -self._left // self._length + 1
            self._left += begun * self._length
            kept = max(len(slices) - begun, 0)
            self._slices = slices = [inf] * (len(slices) - kept) + slices[:kept]
        return min(slices)
