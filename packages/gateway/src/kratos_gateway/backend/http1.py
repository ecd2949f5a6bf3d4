"""HTTP/1.1 towards back ends: answers are passed on as they come, connections are used again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from kratos.errors import Error
from kratos_gateway.backend._answering import Answering
from kratos_gateway.exchange import Answer, Body
from kratos_http.carrier import Lost, TooLarge

__all__ = ["Http1Connection"]

_FIRST_FINAL: Final = 200
_BODILESS: Final = (204, 304)
_LAST_CHUNK: Final = b"0\r\n\r\n"


class Http1Connection(asyncio.Protocol):
    """A connection to a node: one request at a time.

    Args:
        max_head: Bytes in a row without any of a body: head, interim answers, trailers.
        freed: Told when the answer has ended, and another request may follow; or when none may.

    Attributes:
        reusable: Whether a request may begin now.
        idle_since: The loop's time since when nothing happened.
    """

    __slots__ = (
        "_bare",
        "_exchange",
        "_freed",
        "_in_head",
        "_left",
        "_loop",
        "_lost",
        "_max_head",
        "_parser",
        "_stalled",
        "_transport",
        "_uploading",
        "_writing",
        "idle_since",
        "reusable",
    )

    def __init__(self, *, max_head: int, freed: Callable[[Http1Connection], None]) -> None:
        self.reusable = False
        self.idle_since = 0.0
        self._max_head = max_head
        self._freed = freed
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = None
        self._exchange: Answering | None = None
        self._in_head = False
        self._bare = 0
        self._uploading: asyncio.Task[None] | None = None
        self._left = 0  # bytes of a request that are to be sent still; less than 0 in chunks
        self._stalled = False
        self._writing: asyncio.Future[None] | None = None  # done when there is room
        self._lost: asyncio.Future[None] | None = None  # done when the connection has gone

    async def exchange(
        self, head: bytes, body: bytes | Body, *, length: int | None, head_only: bool
    ) -> Answer:
        """Send a request and return its answer, whole or not.

        Args:
            head: The request but for its body.
            body: The body.
            length: Of a body in pieces; ``None`` if it goes in chunks.
            head_only: Whether the answer has no body, whatever its headers say.

        Raises:
            Lost: The connection ended before the head of an answer had come, or it is malformed.
            TooLarge: The head exceeds the limit.
            Error: The body of the request ended early.

        Cancellation: closes the connection, by which the node learns of it, unless all of the
            answer has come.
        """
        transport = self._transport
        if transport is None or not self.reusable:
            raise Lost("the connection was closed", begun=False, sent=False)
        self.reusable = False
        self._bare = 0
        exchange = self._exchange = Answering(self, self._loop, head_only=head_only)
        if isinstance(body, bytes):
            self._left = 0
            transport.write(head + body if body else head)
        else:
            transport.write(head)
            self._left = -1 if length is None else length
            self._uploading = self._loop.create_task(self._upload(exchange, body))
        try:
            await exchange.answered
        except BaseException:
            if self._exchange is exchange:  # else it has ended: another one's may be under way
                self.close()
            raise
        return exchange.answer()

    def close(self) -> None:
        """Cut the connection off. Idempotent."""
        if self._transport is not None:
            self._transport.abort()
        self._lose(Lost("the connection was closed", begun=True))

    async def wait_closed(self) -> None:
        """Return when the connection has gone, after ``close``."""
        if self._transport is not None:
            self._lost = self._lost or self._loop.create_future()
            await self._lost

    def regulate(self, *, full: bool) -> None:
        """Read while there is room for what comes, and only then."""
        if self._transport is not None:
            self._transport.pause_reading() if full else self._transport.resume_reading()

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Become usable."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = HttpResponseParser(self)
        self.reusable = True
        self.idle_since = self._loop.time()

    def data_received(self, data: bytes) -> None:
        """Read an answer."""
        exchange, parser = self._exchange, self._parser
        if exchange is None or parser is None:
            self.close()  # nobody asked
            return
        exchange.begun = True
        self._bare += len(data)
        try:
            parser.feed_data(data)
        except HttpParserUpgrade:
            self._lose(Lost("the node changed the protocol", begun=True))
        except HttpParserError as error:
            if exchange.complete:
                exchange.keep = False  # whatever follows is not ours
            else:
                exchange.fail(_known(error.__context__) or Lost(f"malformed: {error}", begun=True))
        if exchange.failure is not None:
            self.close()
        elif exchange.complete:
            if exchange.head_only:
                self._parser = HttpResponseParser(self)  # the old one waits for a body
            self._finish(exchange)
        elif self._bare > self._max_head:
            exchange.fail(TooLarge(f"what is no body of it exceeds {self._max_head} bytes"))
            self.close()
        else:
            exchange.tell()

    def eof_received(self) -> None:
        """Take the end for the end of a body without a length."""
        self.reusable = False
        exchange = self._exchange
        if exchange is not None and exchange.until_end:
            exchange.complete = True
            self._finish(exchange)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is under way."""
        begun = self._exchange is not None and self._exchange.begun
        self._transport = self._parser = None
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)
        self._lose(Lost(f"the connection was lost: {exc or 'it was closed'}", begun=begun))

    def pause_writing(self) -> None:
        """Note that the node is slow."""
        self._stalled = True

    def resume_writing(self) -> None:
        """Go on: the node has taken enough."""
        self._stalled = False
        self._wake()

    # Called by the parser.

    def on_message_begin(self) -> None:
        """Forget an interim answer before this one."""
        exchange = self._exchange
        if exchange is None or exchange.complete:
            raise Lost("the node sent an answer that nobody asked for", begun=True)
        exchange.headers = []
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header or a trailer."""
        exchange = self._exchange
        if exchange is None:
            return
        if self._in_head:
            exchange.headers.append((name.lower(), value.rstrip(b" \t")))
        else:
            exchange.take_trailer(name.lower(), value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """Take the head."""
        exchange, parser = self._exchange, self._parser
        if exchange is None or parser is None:
            return
        self._in_head = False
        if self._bare > self._max_head:  # a body may follow in the same piece
            exchange.check_head(self._max_head)
        status = parser.get_status_code()
        if status < _FIRST_FINAL:
            return
        framed = exchange.begin(status)
        exchange.keep = parser.should_keep_alive()
        if exchange.head_only:
            exchange.complete = True
        elif not framed and status not in _BODILESS:
            exchange.until_end = True
            exchange.keep = False

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._bare = 0
        exchange = self._exchange
        if exchange is None:
            return
        if exchange.complete:  # to HEAD, which has none: whatever follows would be another's answer
            exchange.keep = False
        else:
            exchange.feed(data)

    def on_message_complete(self) -> None:
        """Note the end, unless it is that of an interim answer."""
        exchange = self._exchange
        if exchange is not None and exchange.status and not exchange.until_end:
            exchange.complete = True

    def _finish(self, exchange: Answering) -> None:
        """Let another request follow, if this one was sent as a whole, too."""
        self._exchange = None
        uploading, self._uploading, transport = self._uploading, None, self._transport
        whole = uploading is None or uploading.done() or not self._left
        if uploading is not None:
            uploading.cancel()  # does nothing to one that has ended
        if transport is not None and whole and exchange.keep and not transport.is_closing():
            self.reusable = transport.get_write_buffer_size() == 0
        exchange.end()
        if not self.reusable and transport is not None:
            transport.close() if whole else transport.abort()
        self.idle_since = self._loop.time()
        self._freed(self)

    def _lose(self, error: Exception) -> None:
        self.reusable = False
        self._wake()
        uploading, self._uploading = self._uploading, None
        if uploading is not None and uploading is not asyncio.current_task():
            uploading.cancel()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.fail(error)
            self._freed(self)
        elif self._transport is None:
            self._freed(self)

    async def _upload(self, exchange: Answering, body: Body) -> None:
        """Send the body of a request as it comes."""
        try:
            while piece := await body.read():
                await self._send(piece)
            if self._left > 0:
                raise Error(400, "BAD_REQUEST", "the body is shorter than it was announced")
            if self._left < 0:
                self._write(_LAST_CHUNK)
        except Exception as error:
            exchange.fail(error)
            if self._exchange is exchange:  # else the connection is another one's already
                self.close()

    async def _send(self, piece: bytes) -> None:
        if self._left < 0:
            self._write(b"%x\r\n%b\r\n" % (len(piece), piece))
        else:
            self._left -= len(piece)
            if self._left < 0:
                raise Error(400, "BAD_REQUEST", "the body is longer than it was announced")
            self._write(piece)
        while self._stalled and self._transport is not None:
            self._writing = self._loop.create_future()
            await self._writing

    def _write(self, data: bytes) -> None:
        if self._transport is None:
            raise Lost("the connection was lost", begun=True)
        self._transport.write(data)

    def _wake(self) -> None:
        if self._writing is not None and not self._writing.done():
            self._writing.set_result(None)


def _known(error: BaseException | None) -> Exception | None:
    return error if isinstance(error, (Lost, TooLarge)) else None
