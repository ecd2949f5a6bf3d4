"""The generic cell rate algorithm: a token bucket whose whole state is one time."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from aegis._check import whole
from aegis.clock import SYSTEM_CLOCK, Clock
from aegis.ratelimit._table import WhenFull
from aegis.ratelimit._ticks import interval
from aegis.ratelimit.keyed import DEFAULT_CAPACITY, Keyed, Sleep
from aegis.ratelimit.single import Single

__all__ = ["Gcra", "KeyedGcra"]


class KeyedGcra(Keyed):
    """At most ``burst`` permits at once and ``rate`` per second in the long run, for each key.

    For each key there is the theoretical arrival time ``TAT`` at which its whole burst would be to
    be had again. With ``T = 1 / rate`` a call for ``n`` permits is allowed if
    ``max(now, TAT) + n * T`` lies at most ``burst * T`` ahead, and then becomes the new ``TAT``. So
    over any time ``t`` a key gets at most ``burst + rate * t`` permits.

    Source: ITU-T I.371, annex A. Of the local limiters the cheapest per key in time and memory.

    Args:
        rate: Permits per second; more than 0, at most 1e12.
        burst: The most permits at once; at least 1.
        clock: Gives nanoseconds; a step back counts as no time.
        sleep: How ``wait`` waits; give another one together with another clock.
        capacity: The most keys in memory; see ``Keyed``.
        when_full: What happens to a new key when all others are busy; see ``Keyed``.
        threadsafe: Whether several threads use the limiter.

    Raises:
        ValueError: A value is out of its range.
    """

    __slots__ = ("_interval", "_room", "_tolerance")

    def __init__(
        self,
        *,
        rate: float,
        burst: int,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Sleep = asyncio.sleep,
        capacity: int = DEFAULT_CAPACITY,
        when_full: WhenFull = "evict",
        threadsafe: bool = False,
    ) -> None:
        whole("burst", burst, 1)
        self._interval, scale = interval(rate)
        self._tolerance = self._interval * burst
        self._room = self._tolerance - self._interval  # the most debt with room for one permit
        super().__init__(
            limit=burst,
            scale=scale,
            recheck=self._interval,
            clock=clock,
            sleep=sleep,
            capacity=capacity,
            when_full=when_full,
        )

    def allow(self, key: Hashable, n: int = 1, /) -> bool:
        """Charge ``key`` for ``n`` permits and return true, or return false and charge nothing.

        False also while coroutines wait for permits of the key: they came first. More than
        ``limit`` permits are never to be had at once.

        Raises:
            ValueError: ``n`` is less than 1, or not whole.
        """
        now = self._clock()
        young = self._table.young
        try:
            tat = young[key]
        except KeyError:
            return self._admit(key, n, now)
        if n != 1 or self._lines:
            return self._admit(key, n, now)
        # What nearly every call comes to, in as few steps as it can be said.
        if tat <= now:
            young[key] = now + self._interval
            return True
        if tat - now <= self._room:
            young[key] = tat + self._interval
            return True
        self._refused += 1
        return False

    _charge = allow

    def _admit(self, key: Hashable, n: int, now: int) -> bool:
        cost = self._cost(n)
        tat = self._table.young.get(key)
        if tat is None:
            tat = self._table.recall(key)
            if tat is None:
                return self._begin(key, now, cost)
        arrival = max(tat, now) + cost
        if arrival - now > self._tolerance or key in self._lines:
            self._refused += 1
            return False
        self._table.young[key] = arrival
        return True

    def _begin(self, key: Hashable, now: int, cost: int) -> bool:
        if (
            cost <= self._tolerance
            and key not in self._lines
            and self._table.add(key, now + cost, now)
        ):
            return True
        self._refused += 1
        return False

    def _cost(self, n: int) -> int:
        whole("n", n, 1)
        return self._interval * n

    def _view(self, key: Hashable, n: int) -> tuple[int, int, int]:
        tat = self._table.get(key)
        debt = 0 if tat is None else max(0, tat - self._clock())
        room = self._tolerance - debt
        return room // self._interval, max(0, n * self._interval - room), debt


class Gcra(Single):
    """At most ``burst`` permits at once and ``rate`` per second in the long run.

    See ``KeyedGcra`` for the algorithm.

    Args:
        rate: Permits per second; more than 0, at most 1e12.
        burst: The most permits at once; at least 1.
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
        rate: float,
        burst: int,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Sleep = asyncio.sleep,
        threadsafe: bool = False,
    ) -> None:
        super().__init__(
            KeyedGcra(rate=rate, burst=burst, clock=clock, sleep=sleep, threadsafe=threadsafe)
        )
