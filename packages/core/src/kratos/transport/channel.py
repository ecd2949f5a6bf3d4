"""A bounded channel between two tasks of one loop, with an end that can be an error."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Generic, TypeVar

__all__ = ["Channel", "ChannelClosed"]

T = TypeVar("T")


class ChannelClosed(Exception):
    """Nobody will take what is sent: the channel has ended."""


class Channel(AsyncIterator[T], Generic[T]):
    """Passes items in order; the sender waits while ``limit`` items are not yet taken.

    Args:
        limit: Items that may wait, at least one.
    """

    __slots__ = ("_closed", "_failure", "_items", "_limit", "_waiting")

    def __init__(self, *, limit: int = 1) -> None:
        self._items: deque[T] = deque()
        self._limit = limit
        self._closed = False
        self._failure: Exception | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def send(self, item: T, /) -> None:
        """Pass an item on; returns when there is room for it.

        Raises:
            ChannelClosed: The channel has ended.
            Exception: The failure that ended it.
        """
        while not self._closed and len(self._items) >= self._limit:
            await self._wait()
        if self._closed:
            raise self._failure or ChannelClosed
        self._items.append(item)
        self._wake()

    def close(self, failure: Exception | None = None, *, discard: bool = False) -> None:
        """End the channel; what was sent before can still be received. Idempotent.

        Args:
            failure: Raised at the receiver after the last item; ``None`` for a clean end.
            discard: Whether to drop what was not taken yet, a failure too.
        """
        if not self._closed:
            self._closed = True
            self._failure = failure
        if discard:
            self._items.clear()
            self._failure = None  # once raised, it holds frames that hold this
        self._wake()

    async def __anext__(self) -> T:
        while not self._items:
            if self._closed:
                raise self._failure or StopAsyncIteration
            await self._wait()
        item = self._items.popleft()
        self._wake()
        return item

    async def _wait(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            with suppress(ValueError):  # woken and cancelled at once
                self._waiting.remove(future)
            raise

    def _wake(self) -> None:
        waiting = self._waiting
        while waiting:
            future = waiting.popleft()
            if not future.done():
                future.set_result(None)
