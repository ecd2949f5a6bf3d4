"""Calls begin one by one, each in a turn of the event loop of its own."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Turns"]


class Turns:
    """A line in front of handlers that compute.

    Handlers that await nothing run one after the other within one turn of the loop, as many as
    have been admitted, and meanwhile nothing is read: who comes now waits unseen, be it only to
    be refused. With one begin a turn, the loop reads between them.

    It belongs to one event loop.
    """

    __slots__ = ("_line", "_moving")

    def __init__(self) -> None:
        self._line: deque[asyncio.Future[None]] = deque()
        self._moving = False

    async def wait(self) -> None:
        """Return when it is the caller's turn, at the earliest in the next turn of the loop.

        Cancellation: leaves the line.
        """
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._line.append(turn)
        if not self._moving:
            self._moving = True
            loop.call_soon(self._move, loop)
        await turn

    def _move(self, loop: asyncio.AbstractEventLoop) -> None:
        line = self._line
        while line:
            turn = line.popleft()
            if not turn.done():  # else whoever waited has left
                turn.set_result(None)
                # Behind what was just woken: that runs in the coming turn, and then this.
                loop.call_soon(self._move, loop)
                return
        self._moving = False
