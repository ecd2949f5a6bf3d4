"""A body read by one, and copied for another who may not hold the first one up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from kratos.transport.http import WireHeaders
from kratos_gateway.exchange import Body

__all__ = ["Copied", "Tee"]


class Copied:
    """The ``Body`` that a ``Tee`` copies.

    Args:
        patience: Seconds in which the next piece has to come.

    Attributes:
        trailers: Once it has ended.
        waits: Bytes that wait to be read.
        on_end: Called when all of it has come.
    """

    __slots__ = (
        *("_broken", "_ended", "_patience", "_pieces", "_waiting"),
        *("on_end", "trailers", "waits"),
    )

    def __init__(self, patience: float) -> None:
        self.trailers: WireHeaders = ()
        self.waits = 0
        self.on_end: Callable[[], None] | None = None
        self._patience: Final = patience
        self._pieces: Final[deque[bytes]] = deque()
        self._ended = False
        self._broken = False
        self._waiting = asyncio.Event()

    async def read(self) -> bytes:
        """Return the next piece; see ``Body``.

        Raises:
            ConnectionAbortedError: The first one has not read to the end.
            TimeoutError: Nothing came for too long.
        """
        async with asyncio.timeout(self._patience):
            while not (self._pieces or self._ended or self._broken):
                self._waiting.clear()
                await self._waiting.wait()
        if self._broken:
            raise ConnectionAbortedError("what is copied broke off")
        if not self._pieces:
            return b""
        piece = self._pieces.popleft()
        self.waits -= len(piece)
        return piece

    def close(self) -> None:
        """Take no more."""
        if not self._ended:
            self._broken = True
        self.on_end = None  # whoever wanted to know of the end has gone
        self._pieces.clear()
        self.waits = 0
        self._waiting.set()

    @property
    def closed(self) -> bool:
        """Whether it takes no more."""
        return self._broken

    def feed(self, piece: bytes) -> None:
        """Take a piece."""
        self._pieces.append(piece)
        self.waits += len(piece)
        self._waiting.set()

    def end(self, trailers: WireHeaders) -> None:
        """Take the end."""
        self.trailers = trailers
        self._ended = True
        if self.on_end is not None:
            self.on_end()
        self._waiting.set()


class Tee:
    """A ``Body`` that copies another one as it is read.

    The copy is given up, and told so, where more of it would wait than may.

    Args:
        body: What is read.
        copy: Takes the copy.
        most: Bytes that may wait in it.
        ended: Told once, whether the whole is copied.
    """

    __slots__ = ("_body", "_copy", "_ended", "_most")

    def __init__(
        self, body: Body, copy: Copied, *, most: int, ended: Callable[[bool], None]
    ) -> None:
        self._body: Final = body
        self._copy: Final = copy
        self._most: Final = most
        self._ended: Callable[[bool], None] | None = ended

    @property
    def trailers(self) -> WireHeaders:
        """Trailers, once it has ended."""
        return self._body.trailers

    async def read(self) -> bytes:
        """Return the next piece; see ``Body``."""
        try:
            piece = await self._body.read()
        except asyncio.CancelledError:
            raise  # nothing is lost: it may be read on
        except Exception:
            self._tell(whole=False)
            raise
        if self._ended is None:
            return piece
        if not piece:
            self._copy.end(self._body.trailers)
            self._tell(whole=True)
        elif self._copy.closed or self._copy.waits + len(piece) > self._most:
            self._tell(whole=False)
        else:
            self._copy.feed(piece)
        return piece

    def close(self) -> None:
        """Cut off what has not ended."""
        self._tell(whole=False)
        self._body.close()

    def _tell(self, *, whole: bool) -> None:
        ended, self._ended = self._ended, None
        if ended is None:
            return
        if not whole:
            self._copy.close()
        ended(whole)
