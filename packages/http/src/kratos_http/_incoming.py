"""A body that is read while it comes."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from kratos.errors import Error

__all__ = ["Incoming"]


class Incoming(ABC):
    """The receiving half of a ``Wire``; the connection feeds it.

    Attributes:
        complete: Whether the whole body came.
    """

    __slots__ = ("_expects", "_failure", "_pieces", "_size", "_waiter", "complete")

    def __init__(self, *, expects: bool) -> None:
        self.complete = False
        self._expects = expects  # the peer waits until it is asked for the body
        self._pieces: list[bytes] = []
        self._size = 0
        self._failure: Error | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def read(self) -> bytes:
        """Return the next piece of the body; ``b""`` at its clean end and only there.

        Raises:
            Error: The body ended early or is malformed.
        """
        if self._expects:
            self._expects = False
            self._ask()
        while not self._pieces:
            if self._failure is not None:
                raise self._failure.clone()
            if self.complete:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        # All that waits: who sends single bytes must not get a turn of the handler for each.
        piece = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        self._release(len(piece))
        return piece

    @abstractmethod
    def _ask(self) -> None:
        """Ask a peer for the body that waits to be asked for."""

    @abstractmethod
    def _release(self, size: int) -> None:
        """Let the peer send as many bytes more."""

    # For the connection.

    def feed(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._size += len(data)
        self._pieces.append(data)
        self._wake()

    def end(self) -> None:
        """Note that the body is complete."""
        self.complete = True
        self._wake()

    def fail(self, error: Error) -> None:
        """Note that nothing more will come."""
        self._failure = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
