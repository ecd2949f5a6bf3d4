"""Requests under way, which a configuration that is replaced waits for."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

__all__ = ["Flights"]

_LOOKS: Final = 3  # turns of the loop in which a request that was routed begins


class Flights:
    """Counts requests under way, and ends those that may go on for ever.

    Attributes:
        count: How many there are.
    """

    __slots__ = ("_empty", "_endless", "count")

    def __init__(self) -> None:
        self.count = 0
        self._endless: set[asyncio.Future[None]] = set()
        self._empty: asyncio.Event | None = None

    def begin(self) -> None:
        """Count one."""
        self.count += 1

    def end(self) -> None:
        """Count it no more."""
        self.count -= 1
        if not self.count and self._empty is not None:
            self._empty.set()

    def endless(self) -> asyncio.Future[None]:
        """Return what is done when a request has to end that does not by itself."""
        ends = asyncio.get_running_loop().create_future()
        self._endless.add(ends)
        ends.add_done_callback(self._endless.discard)
        return ends

    def cut_off(self) -> bool:
        """Have those end that do not by themselves; tell whether there are any."""
        found = [ends for ends in self._endless if not ends.done()]
        for ends in found:
            ends.set_result(None)
        return bool(found)

    async def landed(self, *, within: float) -> bool:
        """Wait until there is none; tell whether that came true.

        A request that was routed may begin a moment later, as that before it on its connection
        has ended; it is waited for, too.

        Args:
            within: Seconds to wait at most.

        Cancellation: safe.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                quiet = 0
                while quiet < _LOOKS:
                    quiet = 0 if self.count else quiet + 1
                    if self.count:
                        self._empty = asyncio.Event()
                        await self._empty.wait()
                    await asyncio.sleep(0)
        return not self.count
