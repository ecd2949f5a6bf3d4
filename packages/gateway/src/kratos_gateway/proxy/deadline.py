"""Time limits of requests, all on one timer: one of the loop for each costs ten times as much."""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Self

from kratos.transport.wheel import Expiring, Wheel

__all__ = ["Deadline"]


class Deadline:
    """Cancels the block when its time is over, and raises ``TimeoutError`` from it then.

    As ``asyncio.timeout``, but exact to 10 ms only.

    Args:
        wheel: Where it waits.
        loop: The running loop.
        seconds: The limit; ``None`` for none yet.
    """

    __slots__ = ("_cancelling", "_ends", "_expired", "_loop", "_slot", "_task", "_wheel")

    def __init__(
        self, wheel: Wheel, loop: asyncio.AbstractEventLoop, seconds: float | None
    ) -> None:
        self._wheel = wheel
        self._loop = loop
        self._expired = False
        self._ends = math.inf
        self._slot: set[Expiring] | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self.limit(seconds)

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self._expired

    @property
    def left(self) -> float:
        """Seconds until its time is over; infinite without a limit, and not negative."""
        return max(0.0, self._ends - self._loop.time())

    def limit(self, seconds: float | None) -> None:
        """Set another limit, from now on; ``None`` for none. Ignored when the time is over."""
        if self._slot is not None:
            self._slot.discard(self)
            self._slot = None
        if seconds is None:
            self._ends = math.inf
        elif not self._expired:
            self._ends = self._loop.time() + seconds
            self._slot = self._wheel.enter(self, self._ends, self._loop)

    def expire(self) -> None:
        """Cancel the block (for the wheel)."""
        self._slot = None
        self._expired = True
        if self._task is not None:
            self._task.cancel()

    def __enter__(self) -> Self:
        task = self._task = asyncio.current_task()
        assert task is not None, "used within a task"
        self._cancelling = task.cancelling()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.limit(None)
        task, self._task = self._task, None
        if not self._expired or task is None:
            return
        if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
