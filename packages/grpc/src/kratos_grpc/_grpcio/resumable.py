"""A coroutine that outlives the waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from functools import partial
from types import coroutine
from typing import Any, Generic, TypeVar

__all__ = ["Resumable"]

T = TypeVar("T")


class Resumable(Generic[T]):
    """A coroutine that a cancelled wait leaves where it stands, for the next wait.

    As a task and ``asyncio.shield`` would, but within the task that waits, one at a time. It
    goes on only while somebody waits for it.

    Args:
        running: The coroutine; it awaits futures of the running loop.

    Attributes:
        over: Whether it has ended.
    """

    __slots__ = ("_awaited", "_running", "over")

    def __init__(self, running: Coroutine[Any, Any, T]) -> None:
        self._running = running
        self._awaited: Any = None
        self.over = False

    @coroutine
    def wait(self) -> Generator[Any, Any, T]:
        """Return what it returns, or raise what it raises.

        Cancellation: safe; the coroutine does not notice.
        """
        while True:
            awaited = self._awaited
            if awaited is None:
                awaited = self._awaited = self._advance()
            if self.over:
                result: T = awaited
                return result
            if awaited is None:  # as asyncio.sleep(0) does
                yield
            elif not awaited.done():
                waiter: asyncio.Future[None] = awaited.get_loop().create_future()
                wake = partial(_wake, waiter)
                awaited.add_done_callback(wake)
                try:
                    yield from waiter
                finally:
                    awaited.remove_done_callback(wake)
            self._awaited = None

    def close(self) -> None:
        """End it where it stands; what it waits for may fail yet, unheard. Idempotent."""
        awaited, self._awaited = self._awaited, None
        over, self.over = self.over, True
        self._running.close()
        if awaited is not None and not over:
            awaited.add_done_callback(_hear)

    def _advance(self) -> Any:
        """Let it run to its next wait, and return what it waits for; or to its end."""
        over = True
        try:
            awaited = self._running.send(None)
            over = False
        except StopIteration as end:
            return end.value
        finally:
            self.over = over
        if awaited is not None:
            # What a task does that takes a future on.
            awaited._asyncio_future_blocking = False  # noqa: SLF001
        return awaited


def _hear(awaited: asyncio.Future[Any]) -> None:
    """Take what a future fails with, which would else be logged as never retrieved."""
    if not awaited.cancelled():
        awaited.exception()


def _wake(waiter: asyncio.Future[None], _awaited: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_result(None)
