"""Scrapers that come together get one answer, so that many of them cost no more than one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

__all__ = ["Scrapes"]


class Scrapes:
    """Makes answers one after another, each for all who had asked for it before it was begun.

    A large one takes a second of a core: a scraper that asks ever again, without waiting for what
    it has asked for, gets no second core.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Task[bytes]] = {}
        self._last: asyncio.Task[bytes] | None = None

    async def answer(self, kind: str, make: Callable[[], Awaitable[bytes]], /) -> bytes:
        """Return the next answer of a kind; it is begun after this was called.

        Args:
            kind: Its content type.
            make: Makes it.

        Raises:
            Exception: What ``make`` raises.

        Cancellation: leaves the answer to others who wait for it; without them it goes nowhere.
        """
        task = self._waiting.get(kind)
        if task is None or not _lives(task):
            task = asyncio.create_task(self._made(kind, make, after=self._last))
            task.add_done_callback(_seen)
            self._waiting[kind] = self._last = task
        return await asyncio.shield(task)

    async def _made(
        self,
        kind: str,
        make: Callable[[], Awaitable[bytes]],
        *,
        after: asyncio.Task[bytes] | None,
    ) -> bytes:
        await asyncio.sleep(0)  # an eager task begins before it waits there
        if after is not None and _lives(after):
            await asyncio.wait({after})
        del self._waiting[kind]  # who comes now is too late for this one
        return await make()


def _lives(task: asyncio.Task[bytes]) -> bool:
    """Tell whether a task will end: a meter may be that of several event loops, one by one."""
    return not task.done() and task.get_loop() is asyncio.get_running_loop()


def _seen(task: asyncio.Task[bytes]) -> None:
    """Look at a failure, which nobody may have waited for."""
    if not task.cancelled():
        task.exception()
