"""A window that slides over two counters, the older of which fades."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Final

from aegis._check import whole
from aegis.clock import SYSTEM_CLOCK, Clock
from aegis.ratelimit._window import COUNT_BITS, Windowed
from aegis.ratelimit.keyed import Sleep
from aegis.ratelimit.single import Single

__all__ = ["KeyedSlidingWindow", "SlidingWindow"]

_ONE: Final = 1
_COUNT: Final = (1 << COUNT_BITS) - 1
_INDEX_BITS: Final = 2 * COUNT_BITS  # where the number of the window begins
_ONE_WINDOW: Final = 1 << _INDEX_BITS


class KeyedSlidingWindow(Windowed):
    """About ``limit`` permits in any ``window`` seconds, for each key.

    There is a counter for the present window, on the clock as in ``KeyedFixedWindow``, and the one
    of the window before. The estimate ``previous * (1 - elapsed / window) + current`` takes the
    previous permits for evenly spread; a call is allowed if the estimate with it is at most
    ``limit``. So there is no burst at an edge, and over any time ``t`` a key gets at most
    ``limit + limit * t / window`` permits.

    Source: the counter that Cloudflare described in "How we built rate limiting capable of scaling
    to millions of domains", 2017.

    Options and errors are those of ``Windowed``: ``limit``, ``window``, ``clock``, ``sleep``,
    ``capacity``, ``when_full`` and ``threadsafe``.
    """

    __slots__ = ("_base", "_most")

    # The value of a key: the number of its last window, the permits of the one before, its permits.

    def _enter(self, index: int) -> None:
        self._base = index << _INDEX_BITS
        self._most = self._limit * self._window

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
        table, base = self._table, self._base
        value = table.young.get(key)
        if value is None:
            value = table.recall(key)
            if value is None:
                return self._begin(key, base + n, n, base - _ONE_WINDOW)
        since = value - base
        if since >= 0:  # as _counts, which would cost a call
            previous, current = since >> COUNT_BITS, (since & _COUNT) + n
        else:
            previous, current = value & _COUNT if since >= -_ONE_WINDOW else 0, n
        if previous * (self._end - now) + current * self._window > self._most or (
            self._lines and key in self._lines
        ):
            self._refused += 1
            return False
        table.young[key] = base + (previous << COUNT_BITS) + current
        return True

    _charge = allow

    def _counts(self, value: int) -> tuple[int, int]:
        """Return the permits of the previous and of the present window."""
        since = value - self._base
        if since >= 0:
            return since >> COUNT_BITS, since & _COUNT
        if since >= -_ONE_WINDOW:
            return value & _COUNT, 0
        return 0, 0

    def _view(self, key: Hashable, n: int) -> tuple[int, int, int]:
        rest = self._rest()
        value = self._table.get(key)
        previous, current = (0, 0) if value is None else self._counts(value)
        room = self._most - previous * rest - current * self._window
        reset = rest + self._window if current else rest if previous else 0
        delay = 0 if n * self._window <= room else self._delay(previous, current, n, rest)
        return room // self._window, delay, reset

    def _delay(self, previous: int, current: int, n: int, rest: int) -> int:
        """Return the time until the estimate has fallen far enough for ``n`` permits."""
        window, limit = self._window, self._limit
        if n > limit:
            return window * (n - limit) // limit
        spare = limit - n - current
        if spare >= 0:  # once the previous window has faded so far
            return rest - spare * window // previous
        return rest + window - (limit - n) * window // current  # when this one is the previous


class SlidingWindow(Single):
    """About ``limit`` permits in any ``window`` seconds.

    See ``KeyedSlidingWindow`` for the algorithm.

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
            KeyedSlidingWindow(
                limit=limit, window=window, clock=clock, sleep=sleep, threadsafe=threadsafe
            )
        )
