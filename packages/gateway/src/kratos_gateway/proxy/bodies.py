"""Bodies of requests: whole where they are small, else as they come, and kept for a repetition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kratos.errors import Error
from kratos.transport.http import Head, Wire
from kratos_gateway.proxy.replay import ReplayMemory

__all__ = ["Incoming", "Replay", "whole_or_coming"]

_SMALL: Final = 64 * 1024  # bytes of a body that is read whole before a node hears of it


class Incoming:
    """The body of a request as it comes; ``first`` and further ``again`` are what attempts send.

    Args:
        wire: What it comes by.
        keep: Bytes that are kept for a repetition; a longer body cannot be repeated.
        memory: Where there has to be room for them, too.

    Attributes:
        received: Bytes that came.
        ended: Whether all of it has come.
        awaited: Whether somebody waits for more of it, or did when he was cancelled.
        failure: What the client did wrong; ``None`` if nothing.
        on_end: Called when all of it has come.
    """

    __slots__ = (
        "_held",
        "_keep",
        "_kept",
        "_memory",
        "_wire",
        "awaited",
        "ended",
        "failure",
        "on_end",
        "received",
    )

    def __init__(self, wire: Wire, *, keep: int, memory: ReplayMemory) -> None:
        self.received = 0
        self.ended = False
        self.awaited = False
        self.failure: Error | None = None
        self.on_end: Callable[[], None] | None = None
        self._wire = wire
        self._keep = keep
        self._memory = memory
        self._held = 0  # bytes of what is kept
        self._kept: list[bytes] | None = []

    def start(self) -> Replay:
        """Return the body for the first attempt."""
        return Replay(self, [])

    def again(self) -> Replay | None:
        """Return the body for another attempt, whose forerunner reads no more.

        ``None`` if its beginning is lost.
        """
        if self._kept is None or self.failure is not None:
            return None
        return Replay(self, list(self._kept))

    async def read(self) -> bytes:
        """Return what comes next.

        Raises:
            Error: The body ended early or broke a limit.
        """
        if self.ended:
            return b""
        self.awaited = True
        try:
            piece = await self._wire.read()
        except Error as error:
            self.failure = error
            raise
        self.awaited = False
        if not piece:
            self.ended = True
            if self.on_end is not None:
                self.on_end()
            return b""
        self.received += len(piece)
        if self._kept is not None:
            if self.received > self._keep or not self._memory.take(len(piece)):
                self.forget()
            else:
                self._kept.append(piece)
                self._held += len(piece)
        return piece

    def forget(self) -> None:
        """Keep nothing any more: no attempt follows. Idempotent."""
        self._kept = None
        self._memory.give_back(self._held)
        self._held = 0


class Replay:
    """A ``Repeatable`` body: what came already, and then what comes.

    Args:
        source: What it comes from.
        before: What came.
    """

    __slots__ = ("_before", "_closed", "_source")

    def __init__(self, source: Incoming, before: list[bytes]) -> None:
        self._source = source
        self._before = before[::-1]
        self._closed = False

    @property
    def trailers(self) -> tuple[()]:
        """None: nobody can rely on those of requests."""
        return ()

    async def read(self) -> bytes:
        """Return the next piece; see ``Body``."""
        if self._closed:
            raise ConnectionAbortedError("the attempt is over")
        if self._before:
            return self._before.pop()
        return await self._source.read()

    def again(self) -> Replay | None:
        """Return it from its beginning; see ``Repeatable``."""
        following = self._source.again()
        if following is not None:
            self.close()
        return following

    def close(self) -> None:
        """Read no more."""
        self._closed = True


async def whole_or_coming(
    head: Head, wire: Wire, *, keep: int, memory: ReplayMemory
) -> bytes | Incoming:
    """Return the body of a request: whole if it is there or small, else as it comes.

    Args:
        head: Of the request.
        wire: What the body comes by.
        keep: See ``Incoming``.
        memory: See there.

    Raises:
        Error: The body ended early or broke a limit.
    """
    if getattr(wire, "complete", False):  # of engines that know
        return await wire.read()
    length = head.header(b"content-length")
    if length.isdigit() and int(length) <= _SMALL:
        pieces: list[bytes] = []
        while piece := await wire.read():
            pieces.append(piece)
        return b"".join(pieces)
    return Incoming(wire, keep=keep, memory=memory)
