"""What both limiters by windows have in common: windows that lie on the clock."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Hashable
from typing import Final

from aegis._check import above, at_least, between, whole
from aegis.clock import NANOSECONDS, SYSTEM_CLOCK, Clock
from aegis.ratelimit._table import WhenFull
from aegis.ratelimit.keyed import DEFAULT_CAPACITY, Keyed, Sleep

__all__ = ["COUNT_BITS", "Windowed"]

COUNT_BITS: Final = 32  # of a count within the integer that is kept per key


class Windowed(Keyed):
    """A limiter whose time is cut into windows, the same ones for all keys.

    Args:
        limit: The most permits per window and key; at least 1, less than 2 ** 32.
        window: Length of a window in seconds; at least a nanosecond.
        clock: Gives nanoseconds; a step back counts as no time.
        sleep: How ``wait`` waits; give another one together with another clock.
        capacity: The most keys in memory; see ``Keyed``.
        when_full: What happens to a new key when all others are busy; see ``Keyed``.
        threadsafe: Whether several threads use the limiter.

    Raises:
        ValueError: A value is out of its range.
    """

    __slots__ = ("_end", "_window")

    def __init__(
        self,
        *,
        limit: int,
        window: float,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Sleep = asyncio.sleep,
        capacity: int = DEFAULT_CAPACITY,
        when_full: WhenFull = "evict",
        threadsafe: bool = False,
    ) -> None:
        whole("limit", limit, 1)
        between("limit", limit, 1, (1 << COUNT_BITS) - 1)
        above("window", window)
        self._window = round(window * NANOSECONDS)
        at_least("window in nanoseconds", self._window, 1)
        super().__init__(
            limit=limit,
            scale=1,
            recheck=self._window,
            clock=clock,
            sleep=sleep,
            capacity=capacity,
            when_full=when_full,
        )
        self._roll(self._clock())

    def _roll(self, now: int) -> None:
        index = now // self._window
        self._end = (index + 1) * self._window
        self._enter(index)

    @abstractmethod
    def _enter(self, index: int) -> None:
        """Prepare for the window of that number."""

    def _begin(self, key: Hashable, value: int, n: int, horizon: int) -> bool:
        """Take in a key that has used ``n`` permits in all."""
        if n <= self._limit and key not in self._lines and self._table.add(key, value, horizon):
            return True
        self._refused += 1
        return False

    def _rest(self) -> int:
        """Return what is left of the present window."""
        now = self._clock()
        if now >= self._end:
            self._roll(now)
        return self._end - now
