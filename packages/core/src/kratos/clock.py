"""Time as a dependency, so that loops with long waits are tested without waiting."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

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

    __slots__ = ()

    def time(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def wall(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    async def sleep(self, seconds: float, /) -> None:
        """Wait on the running event loop."""
        await asyncio.sleep(seconds)


SYSTEM_CLOCK: Clock = SystemClock()
