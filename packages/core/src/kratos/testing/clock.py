"""Clocks for tests: one that moves only when told so, and one that nobody waits on."""

from __future__ import annotations

import asyncio
import heapq

__all__ = ["FakeClock", "InstantClock"]

_SETTLE_ROUNDS = 50  # loop turns granted to woken tasks before time moves on


class FakeClock:
    """Virtual time: ``advance`` wakes sleepers in the order of their deadlines.

    Args:
        start: First value of ``time()``, in seconds.
        epoch: First value of ``wall()``, in seconds since the epoch.
    """

    def __init__(self, *, start: float = 1000.0, epoch: float = 1_700_000_000.0) -> None:
        self._now = start
        self._offset = epoch - start
        self._sequence = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def time(self) -> float:
        """Return the virtual monotonic time in seconds."""
        return self._now

    def wall(self) -> float:
        """Return the virtual time in seconds since the epoch."""
        return self._now + self._offset

    @property
    def sleepers(self) -> int:
        """Number of tasks that wait on this clock."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def sleep(self, seconds: float, /) -> None:
        """Wait until ``advance`` has passed the deadline; zero or less yields once."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        self._sequence += 1
        heapq.heappush(self._sleepers, (self._now + seconds, self._sequence, future))
        await future

    async def settle(self) -> None:
        """Let every task that is ready to run do so."""
        for _ in range(_SETTLE_ROUNDS):
            await asyncio.sleep(0)

    async def advance(self, seconds: float, /) -> None:
        """Move time forward by ``seconds``, waking each sleeper at its own moment."""
        target = self._now + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            self._now, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
            await self.settle()
        self._now = target
        await self.settle()


class InstantClock:
    """A clock that stands still, and on which waiting takes no time, but is noted.

    Args:
        time: What ``time()`` says, in seconds.
        wall: What ``wall()`` says, in seconds since the epoch.

    Attributes:
        waited: Seconds of each wait.
    """

    def __init__(self, *, time: float = 1000.0, wall: float = 1_700_000_000.0) -> None:
        self.waited: list[float] = []
        self._time = time
        self._wall = wall

    def time(self) -> float:
        """Return the time that stands still."""
        return self._time

    def wall(self) -> float:
        """Return the time of day that stands still."""
        return self._wall

    async def sleep(self, seconds: float, /) -> None:
        """Note the wait, and let others run once."""
        self.waited.append(seconds)
        await asyncio.sleep(0)
