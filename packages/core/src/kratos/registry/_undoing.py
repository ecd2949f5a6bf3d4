"""Taking back what was published although its caller has given up."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeAlias

from aegis.backoff import Backoff
from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import RegistryUnavailable
from kratos.limit import Limit, cancel_and_wait, describe, shielded

__all__ = ["Undoing"]

_LIMIT: Final = 1.0
_LONGEST: Final = 60.0
_BACKOFF: Final = Backoff(base=0.5, cap=10.0, jitter="equal")

_Undo: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

_log = logging.getLogger("kratos.registry")


class Undoing:
    """Takes back publications that nobody holds; for adapters whose entries do not expire.

    A ``register`` that is cancelled, or hears no answer, may have published all the same. The first
    try to undo that is a part of its own clean-up. Where the back end does not answer, further
    tries are made in the background, with growing pauses and for a limited time; what may be left
    after the last one is logged.

    Args:
        name: What the back end is called in the log.
        clock: Time for pauses and limits.
        limit: Seconds that the caller waits for the first try.
        longest: Seconds after which no more tries are made.
        backoff: Pauses between tries.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Clock = SYSTEM_CLOCK,
        limit: float = _LIMIT,
        longest: float = _LONGEST,
        backoff: Backoff = _BACKOFF,
    ) -> None:
        self._name = name
        self._clock = clock
        self._limit = limit
        self._longest = longest
        self._backoff = backoff
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closing = asyncio.Event()

    async def take_back(self, what: str, undo: _Undo) -> None:
        """Undo a publication; return after the first try, whatever comes of it.

        Args:
            what: Names the publication. What was to be undone under the same name before is not
                any more.
            undo: Undoes it, if it was made. Called until it raises no ``RegistryUnavailable``.

        Cancellation: takes effect when the first try has ended.
        """
        if what in self._tasks:
            self._tasks[what].cancel()
        tried = asyncio.Event()
        task = asyncio.create_task(self._bounded(what, undo, tried), name=f"kratos-undoing {what}")
        self._tasks[what] = task
        task.add_done_callback(partial(self._ended, what))
        task.add_done_callback(lambda _: tried.set())
        with suppress(TimeoutError):
            await shielded(tried.wait(), clock=self._clock, timeout=self._limit)

    async def leave(self, what: str) -> None:
        """Undo a publication no more, as another one takes its place.

        Cancellation: safe; it is not undone all the same.
        """
        if (task := self._tasks.pop(what, None)) is not None:
            await cancel_and_wait(task)

    async def aclose(self) -> None:
        """Make a last try for everything, and end; idempotent.

        It takes as long as the caller of ``take_back`` waits. What may be left is logged.
        """
        self._closing.set()
        if tasks := list(self._tasks.values()):
            with suppress(TimeoutError):
                async with Limit(self._clock, self._limit):
                    await asyncio.wait(tasks)
        await cancel_and_wait(*tasks)

    async def _bounded(self, what: str, undo: _Undo, tried: asyncio.Event) -> None:
        try:
            async with Limit(self._clock, self._longest):
                await self._persist(undo, tried)
        except asyncio.CancelledError:
            if self._tasks.get(what) is asyncio.current_task():  # nothing else takes its place
                self._give_up(what, "there is no time left")
            raise
        except Exception as error:
            self._give_up(what, describe(error))

    async def _persist(self, undo: _Undo, tried: asyncio.Event) -> None:
        attempt = 0
        while True:
            last = self._closing.is_set()
            try:
                return await undo()
            except RegistryUnavailable:
                if last:
                    raise
            tried.set()
            with suppress(TimeoutError):
                async with Limit(self._clock, self._backoff.delay(attempt, random.random)):
                    await self._closing.wait()
            attempt += 1

    def _give_up(self, what: str, why: str) -> None:
        _log.warning("%s may still be registered at %s: %s", what, self._name, why)

    def _ended(self, what: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(what) is task:
            del self._tasks[what]
