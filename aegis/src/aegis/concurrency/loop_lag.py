"""How late an event loop runs what is due: the time that callbacks wait in it."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from aegis import _check
from aegis.clock import NANOSECONDS, SYSTEM_CLOCK, Clock
from aegis.concurrency.load import Ema

__all__ = ["LoopLag"]


class LoopLag:
    """A load signal: the lag of an event loop, as a share of the lag that counts as full load.

    A timer of the loop is set again and again; how much later than due it runs is how long any
    other callback waits too. This is the queueing time that DAGOR sheds by (Zhou et al., SoCC
    2018, where 20 ms is overload), and it needs to know nothing of CPUs and quotas. It does not
    see queues elsewhere: in a database, or in threads.

    It measures from ``start`` to ``stop``, or within ``async with``; otherwise it is 0. The timer
    belongs to the loop that runs at ``start``, and goes with it.

    Args:
        full: Seconds of lag that are a load of 1.
        period: Seconds between two measurements.
        time_constant: Seconds of smoothing.
        clock: Monotonic nanoseconds.

    Raises:
        ValueError: An option is not more than 0.
    """

    __slots__ = (
        "_clock",
        "_due",
        "_full",
        "_loop",
        "_period",
        "_smooth",
        "_time_constant",
        "_timer",
    )

    def __init__(
        self,
        *,
        full: float = 0.05,
        period: float = 0.05,
        time_constant: float = 0.25,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        _check.above("full", full)
        _check.above("period", period)
        self._full = full
        self._period = period
        self._time_constant = time_constant
        self._smooth = Ema(time_constant)
        self._clock = clock
        self._due = 0
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self) -> float:
        """Return the smoothed lag by the full one; over 1 if it is worse than that."""
        return self._smooth.value / self._full

    @property
    def lag(self) -> float:
        """The smoothed lag in seconds."""
        return self._smooth.value

    def start(self) -> None:
        """Begin to measure the loop that runs; nothing if it has begun.

        After the loop that was measured has been closed, it begins anew.

        Raises:
            RuntimeError: No loop runs in this thread.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not None and self._loop.is_closed():
            self.stop()
        if self._timer is None:
            self._loop = loop
            self._set(loop)

    def stop(self) -> None:
        """End measuring, and forget what was measured; nothing if it has not begun."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._loop = None
        self._smooth = Ema(self._time_constant)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _set(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = self._clock() + round(self._period * NANOSECONDS)
        self._timer = loop.call_later(self._period, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        late = max(self._clock() - self._due, 0) / NANOSECONDS
        self._smooth.add(late, self._period + late)
        self._set(loop)
