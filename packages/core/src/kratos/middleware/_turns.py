"""Calls begin one by one, with turns of the event loop between them."""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import Final

__all__ = ["Turns"]

_SHARE: Final = 1 / 16  # of the time that calls keep the loop, for what comes in meanwhile
_LONGEST: Final = 0.001  # seconds
_CALLS: Final = 8  # that may come in between two that begin, before the second one does


class Turns:
    """A line in front of handlers that compute.

    Handlers that await nothing run one after the other within one turn of the loop, as many as
    have been admitted, and meanwhile nothing is read: who comes now waits unseen, be it only to
    be refused. Here they begin one by one, and in between the loop reads. It does so until
    nothing has come for a sixteenth of the time that calls keep the loop, since some transports
    need several turns to bring a call in, or until some calls have come.

    It belongs to one event loop.

    Attributes:
        asked: How many calls have come so far; whoever admits them counts.
    """

    __slots__ = ("_begun", "_kept", "_line", "_moving", "_seen", "_soonest", "_upto", "asked")

    def __init__(self) -> None:
        self.asked = 0
        self._seen = self._upto = 0
        self._line: deque[asyncio.Future[None]] = deque()
        self._moving = False
        self._begun: float | None = None  # when the last call began, until it is seen to have run
        self._kept = 0.0  # seconds that calls keep the loop
        self._soonest = 0.0  # when the next one may begin, if no other comes

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
        while line and line[0].done():  # whoever waited has left
            line.popleft()
        if not line:
            self._moving = False
            self._begun = None
            return
        now = monotonic()  # the time of uvloop goes by whole milliseconds
        if self._is_time(now):
            line.popleft().set_result(None)
            self._begun = now
        # Behind what was just woken: that runs in the coming turn, and then this.
        loop.call_soon(self._move, loop)

    def _is_time(self, now: float) -> bool:
        if self._begun is not None:
            self._learn(now - self._begun)
            self._begun = None
            self._upto = self._seen + _CALLS
        elif self.asked == self._seen:
            return now >= self._soonest
        self._seen = self.asked
        self._soonest = now + min(_SHARE * self._kept, _LONGEST)
        return self.asked >= self._upto

    def _learn(self, kept: float) -> None:
        # Other callbacks of that turn are in it too, so that the short ones tell more.
        change = kept - self._kept
        self._kept += change if change < 0 or not self._kept else _SHARE * change
