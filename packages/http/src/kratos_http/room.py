"""Waiting for room among a bounded number of connections."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Queue"]


class Queue:
    """Those who wait until there may be room; whoever came first is told first.

    Being told is a turn and no promise: whoever has it looks, and waits again if others were
    faster.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Wait for a turn.

        Cancellation: safe; a turn that had come already goes to the next.
        """
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.wake()
            raise

    def wake(self) -> None:
        """Give a turn to the first who still waits, if there is one."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def wake_all(self) -> None:
        """Give a turn to all who wait now."""
        while self._waiting:
            self.wake()
