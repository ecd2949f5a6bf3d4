"""One connection of a client for one request whose answer is read as it comes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from kratos_http._exchange import Lost, RawReply, TooLarge

__all__ = ["StreamConnection"]

_MAX_HEAD: Final = 256 * 1024
_MAX_TRAILERS: Final = 256
_FIRST_FINAL: Final = 200
_SWITCHING: Final = 101
_HIGH_WATER: Final = 64 * 1024  # bytes of an answer that may wait to be read


class StreamConnection(asyncio.Protocol):
    """A connection to a server, used once.

    After an answer with status 101 it carries bytes both ways.

    Attributes:
        trailers: Of the answer, once it has ended.
    """

    def __init__(self) -> None:
        self.trailers: list[tuple[bytes, bytes]] = []
        self._transport: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._answered: asyncio.Future[RawReply] | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_size = 0
        self._in_head = False
        self._until_end = False
        self._interim = False
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._complete = False
        self._failure: Exception | None = None
        self._reading: asyncio.Future[None] | None = None
        self._writing: asyncio.Future[None] | None = None
        self._stalled = False
        self._receiver: Callable[[bytes], None] | None = None

    async def request(self, data: bytes) -> RawReply:
        """Send a request and return the answer without its body.

        Raises:
            Lost: The connection ended or the answer is malformed.
            TooLarge: Its head exceeds the limit.

        Cancellation: closes the connection.
        """
        if self._transport is None:
            raise Lost("the connection was closed", begun=False, sent=False)
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        try:
            return await self._answered
        except BaseException:
            self.close()
            raise

    async def read(self) -> bytes:
        """Return the next piece of the body; ``b""`` at its clean end and only there.

        Raises:
            Lost: The connection ended before the answer did, or was closed from this side.
        """
        while not self._pieces:
            if self._complete:
                return b""
            if self._failure is not None:
                raise self._failure
            self._reading = asyncio.get_running_loop().create_future()
            await self._reading
        piece = self._pieces.popleft()
        before = self._size
        self._size -= len(piece)
        if before > _HIGH_WATER >= self._size:
            self.resume()
        return piece

    async def rest(self, limit: int) -> bytes:
        """Return the rest of the body.

        Raises:
            Lost: See ``read``.
            TooLarge: It exceeds ``limit`` bytes.
        """
        pieces: list[bytes] = []
        size = 0
        while piece := await self.read():
            size += len(piece)
            if size > limit:
                raise TooLarge(f"its body exceeds {limit} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Cut the connection off. Idempotent."""
        if self._transport is not None:
            self._transport.abort()
        self._fail(Lost("the connection was closed", begun=True))

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Become usable."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read the answer."""
        parser = self._parser
        if parser is None:
            return
        if self._answered is None:
            self.close()  # nobody asked
            return
        if self._in_head or not self._answered.done():
            self._head_size += len(data)
        try:
            parser.feed_data(data)
        except HttpParserUpgrade:
            self._fail(Lost("the server changed the protocol", begun=True))
        except HttpParserError as error:
            if not self._complete:
                cause = error.__context__ if isinstance(error.__context__, TooLarge) else None
                self._fail(cause or Lost(f"the answer is malformed: {error}", begun=True))
        if self._head_size > _MAX_HEAD and not self._answered.done():
            self._fail(TooLarge(f"its head exceeds {_MAX_HEAD} bytes"))

    def eof_received(self) -> None:
        """Take the end for the end of a body without a length."""
        if self._until_end:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what waits."""
        self._transport = self._parser = None
        problem = "the connection was closed" if exc is None else str(exc) or type(exc).__name__
        self._fail(Lost(problem, begun=self._head_size > 0))

    # Called by the parser.

    def on_message_begin(self) -> None:
        """Forget an interim answer before this one."""
        self._headers = []
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header or a trailer."""
        pair = (name.lower(), value.rstrip(b" \t"))
        if self._in_head:
            self._headers.append(pair)
            return
        self.trailers.append(pair)
        if len(self.trailers) > _MAX_TRAILERS:
            raise TooLarge(f"it has more than {_MAX_TRAILERS} trailers")

    def on_headers_complete(self) -> None:
        """Hand the head over."""
        parser = self._parser
        assert parser is not None, "called by the parser"
        self._in_head = False
        status = parser.get_status_code()
        self._interim = status < _FIRST_FINAL
        if self._interim:
            return
        names = {name for name, _ in self._headers}
        framed = b"content-length" in names or b"transfer-encoding" in names
        self._until_end = not framed and status not in (204, 304)
        self._answer(status)

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._pieces.append(data)
        before = self._size
        self._size += len(data)
        if self._size > _HIGH_WATER >= before:
            self.pause()
        _wake(self._reading)

    def on_message_complete(self) -> None:
        """Note the end, unless it is that of an interim answer."""
        if not self._interim:
            self._end()

    def pause(self) -> None:
        """Let the server wait."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Go on reading."""
        if self._transport is not None:
            self._transport.resume_reading()

    def _answer(self, status: int) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(RawReply(status, self._headers, [], b""))

    def _end(self) -> None:
        self._complete = True
        self._until_end = False
        _wake(self._reading)

    def _fail(self, error: Exception) -> None:
        if self._failure is None:
            self._failure = error
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)
        _wake(self._reading)
        _wake(self._writing)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
