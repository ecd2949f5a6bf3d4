"""Requests over HTTP/2: those whose answers come whole, and those that come piece by piece."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from kratos_http._exchange import Lost, TooLarge
from kratos_http._http2_client import Http2ClientConnection
from kratos_http._pieces import add_piece
from kratos_http2 import ErrorCode, HeaderBlock, Stream

__all__ = ["ClientStream", "Whole"]

_HIGH_WATER: Final = 64 * 1024  # bytes of a request that may wait before its sender does


class Whole:
    """A request whose answer is wanted whole.

    Args:
        connection: Where it is sent.
        most: Bytes of the largest body.

    Attributes:
        head: Head of the answer.
        trailers: Its trailers; ``None`` for none.
    """

    __slots__ = ("_answered", "_connection", "_most", "_pieces", "_size", "head", "trailers")

    def __init__(self, connection: Http2ClientConnection, most: int) -> None:
        self._connection = connection
        self._most = most
        self._answered: asyncio.Future[None] = connection.loop.create_future()
        self._pieces: list[bytes | bytearray] = []
        self._size = 0
        self.head: HeaderBlock | None = None
        self.trailers: HeaderBlock | None = None

    @property
    def begin(self) -> bytes:
        """What has come of the body: of one that exceeds the limit, its beginning."""
        return b"".join(self._pieces)

    async def exchange(self, block: bytes, data: bytes, *, no_body: bool = False) -> bytes:
        """Send the request, and return the body of its answer; call it once.

        Args:
            block: Header section of the request.
            data: Its body.
            no_body: Whether the answer has no body whatever it says.

        Raises:
            Lost: The connection ended, or the server refused or reset the request.
            TooLarge: The answer exceeds a limit.

        Cancellation: resets the stream, by which the server learns of it.
        """
        stream = self._connection.ask(block, data, self, no_body=no_body)
        try:
            await self._answered
        except asyncio.CancelledError:
            if self._answered.done() and not self._answered.cancelled():
                self._answered.exception()  # it came at the same moment, and nobody wants it
            raise
        finally:
            if not stream.closed:  # what is left of the request would serve nobody
                self._connection.reset(stream)
        pieces = self._pieces
        return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)

    def on_headers(self, stream: Stream, block: HeaderBlock, /) -> None:
        """Take the head."""
        self.head = block
        if stream.received_end:
            self._end()

    def on_data(self, stream: Stream, data: bytes, /) -> None:
        """Take a piece of the body."""
        add_piece(self._pieces, data)
        self._size += len(data)
        if self._size > self._most:
            self._fail(TooLarge(f"its body exceeds {self._most} bytes"))
            self._connection.reset(stream)
            return
        if stream.received_end:
            self._end()
        else:
            self._connection.core.consumed(stream, len(data))

    def on_trailers(self, stream: Stream, block: HeaderBlock, /) -> None:
        """Take the trailers."""
        self.trailers = block
        self._end()

    def on_room(self, stream: Stream, /) -> None:
        """The request is on its way."""

    def on_failure(self, stream: Stream, error: Exception, /) -> None:
        """Fail."""
        self._fail(error)

    def _end(self) -> None:
        if not self._answered.done():
            self._answered.set_result(None)

    def _fail(self, error: Exception) -> None:
        if not self._answered.done():
            self._answered.set_exception(error)


class ClientStream:
    """One request and its answer, both piece by piece.

    Bytes of the answer that are not read hold the server up, as its slowness does the sender.
    One task may read, and one may send.

    Args:
        connection: Where there is room for it.
        block: Header section of the request.
        data: Body of the request, if it is known already; ``None`` if it is ``send`` piece by
            piece.
        no_body: Whether the answer has no body whatever it says.

    Attributes:
        trailers: Of the answer, once it has ended; ``None`` for none.
    """

    __slots__ = (
        "_connection",
        "_failure",
        "_head",
        "_pieces",
        "_reading",
        "_stream",
        "_writing",
        "trailers",
    )

    def __init__(
        self,
        connection: Http2ClientConnection,
        block: bytes,
        data: bytes | None = None,
        *,
        no_body: bool = False,
    ) -> None:
        self._connection = connection
        self._failure: Exception | None = None
        self._head: HeaderBlock | None = None
        self._pieces: deque[bytes] = deque()
        self._reading: asyncio.Future[None] | None = None
        self._writing: asyncio.Future[None] | None = None
        self.trailers: HeaderBlock | None = None
        if data is None:
            self._stream = connection.begin(block, self, no_body=no_body)
        else:
            self._stream = connection.ask(block, data, self, no_body=no_body)

    @property
    def answered(self) -> bool:
        """Whether the head of the answer has come."""
        return self._head is not None

    @property
    def ended(self) -> bool:
        """Whether nothing more comes: all that came may still have to be read."""
        return self._failure is not None or self._stream.received_end

    async def headers(self) -> HeaderBlock:
        """Return the head of the answer.

        Raises:
            Lost: It will not come.
            TooLarge: It exceeds the limit.

        Cancellation: safe.
        """
        while self._head is None:
            if self._failure is not None:
                raise self._failure.with_traceback(None)
            await self._news()
        return self._head

    async def read(self) -> bytes:
        """Return what has come of the body, at least a byte; ``b""`` at its clean end alone.

        Raises:
            Lost: The connection or the stream ended before the answer did.
            TooLarge: Head or trailers exceed the limit.

        Cancellation: safe; nothing is lost.
        """
        while not self._pieces:
            if self._failure is not None:
                raise self._failure.with_traceback(None)
            if self._stream.received_end:
                return b""
            await self._news()
        pieces = self._pieces
        data = pieces.popleft() if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._connection.core.consumed(self._stream, len(data))
        return data

    async def send(self, data: bytes, *, end: bool = False) -> bool:
        """Send a piece of the body, and wait while the server is slow.

        Args:
            data: The piece; may be empty.
            end: Whether it is the last one.

        Returns:
            Whether the server takes more. If not, what comes to be read says why.

        Cancellation: the piece is sent nevertheless.
        """
        return self.put(data, end=end) and await self.room()

    def put(self, data: bytes, *, end: bool = False) -> bool:
        """Send a piece of the body, which waits if there is no room; see ``send``."""
        stream = self._stream
        if stream.closed or stream.sent_end:
            return False
        if data or end:
            self._connection.core.send_data(stream, data, end=end)
        return True

    async def room(self) -> bool:
        """Wait while the server is slow; see ``send``."""
        stream = self._stream
        while stream.pending > _HIGH_WATER and not stream.closed:
            self._writing = self._connection.loop.create_future()
            await self._writing
        return not stream.closed

    def reset(self, code: int = ErrorCode.CANCEL) -> None:
        """Break the exchange off, unless it has ended. Idempotent."""
        stream = self._stream
        if not stream.closed:
            self._connection.reset(stream, code)
            if self._failure is None:
                self._failure = Lost("the request was given up", begun=self.answered)
        _wake(self._reading)
        _wake(self._writing)

    def close(self) -> None:
        """Let go of the exchange: what has not ended is broken off. Idempotent."""
        self.reset()
        self._stream.owner = None  # it holds this
        self._pieces.clear()

    def on_headers(self, stream: Stream, block: HeaderBlock, /) -> None:
        """Take the head."""
        self._head = block
        _wake(self._reading)

    def on_data(self, stream: Stream, data: bytes, /) -> None:
        """Take a piece of the body."""
        if data:
            self._pieces.append(data)
        _wake(self._reading)

    def on_trailers(self, stream: Stream, block: HeaderBlock, /) -> None:
        """Take the trailers."""
        self.trailers = block
        _wake(self._reading)

    def on_room(self, stream: Stream, /) -> None:
        """Let the sender go on."""
        _wake(self._writing)

    def on_failure(self, stream: Stream, error: Exception, /) -> None:
        """End before the time."""
        # A server that has answered in full may say that it needs no more of the request.
        whole = stream.received_end and self._head is not None
        if not whole or isinstance(error, TooLarge):
            self._failure = error
        _wake(self._reading)
        _wake(self._writing)

    async def _news(self) -> None:
        self._reading = self._connection.loop.create_future()
        await self._reading


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
