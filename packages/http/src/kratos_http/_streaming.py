"""One connection of a client for one request whose answer is read as it comes."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from kratos.transport import Cause
from kratos_http._exchange import Lost, RawReply, TooLarge, check_head, lost
from kratos_http._format import chunk, last_chunk
from kratos_http._socket import FramedSocket

__all__ = ["StreamConnection"]

_MAX_TRAILERS: Final = 256
_FIRST_FINAL: Final = 200
_SWITCHING: Final = 101
_HIGH_WATER: Final = 64 * 1024  # bytes of an answer that may wait to be read


class StreamConnection(asyncio.Protocol):
    """A connection to a server, used once.

    After an answer with status 101 it carries bytes both ways.

    Args:
        max_head: Bytes in a row without any of a body: head, interim answers, trailers, framing.

    Attributes:
        trailers: Of the answer, once it has ended.
    """

    def __init__(self, *, max_head: int) -> None:
        self._max_head = max_head
        self.trailers: list[tuple[bytes, bytes]] = []
        self._transport: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._answered: asyncio.Future[RawReply] | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._begun = False
        self._bare = 0  # bytes since the last piece of a body
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
        self._upgrading = False
        self._switched = False  # to another protocol
        self._paused = False
        self._socket: FramedSocket | None = None

    async def request(self, data: bytes, *, upgrade: bool = False) -> RawReply:
        """Send a request and return the answer without its body.

        Args:
            data: The whole request.
            upgrade: Whether it asks for another protocol.

        Raises:
            Lost: The connection ended or the answer is malformed.
            TooLarge: Its head exceeds the limit.

        Cancellation: closes the connection.
        """
        answered = self.begin(data, upgrade=upgrade)
        try:
            return await answered
        except BaseException:
            self.close()
            raise

    def begin(self, data: bytes, *, upgrade: bool = False) -> asyncio.Future[RawReply]:
        """Send a request, or its beginning, and return what will be the answer; see ``request``.

        Raises:
            Lost: The connection has ended.
        """
        if self._transport is None:
            raise Lost("the connection was closed", begun=False, sent=False)
        self._upgrading = upgrade
        answered = self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        return answered

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
        self._size -= len(piece)
        self.regulate()
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
        if self._switched:
            self._pass_on(data)
            return
        parser = self._parser
        if parser is None:
            return
        if self._answered is None:
            self.close()  # nobody asked
            return
        self._begun = True
        self._bare += len(data)
        try:
            parser.feed_data(data)
        except HttpParserUpgrade as stop:
            self._change(data[stop.args[0] :])
        except HttpParserError as error:
            if not self._complete:
                cause = error.__context__ if isinstance(error.__context__, TooLarge) else None
                self._fail(cause or Lost(f"the answer is malformed: {error}", begun=True))
        if self._bare > self._max_head and not self._complete:
            self._fail(TooLarge(f"what is no body of it exceeds {self._max_head} bytes"))

    def eof_received(self) -> None:
        """Take the end for the end of a body without a length."""
        if self._until_end:
            self._end()

    def pause_writing(self) -> None:
        """Note that the server is slow."""
        self._stalled = True

    def resume_writing(self) -> None:
        """Go on: the server has taken enough."""
        self._stalled = False
        _wake(self._writing)
        if self._socket is not None:
            self._socket.relieve()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what waits."""
        self._transport = self._parser = None
        if self._socket is not None:
            self._socket.lose()
        self._fail(lost(exc, begun=self._begun))

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
        if self._bare > self._max_head:  # a body may follow in the same feed
            check_head(self._headers, self._max_head)
        status = parser.get_status_code()
        self._switched = status == _SWITCHING and self._upgrading
        self._interim = status < _FIRST_FINAL and not self._switched
        if self._interim:
            return
        names = {name for name, _ in self._headers}
        framed = b"content-length" in names or b"transfer-encoding" in names
        self._until_end = not framed and status not in (_SWITCHING, 204, 304)
        self._answer(status)

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._bare = 0
        self._pieces.append(data)
        self._size += len(data)
        self.regulate()
        _wake(self._reading)

    def on_message_complete(self) -> None:
        """Note the end, unless it is that of an interim answer."""
        if not (self._interim or self._switched):
            self._end()

    # For a WebSocket on the connection: a ``Pipe``.

    def attach(self, socket: FramedSocket) -> None:
        """Give all that comes after the answer to a socket."""
        self._socket = socket
        early = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        if early:
            socket.feed(early)
        if self._transport is None:
            socket.lose()
        self.regulate()

    @property
    def writable(self) -> bool:
        """Whether the server takes what is sent to it."""
        return not self._stalled

    def send(self, data: bytes) -> None:
        """Write, if there still is somebody to write to."""
        if self._transport is not None:
            self._transport.write(data)

    def put(self, data: bytes) -> None:
        """Send a piece of a request's body, whose length was not told; nothing for an empty one."""
        if data:
            self.send(chunk(data))

    def finish(self) -> None:
        """End such a body."""
        self.send(last_chunk())

    async def room(self) -> None:
        """Wait while the server is slow.

        Raises:
            Error: It has gone.
        """
        while self._stalled and self._transport is not None:
            self._writing = asyncio.get_running_loop().create_future()
            await self._writing
        if self._transport is None:
            raise Cause.PEER_GONE.error()

    def hang_up(self) -> None:
        """End the connection once everything is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Cut the connection off."""
        self.close()

    def regulate(self) -> None:
        """Read while there is room for what comes, and only then."""
        full = self._socket.full if self._socket is not None else self._size > _HIGH_WATER
        if self._transport is None or full == self._paused:
            return
        self._paused = full
        self._transport.pause_reading() if full else self._transport.resume_reading()

    def _change(self, rest: bytes) -> None:
        """Note that the parser's part is over."""
        if not self._switched:
            self._fail(Lost("the server changed the protocol", begun=True))
        elif rest:
            self._pass_on(rest)

    def _pass_on(self, data: bytes) -> None:
        if self._socket is not None:
            self._socket.feed(data)
            self.regulate()
        else:
            self.on_body(data)

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
