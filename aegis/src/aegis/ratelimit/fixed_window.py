"""A counter per window of time."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Final

from aegis._check import whole
from aegis.clock import SYSTEM_CLOCK, Clock
from aegis.ratelimit._window import COUNT_BITS, Windowed
from aegis.ratelimit.keyed import Sleep
from aegis.ratelimit.single import Single

__all__ = ["FixedWindow", "KeyedFixedWindow"]

_ONE: Final = 1


class KeyedFixedWindow(Windowed):
    """At most ``limit`` permits in each window of ``window`` seconds, for each key.

    Windows begin at whole multiples of their length on the clock, for all keys alike. On both
    sides of an edge the whole limit may be used, so ``window`` seconds that contain an edge may see
    twice the limit. It is the limiter for quotas that are stated that way ("1000 calls per hour"),
    and the cheapest one.

    Options and errors are those of ``Windowed``: ``limit``, ``window``, ``clock``, ``sleep``,
    ``capacity``, ``when_full`` and ``threadsafe``.
    """

    __slots__ = ("_base", "_full")

    # The value of a key: the number of its last window, then the permits it had there.

    def _enter(self, index: int) -> None:
        self._base = index << COUNT_BITS
        self._full = self._base + self._limit

    def allow(self, key: Hashable, n: int = 1, /) -> bool:
        """Charge ``key`` for ``n`` permits and return true, or return false and charge nothing.

        False also while coroutines wait for permits of the key: they came first. More than
        ``limit`` permits are never to be had at once.

        Raises:
            ValueError: ``n`` is less than 1, or not whole.
        """
        now = self._clock()
        if now >= self._end:
            self._roll(now)
        if n is not _ONE:  # 1.0 is another
            whole("n", n, 1)
        young = self._table.young
        value = young.get(key)
        base = self._base
        if value is None:
            value = self._table.recall(key)
            if value is None:
                return self._begin(key, base + n, n, base)
        used = (value if value > base else base) + n
        if used > self._full or (self._lines and key in self._lines):
            self._refused += 1
            return False
        young[key] = used
        return True

    _charge = allow

    def _view(self, key: Hashable, n: int) -> tuple[int, int, int]:
        rest = self._rest()
        value = self._table.get(key)
        used = 0 if value is None else max(0, value - self._base)
        left = self._limit - used
        later = -(-(n - left) // self._limit)  # windows after this one
        return (
            left,
            0 if later <= 0 else rest + (later - 1) * self._window,
            rest if used else 0,
        )


class FixedWindow(Single):
    """At most ``limit`` permits in each window of ``window`` seconds.

    See ``KeyedFixedWindow`` for the algorithm.

    Args:
        limit: The most permits per window; at least 1, less than 2 ** 32.
        window: Length of a window in seconds; at least a nanosecond.
        clock: Gives nanoseconds; a step back counts as no time.
        sleep: How ``wait`` waits; give another one together with another clock.
        threadsafe: Whether several threads use the limiter.

    Raises:
        ValueError: A value is out of its range.
    """

    __slots__ = ()

    def __init__(
        self,
        *,
        limit: int,
        window: float,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Sleep = asyncio.sleep,
        threadsafe: bool = False,
    ) -> None:
        super().__init__(
            KeyedFixedWindow(
                limit=limit, window=window, clock=clock, sleep=sleep, threadsafe=threadsafe
            )
        )
