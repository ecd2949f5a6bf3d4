"""What limiters without keys have in common: each is a limiter with keys, of which it uses one."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final

from aegis.ratelimit.decision import Decision, RateStats
from aegis.ratelimit.entry import Entry
from aegis.ratelimit.keyed import Keyed

__all__ = ["Single"]

_KEY: Final = None


class Single:
    """A rate limiter that counts all calls together. The four algorithms inherit this.

    Args:
        keyed: Decides, under one key.
    """

    __slots__ = ("_allow", "_keyed")

    def __init__(self, keyed: Keyed) -> None:
        self._keyed = keyed
        self._allow = keyed.allow

    @property
    def limit(self) -> int:
        """The most permits that can be had at once."""
        return self._keyed.limit

    def allow(self, n: int = 1, /) -> bool:
        """Take ``n`` permits and return true, or return false and take none.

        False also while coroutines wait for permits: they came first. More than ``limit`` permits
        are never to be had at once.

        Raises:
            ValueError: ``n`` is less than 1, or not whole.
        """
        return self._allow(_KEY, n)

    def take(self, n: int = 1, /) -> Decision:
        """Take permits as ``allow`` does, and tell what is left and how long to wait.

        Raises:
            ValueError: ``n`` is less than 1, or not whole.
        """
        return self._keyed.take(_KEY, n)

    def peek(self, n: int = 1, /) -> Decision:
        """Tell what ``take`` would, and take nothing.

        Raises:
            ValueError: ``n`` is less than 1, or not whole.
        """
        return self._keyed.peek(_KEY, n)

    def wait(self, n: int = 1, /, *, timeout: float | None = None) -> Coroutine[Any, Any, None]:
        """Take ``n`` permits, as soon as they are to be had.

        Coroutines get permits in order of arrival, also where a later one asks for fewer, and
        before any ``allow``.

        Args:
            n: Permits.
            timeout: The most seconds to wait. If it is known that they will not do, the call fails
                without waiting.

        Raises:
            RateExceeded: It would take longer than ``timeout``; nothing is taken.
            ValueError: ``n`` is less than 1, not whole, or more than can ever be had at once.

        Cancellation: takes nothing, and those behind move up.
        """
        return self._keyed.wait(_KEY, n, timeout=timeout)

    def guard(self, n: int = 1, /) -> Entry:
        """Return a context manager, sync and async, that takes permits on entry or raises.

        As a decorator it takes them for each call of a function or coroutine function::

            with limiter.guard(): ...
            @limiter.guard()
            async def fetch(): ...

        What it raises on entry is ``RateExceeded`` with the exact ``retry_after``.

        Raises:
            ValueError: ``n`` is less than 1, not whole, or more than can ever be had at once.
        """
        return self._keyed.guard(_KEY, n)

    def stats(self) -> RateStats:
        """Return what there is to see at this moment."""
        keyed = self._keyed.stats()
        return RateStats(
            limit=self._keyed.limit,
            remaining=self._keyed.peek(_KEY).remaining,
            waiting=keyed.waiting,
            refused=keyed.refused,
        )
