"""What limiters with keys have in common: the detailed, the waiting and the guarding form."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Hashable
from math import inf
from typing import ClassVar, Final, TypeAlias

from aegis._check import whole
from aegis._locked import Lockable
from aegis.clock import NANOSECONDS, Clock
from aegis.ratelimit._line import Line, Place
from aegis.ratelimit._table import Table, WhenFull
from aegis.ratelimit._ticks import ticking
from aegis.ratelimit.decision import Decision, KeyedStats
from aegis.ratelimit.entry import Entry
from aegis.refusal import RateExceeded

__all__ = ["DEFAULT_CAPACITY", "Keyed", "Sleep"]

Sleep: TypeAlias = Callable[[float], Awaitable[object]]
"""Waits for so many seconds; cancellation ends it."""

DEFAULT_CAPACITY: Final = 1_000_000


class Keyed(Lockable, ABC):
    """A rate limiter that counts each key by itself.

    Keys are whatever a dictionary takes; the limiter holds no more than ``capacity`` of them, and
    forgets the idle ones first: they equal keys that it never saw. The four algorithms inherit
    this.

    Args:
        limit: The most permits that a key can have at once.
        scale: Ticks in a nanosecond; the state of the keys is in ticks.
        recheck: Ticks after which a call that found no room for its key may try again.
        clock: Gives nanoseconds; a step back counts as no time.
        sleep: How ``wait`` waits; give another one together with another clock.
        capacity: The most keys in memory. The default costs up to 125 MB besides the keys
            themselves, and only if a quarter million of them are busy; fewer cost less.
        when_full: What happens to a new key when all others are busy. ``evict`` forgets one that
            was not used of late, which then begins anew: whoever wants to profit from that needs
            permits for a million other keys first. ``refuse`` refuses calls of new keys until a
            key is idle, so that nobody ever gets more than is due, but a flood of made-up keys
            locks new callers out.
        threadsafe: Whether several threads use the limiter. ``wait`` then serves the coroutines of
            several loops, still in order of arrival.
    """

    __slots__ = ("_clock", "_limit", "_lines", "_recheck", "_refused", "_scale", "_sleep", "_table")

    LOCKED: ClassVar[tuple[str, ...]] = (
        "allow",
        "take",
        "peek",
        "stats",
        "_join",
        "_serve",
        "_leave",
    )

    def __init__(
        self,
        *,
        limit: int,
        scale: int,
        recheck: int,
        clock: Clock,
        sleep: Sleep,
        capacity: int,
        when_full: WhenFull,
        threadsafe: bool = False,
    ) -> None:
        self._limit = limit
        self._scale = scale
        self._recheck = recheck
        self._clock = ticking(clock, scale)
        self._sleep = sleep
        self._table = Table(capacity=capacity, when_full=when_full)
        self._lines: dict[Hashable, Line] = {}
        self._refused: int = 0

    @property
    def limit(self) -> int:
        """The most permits that a key can have at once."""
        return self._limit

    @abstractmethod
    def allow(self, key: Hashable, n: int = 1, /) -> bool:
        """Charge ``key`` for ``n`` permits and return true, or return false and charge nothing.

        False also while coroutines wait for permits of the key: they came first. More than
        ``limit`` permits are never to be had at once.

        Raises:
            ValueError: ``n`` is less than 1, or not whole.
        """

    @abstractmethod
    def _charge(self, key: Hashable, n: int = 1, /) -> bool:
        """``allow`` itself, without the lock that it may have been given."""

    @abstractmethod
    def _view(self, key: Hashable, n: int) -> tuple[int, int, int]:
        """Return permits to be had now, ticks until ``n`` can be had, ticks until all can be.

        For ``n`` above the limit, not less than the ticks that a line of as many needs.
        """

    def take(self, key: Hashable, n: int = 1, /) -> Decision:
        """Charge ``key`` as ``allow`` does, and tell what is left and how long to wait.

        Raises:
            ValueError: ``n`` is less than 1, or not whole.
        """
        return self._decision(key, n, allowed=self._charge(key, n))

    def peek(self, key: Hashable, n: int = 1, /) -> Decision:
        """Tell what ``take`` would, and charge nothing.

        Raises:
            ValueError: ``n`` is less than 1, or not whole.
        """
        whole("n", n, 1)
        left, _, _ = self._view(key, n)
        return self._decision(key, n, allowed=n <= left and key not in self._lines)

    async def wait(self, key: Hashable, n: int = 1, /, *, timeout: float | None = None) -> None:
        """Charge ``key`` for ``n`` permits, as soon as they are to be had.

        Coroutines get permits in order of arrival, also where a later one asks for fewer, and
        before any ``allow`` of the key.

        Args:
            key: Who pays.
            n: Permits.
            timeout: The most seconds to wait. If it is known that they will not do, the call fails
                without waiting.

        Raises:
            RateExceeded: It would take longer than ``timeout``; nothing is charged.
            ValueError: ``n`` is less than 1, not whole, or more than can ever be had at once.

        Cancellation: charges nothing, and those behind move up.
        """
        if n != 1:  # which there always can be
            self._check(n, "wait for")
        place, delay = self._join(key, n, inf if timeout is None else timeout)
        if place is None:
            return
        loop = asyncio.get_running_loop()
        end = inf if timeout is None else loop.time() + timeout
        try:
            async with asyncio.timeout_at(None if timeout is None else end):
                await place
                while delay := self._serve(key, n):
                    if delay > end - loop.time():
                        raise _too_late(delay, timeout)
                    await self._sleep(delay)
        except TimeoutError:
            raise _too_late(delay, timeout) from None
        finally:
            dead = self._leave(key, place)
            # With its place a coroutine may go, which on the way out asks for the lock in turn.
            del dead

    def guard(self, key: Hashable, n: int = 1, /) -> Entry:
        """Return a context manager, sync and async, that charges on entry or raises.

        As a decorator it charges for each call of a function or coroutine function::

            with limiter.guard("user-42"): ...
            @limiter.guard("reports", 5)
            async def report(): ...

        What it raises on entry is ``RateExceeded`` with the exact ``retry_after``.

        Raises:
            ValueError: ``n`` is less than 1, not whole, or more than can ever be had at once.
        """
        self._check(n, "guard with")
        return Entry(lambda: self.take(key, n))

    def stats(self) -> KeyedStats:
        """Return what there is to see at this moment."""
        return KeyedStats(
            keys=len(self._table),
            capacity=self._table.capacity,
            waiting=sum(map(len, self._lines.values())),
            refused=self._refused,
            evicted=self._table.evicted,
            turned_away=self._table.turned_away,
        )

    def _decision(self, key: Hashable, n: int, *, allowed: bool) -> Decision:
        line = self._lines.get(key)
        left, delay, reset = self._view(key, n if line is None else n + line.wanted)
        if allowed:
            retry_after = 0.0
        else:
            retry_after = inf if n > self._limit else self._seconds(delay or self._again(key))
        return Decision(
            allowed, self._limit, 0 if line else left, retry_after, self._seconds(reset)
        )

    def _again(self, key: Hashable, /) -> int:
        """Return the ticks to wait where a call was refused though its key has permits."""
        # Either there was no room for the key, or the permits have come since.
        return self._recheck if self._table.get(key) is None else 1

    def _seconds(self, ticks: int) -> float:
        return -(-ticks // self._scale) / NANOSECONDS  # up: earlier is too early

    def _check(self, n: int, what: str) -> None:
        whole("n", n, 1)
        if n > self._limit:
            msg = f"cannot {what} {n} permits: there are never more than {self._limit} at once"
            raise ValueError(msg)

    def _join(self, key: Hashable, n: int, timeout: float) -> tuple[Place | None, float]:
        """Return no place if the permits could be had, else one and the least time to wait."""
        line = self._lines.get(key)
        if line is None:
            if self._charge(key, n):
                return None, 0.0
            self._refused -= 1  # who waits is not refused
        wanted = n if line is None else n + line.wanted
        delay = self._seconds(self._view(key, wanted)[1] or self._again(key))
        if delay > timeout:
            self._refused += 1
            raise _too_late(delay, timeout)
        if line is None:
            line = Line()
        place = line.join(n)
        self._lines[key] = line
        return place, delay

    def _serve(self, key: Hashable, n: int) -> float:
        """Charge for the first in line; return the seconds until that can be tried again, or 0."""
        line = self._lines.pop(key)  # a line keeps all but its first out
        try:
            if self._charge(key, n):
                return 0.0
            self._refused -= 1
            return self._seconds(self._view(key, n)[1] or self._again(key))
        finally:
            self._lines[key] = line

    def _leave(self, key: Hashable, place: Place) -> list[Place]:
        """Give up a place; return those of closed loops, to be dropped without the lock."""
        line = self._lines.get(key)
        if line is None:
            return []
        dead = line.leave(place)
        if not line:
            del self._lines[key]
        return dead


def _too_late(delay: float, timeout: float | None) -> RateExceeded:
    msg = f"permits are to be had in {delay:g} s at the earliest, and the timeout is {timeout:g} s"
    return RateExceeded(msg, retry_after=delay)
