"""Sums over a sliding window of time, in buckets, at a cost that does not grow with the window."""

from __future__ import annotations

from typing import Final, TypeAlias

from aegis._check import above, at_least
from aegis.clock import NANOSECONDS

__all__ = ["Buckets"]

_Sums: TypeAlias = tuple[int, ...]


class Buckets:
    """The closed buckets of a window; its owner counts, and asks ``roll`` when a bucket ends.

    The owner holds the sums over the whole window in plain attributes, so that counting is an
    addition, reading is a look, and only the first call after the end of a bucket does more.
    Buckets are aligned to the time of creation. A clock that goes back counts as one that stands
    still.

    Source: Go aegis ``internal/window``, whose geometry this is; there every reading adds up all
    buckets.

    Args:
        now: Time of creation, in nanoseconds.
        window: Seconds that are covered, by the bucket in use and the closed ones before it.
        buckets: Number of buckets.
        width: How many sums there are.

    Raises:
        ValueError: There is less than a nanosecond for each bucket, or no bucket.
    """

    __slots__ = ("_span", "closed", "end")

    def __init__(self, now: int, *, window: float, buckets: int, width: int) -> None:
        above("window", window)
        at_least("buckets", buckets, 1)
        span = round(window * NANOSECONDS) // buckets
        if span < 1:
            msg = f"window must have a nanosecond for each of {buckets} buckets, got {window!r}"
            raise ValueError(msg)
        self._span: Final = span
        self.closed: list[_Sums] = [(0,) * width] * (buckets - 1)
        """The sums of each bucket before the one in use, the oldest first."""
        self.end = now + span
        """First time, in nanoseconds, that is no longer in the bucket in use."""

    def roll(self, now: int, sums: _Sums) -> _Sums:
        """Close the buckets that have ended by ``now``, and return what is left of ``sums``.

        Args:
            now: Not before ``end``.
            sums: What the owner has counted within the window.
        """
        ended = (now - self.end) // self._span + 1
        self.end += ended * self._span
        closed = self.closed
        zeros = (0,) * len(sums)
        if ended > len(closed):
            self.closed = [zeros] * len(closed)
            return zeros
        before = map(sum, zip(*closed, strict=True))
        last = tuple(total - old for total, old in zip(sums, before, strict=True))
        self.closed = [*closed[ended:], last, *[zeros] * (ended - 1)]
        return tuple(map(sum, zip(*self.closed, strict=True)))

    def clear(self, now: int) -> None:
        """Forget everything; a bucket begins at ``now``."""
        self.closed = [(0,) * len(sums) for sums in self.closed]
        self.end = now + self._span
