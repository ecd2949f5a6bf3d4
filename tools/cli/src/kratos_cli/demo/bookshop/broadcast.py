"""From one to all who listen."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from typing import Generic, TypeVar

from bookshop.v1.bookshop_kratos import error_listener_too_slow

__all__ = ["Broadcast", "Listener"]

T = TypeVar("T")

_BACKLOG = 100


class Listener(AsyncIterator[T]):
    """What one who listens hears, in order.

    Who falls further behind than the backlog is told so, and hears no more: waiting would hold
    up all others, and a gap would go unnoticed.
    """

    def __init__(self, backlog: int) -> None:
        self._heard = asyncio.Queue[T](backlog)
        self._missed = False

    def hear(self, message: T) -> None:
        """Take a message; never waits."""
        try:
            self._heard.put_nowait(message)
        except asyncio.QueueFull:
            self._missed = True

    async def __anext__(self) -> T:
        if self._missed:
            raise error_listener_too_slow("more was said than you took: listen anew")
        return await self._heard.get()


class Broadcast(Generic[T]):
    """Tells what is published about a topic to all who listen to it at that time.

    Args:
        backlog: Messages that a listener may fall behind.
    """

    def __init__(self, *, backlog: int = _BACKLOG) -> None:
        self._backlog = backlog
        self._listeners: defaultdict[str, set[Listener[T]]] = defaultdict(set)

    def publish(self, topic: str, message: T) -> None:
        """Tell all who listen."""
        for listener in self._listeners.get(topic, ()):
            listener.hear(message)

    @contextmanager
    def listen(self, topic: str) -> Generator[Listener[T]]:
        """Listen while the context lasts."""
        listener = Listener[T](self._backlog)
        listeners = self._listeners[topic]
        listeners.add(listener)
        try:
            yield listener
        finally:
            listeners.remove(listener)
            if not listeners:
                del self._listeners[topic]
