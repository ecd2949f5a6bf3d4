"""Work that several callers want at the same time, of whom one does it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator, Hashable
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

__all__ = ["Flights", "Landing"]

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Landing(Generic[T]):
    """What a piece of work comes to.

    Attributes:
        outcome: What those get who wait for it; to be set by whoever does the work.
    """

    __slots__ = ("outcome",)

    def __init__(self, outcome: T) -> None:
        self.outcome = outcome


class _Joined(Generic[T]):
    """Waits for a flight, which is not cancelled with whoever waits."""

    __slots__ = ("_flight",)

    def __init__(self, flight: asyncio.Future[T]) -> None:
        self._flight = flight

    def __await__(self) -> Generator[Any, Any, T]:
        if not self._flight.done():
            yield from asyncio.wait({self._flight}).__await__()
        return self._flight.result()


class Flights(Generic[K, T]):
    """What is under way in this process, by key: one leads, the others join.

    Nothing runs in tasks of its own: the leader works where it is called, with its context, and
    if it is cancelled, the others are told what was said for that case. Use it from one event
    loop.
    """

    __slots__ = ("_flights",)

    def __init__(self) -> None:
        self._flights: dict[K, asyncio.Future[T]] = {}

    def __contains__(self, key: K) -> bool:
        return key in self._flights

    def __len__(self) -> int:
        return len(self._flights)

    async def join(self, key: K) -> T | None:
        """Wait for what is under way for a key, and return its outcome; ``None`` if nothing is.

        Cancellation: the others go on.
        """
        flight = self.joining(key)
        return None if flight is None else await flight

    def joining(self, key: K) -> Awaitable[T] | None:
        """Return what waits for what is under way now, as ``join``; ``None`` if nothing is.

        It may be awaited later, when that has ended; or not at all.
        """
        flight = self._flights.get(key)
        return None if flight is None else _Joined(flight)

    @contextmanager
    def lead(self, key: K, otherwise: T) -> Generator[Landing[T]]:
        """Let others join what the block does; at its end, however it ends, they go on.

        If somebody leads for the key already, the block runs beside that, and nobody joins it.

        Args:
            key: What the work is for.
            otherwise: The outcome if the block sets none.
        """
        flight: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        mine = self._flights.setdefault(key, flight) is flight
        landing = Landing(otherwise)
        try:
            yield landing
        finally:
            if mine:
                del self._flights[key]
                flight.set_result(landing.outcome)
