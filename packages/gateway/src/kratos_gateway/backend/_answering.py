"""One answer on its way from a connection of HTTP/1.1 to whoever passes it on."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from kratos_gateway.exchange import Answer
from kratos_gateway.headers import without_hop
from kratos_http.carrier import Lost, TooLarge

__all__ = ["Answering"]

_HIGH_WATER: Final = 64 * 1024  # bytes of a body that may wait to be read
_MAX_TRAILERS: Final = 256
_LENGTH: Final = b"content-length"
_CODING: Final = b"transfer-encoding"


class Connection(Protocol):
    """What the answer comes by."""

    def close(self) -> None:
        """Cut it off."""
        ...

    def regulate(self, *, full: bool) -> None:
        """Read while there is room."""
        ...


class Answering:
    """The answer to one request; a ``Body`` once its head has come.

    Attributes:
        answered: Done when the head is there.
        status: 0 before there is a head.
        headers: Of the head.
        begun: Whether any byte has come.
        head_only: Whether it has no body, whatever it says.
        until_end: Whether its body ends with the connection.
        keep: Whether the connection may be used again.
        complete: Whether all of it has come.
        failure: Why it ended early.
        taken_trailers: As they come.
    """

    __slots__ = (
        "_connection",
        "_full",
        "_pieces",
        "_reading",
        "_size",
        "answered",
        "begun",
        "complete",
        "failure",
        "head_only",
        "headers",
        "keep",
        "status",
        "taken_trailers",
        "until_end",
    )

    def __init__(
        self, connection: Connection, loop: asyncio.AbstractEventLoop, *, head_only: bool
    ) -> None:
        self.answered: asyncio.Future[None] = loop.create_future()
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.begun = False
        self.head_only = head_only
        self.until_end = False
        self.keep = True
        self.complete = False
        self.failure: Exception | None = None
        self.taken_trailers: list[tuple[bytes, bytes]] = []
        self._connection: Connection | None = connection
        self._pieces: list[bytes] = []
        self._size = 0
        self._full = False
        self._reading: asyncio.Future[None] | None = None

    @property
    def trailers(self) -> list[tuple[bytes, bytes]]:
        """Trailers, once it has ended."""
        found = self.taken_trailers
        return [pair for pair in without_hop(found) if pair[0] != _LENGTH] if found else found

    def answer(self) -> Answer:
        """Return what came: whole, if all of it is there already."""
        if self.complete and not self._size:
            return Answer(self.status, self.headers, b"", self.trailers)
        if self.complete:
            return Answer(self.status, self.headers, self._taken(), self.trailers)
        return Answer(self.status, self.headers, self)

    async def read(self) -> bytes:
        """Return what has come of the body; see ``Body``."""
        while not self._pieces:
            if self.failure is not None:
                raise self.failure
            if self.complete:
                return b""
            self._reading = asyncio.get_running_loop().create_future()
            await self._reading
        data = self._taken()
        if self._full and self._connection is not None:
            self._full = False
            self._connection.regulate(full=False)
        return data

    def close(self) -> None:
        """Cut off what has not ended. Idempotent."""
        connection = self._connection
        if connection is not None and not self.complete:
            self.fail(Lost("the answer was given up", begun=True))
            connection.close()

    # For the connection.

    def check_head(self, most: int) -> None:
        """Refuse a head that is too large.

        Raises:
            TooLarge: It is.
        """
        if sum(len(name) + len(value) + 4 for name, value in self.headers) > most:
            raise TooLarge(f"the head of the answer exceeds {most} bytes")

    def begin(self, status: int) -> bool:
        """Take the head; tell whether the length of the body follows from it.

        Raises:
            Lost: The body is coded in a way that we do not know, and cannot pass on.
        """
        framed = False
        for name, value in self.headers:
            framed = framed or name in (_LENGTH, _CODING)
            if name == _CODING and value.lower() != b"chunked" and not self.head_only:
                raise Lost(f"the transfer coding {value!r:.80} is not known", begun=True)
        self.status = status
        self.headers = without_hop(self.headers)
        return framed

    def take_trailer(self, name: bytes, value: bytes) -> None:
        """Take a trailer.

        Raises:
            TooLarge: There are too many.
        """
        if len(self.taken_trailers) >= _MAX_TRAILERS:
            raise TooLarge(f"it has more than {_MAX_TRAILERS} trailers")
        self.taken_trailers.append((name, value))

    def feed(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _HIGH_WATER and not self._full and self._connection is not None:
            self._full = True
            self._connection.regulate(full=True)

    def tell(self) -> None:
        """Let whoever waits go on."""
        if self.status and not self.answered.done():
            self.answered.set_result(None)
        self._wake()

    def end(self) -> None:
        """Let go of the connection: all of it has come."""
        if self._full and self._connection is not None:
            self._connection.regulate(full=False)
        self._connection = None
        self.tell()

    def fail(self, error: Exception) -> None:
        """End before the time."""
        if self.complete:
            return
        self._connection = None
        if self.failure is None:
            self.failure = error
        if not self.answered.done():
            self.answered.set_exception(self.failure)
        self._wake()

    def _taken(self) -> bytes:
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._size = 0
        return data

    def _wake(self) -> None:
        if self._reading is not None and not self._reading.done():
            self._reading.set_result(None)
