"""Time as a dependency, so that loops with long waits are tested without waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, Protocol

__all__ = ["SYSTEM_CLOCK", "Clock", "SystemClock"]


class Clock(Protocol):
    """Monotonic time and waiting, both in seconds."""

    def time(self) -> float:
        """Return monotonic seconds; only differences mean anything."""
        ...

    def wall(self) -> float:
        """Return seconds since the epoch, as other processes see them."""
        ...

    async def sleep(self, seconds: float, /) -> None:
        """Wait; zero or less yields to the loop once."""
        ...


class SystemClock:
    """The clock of the machine and the running event loop."""

    __slots__ = ("_time", "_wall")

    def __init__(self) -> None:
        self._time = time.monotonic
        self._wall = time.time

    @property
    def is_real(self) -> bool:
        """Whether it tells the machine's time, which may then be read without it."""
        return self._time is time.monotonic

    def time(self) -> float:
        """Return monotonic seconds."""
        return self._time()

    def wall(self) -> float:
        """Return seconds since the epoch."""
        return self._wall()

    async def sleep(self, seconds: float, /) -> None:
        """Wait on the running event loop."""
        await asyncio.sleep(seconds)

    @contextmanager
    def following(self, time: Callable[[], float], wall: Callable[[], float]) -> Generator[None]:
        """Tell other times for the block, to all of the process.

        For event loops of tests that have a time of their own: what sleeps on such a loop reads
        its time, too, even if nobody gave it a clock.

        Args:
            time: Returns monotonic seconds.
            wall: Returns seconds since the epoch.
        """
        before = self._time, self._wall
        self._time, self._wall = time, wall
        try:
            yield
        finally:
            self._time, self._wall = before


SYSTEM_CLOCK: Final = SystemClock()
