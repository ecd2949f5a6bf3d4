"""Work behind answers that are given already."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Final

from kratos.clock import Clock
from kratos.limit import Limit, cancel_and_wait, describe

__all__ = ["Refreshing"]

_MOST: Final = 100
_TIMEOUT: Final = 1.0  # seconds, as endpoints have it

_log = logging.getLogger("kratos.gateway")


class Refreshing:
    """Asks for some things anew, each once at a time, and not for too many.

    Args:
        clock: Time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock
        self._tasks: Final[dict[Hashable, asyncio.Task[None]]] = {}

    def begin(self, name: Hashable, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Begin some work, unless it is under way, or too much else is.

        Args:
            name: Of it.
            work: It; what it raises is logged at DEBUG.
            seconds: That it may take; 0 for those that are usual.
        """
        if name in self._tasks or len(self._tasks) >= _MOST:
            return
        task = asyncio.create_task(self._run(work, seconds if seconds > 0 else _TIMEOUT))
        self._tasks[name] = task
        task.add_done_callback(lambda _: self._tasks.pop(name, None))

    async def aclose(self) -> None:
        """End what is under way. Idempotent."""
        await cancel_and_wait(*self._tasks.values())

    async def _run(self, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        try:
            async with Limit(self._clock, seconds):
                await work()
        except Exception as error:
            _log.debug("an answer could not be asked for anew: %s", describe(error))
