"""One request over HTTP/2 with what answers it."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from kratos.errors import Error
from kratos.transport.cause import Cause
from kratos.transport.http import Buffered, Head, Reply, Streamed
from kratos_http._answering import internal
from kratos_http._http2_wire import Http2Wire
from kratos_http._pieces import add_piece
from kratos_http._refusal import refusal
from kratos_http2 import ErrorCode, Stream

if TYPE_CHECKING:
    from kratos_http._http2_answering import Http2Answering

__all__ = ["BufferedExchange", "Exchange", "OpenExchange", "StreamedExchange", "overflow"]

_log = logging.getLogger("kratos.http")


class Exchange(ABC):
    """A request that is not answered yet, or whose endpoint still runs.

    Attributes:
        stream: What it came by.
        head: Its head.
    """

    __slots__ = ("_begun", "_connection", "_task", "head", "stream")

    def __init__(self, connection: Http2Answering, stream: Stream, head: Head) -> None:
        self.stream = stream
        self.head = head
        self._connection = connection
        self._task: asyncio.Task[None] | None = None
        self._begun = False

    # For the connection.

    def start(self) -> None:
        """Run the endpoint, which may be done when this returns."""
        self._task = self._connection.spawn(self._run())

    def cancel(self, cause: Cause) -> None:
        """End the endpoint early."""
        running = self.head.running
        if running is not None:
            running.cancel(cause)
        elif self._begun and self._task is not None:
            self._task.cancel()  # one that is cancelled before it runs could not clean up

    def lose(self) -> None:
        """Note that the peer has gone, or has broken the request off."""
        if self._task is None and not self._begun:
            self._connection.forget(self)
        else:
            self.cancel(Cause.PEER_GONE)

    @abstractmethod
    def feed(self, data: bytes) -> None:
        """Take a piece of the body."""

    @abstractmethod
    def end(self) -> None:
        """Note that the body is complete."""

    def drop(self) -> None:
        """Leave the stream: the exchange has ended."""
        self.stream.owner = None

    @abstractmethod
    def resume(self) -> None:
        """Note that all that was sent is on its way."""

    def late(self, now: float) -> bool:
        """Tell whether the peer takes too long to send the body."""
        return False

    @abstractmethod
    async def _run(self) -> None:
        """Run the endpoint and send what it answers, unless nobody is there for it."""


class OpenExchange(Exchange):
    """A request whose answer may begin before its body has ended."""

    __slots__ = ()

    async def _run(self) -> None:
        self._begun = True
        connection = self._connection
        try:
            if not (self.stream.closed or connection.lost):
                await self._answer()
        except asyncio.CancelledError:
            connection.h2.reset(self.stream, ErrorCode.INTERNAL_ERROR)
            connection.forget(self)
            raise
        connection.forget(self)

    @abstractmethod
    async def _answer(self) -> None:
        """Run the endpoint and send what it answers; raises nothing but ``CancelledError``."""


class BufferedExchange(Exchange):
    """A request whose body is collected first, and whose answer is sent whole."""

    __slots__ = (
        "_body",
        "_counted",
        "_endpoint",
        "_held",
        "_pieces",
        "_received",
        "_room",
        "_since",
        "_stopped",
    )

    def __init__(
        self, connection: Http2Answering, stream: Stream, head: Head, endpoint: Buffered
    ) -> None:
        self.stream = stream  # not by the base's method: there is one of these for each call
        self.head = head
        self._connection = connection
        self._task = None
        self._begun = False
        self._endpoint = endpoint
        self._room = endpoint.max_body
        self._body = b""
        self._pieces: list[bytes | bytearray] = []
        self._received = 0
        self._counted = 0  # bytes of the body of which the connection knows
        self._held = 0  # bytes for which the peer got no window yet
        self._since = connection.now  # when it began, times not counted in which the peer was held
        self._stopped: float | None = None  # since when it is

    def feed(self, data: bytes) -> None:
        """Keep a piece of the body."""
        size = len(data)
        self._received += size
        if self._received > self._room:
            self._connection.refuse(self, overflow(self._endpoint, self.head))
        elif self._received == size and self.stream.received_end:
            self._body = data
        else:
            add_piece(self._pieces, data)
            self._counted += size
            self._held += size
            if self._connection.uploads.add(self, size):
                self.release()
            elif self._stopped is None:
                self._stopped = self._connection.now

    def release(self) -> None:
        """Let the peer go on."""
        if self._held:
            size, self._held = self._held, 0
            self._connection.h2.consumed(self.stream, size)
        if self._stopped is not None:
            self._since += self._connection.now - self._stopped
            self._stopped = None

    def end(self) -> None:
        """Answer."""
        if self._pieces:
            self._body = b"".join(self._pieces)
            self._pieces.clear()
        if self._counted:
            self._connection.uploads.finish(self)
        self._connection.begin(self)

    def drop(self) -> None:
        """Leave the stream, and forget the body."""
        self.stream.owner = None
        if self._counted:
            size, self._counted = self._counted, 0
            self._connection.uploads.remove(self, size)

    def resume(self) -> None:
        """Nothing waits for that."""

    def late(self, now: float) -> bool:
        """Tell whether the body comes too slowly."""
        if self.stream.received_end or self._stopped is not None:
            return False
        limits = self._connection.limits
        received = self._received + self._connection.h2.buffered
        return now - self._since > limits.body_grace + received / limits.min_body_rate

    async def _run(self) -> None:
        self._begun = True
        connection, stream, head = self._connection, self.stream, self.head
        try:
            if not (stream.closed or connection.lost):
                reply = await self._endpoint.answer(head, self._body)
                connection.say(stream, head.method, reply)
        except asyncio.CancelledError:
            connection.h2.reset(stream, ErrorCode.INTERNAL_ERROR)
            connection.forget(self)
            raise
        except Exception:
            _log.exception("%s failed outside of its call", head)
            connection.say(stream, head.method, refusal(internal()))
        connection.forget(self)


class StreamedExchange(OpenExchange):
    """A request that is read, and answered, piece by piece."""

    __slots__ = ("_endpoint", "_wire")

    def __init__(
        self,
        connection: Http2Answering,
        stream: Stream,
        head: Head,
        endpoint: Streamed,
        *,
        expects: bool,
    ) -> None:
        super().__init__(connection, stream, head)
        self._endpoint = endpoint
        self._wire = Http2Wire(connection, stream, head, expects=expects)

    def feed(self, data: bytes) -> None:
        """Pass a piece of the body on."""
        if data:
            self._wire.feed(data)

    def end(self) -> None:
        """Tell that the body is complete."""
        self._wire.end()

    def resume(self) -> None:
        """Let the endpoint write on."""
        self._wire.resume()

    def cancel(self, cause: Cause) -> None:
        """End the endpoint early, unless the peer went with all that it asked for."""
        if cause is not Cause.PEER_GONE or not self._wire.whole:
            super().cancel(cause)

    def lose(self) -> None:
        """Note that nothing more comes, nor can be sent."""
        self._wire.fail(Cause.PEER_GONE.error())
        super().lose()

    async def _answer(self) -> None:
        connection, wire, stream = self._connection, self._wire, self.stream
        try:
            await self._endpoint.converse(self.head, wire)
        except Exception as error:
            if not (isinstance(error, Error) and (stream.closed or connection.lost)):
                _log.exception("%s failed outside of its call", self.head)
            # Else its peer has gone, which is no failure: peers could fill the log with them.
        if not wire.started:
            connection.say(stream, self.head.method, refusal(internal()))
        elif not wire.finished:
            connection.h2.reset(stream, ErrorCode.INTERNAL_ERROR)
        else:
            connection.settle(stream)


def overflow(endpoint: Buffered, head: Head) -> Reply:
    """Return the answer to a body that is too large, which may be the endpoint's own."""
    error = Error(413, "BODY_TOO_LARGE", f"the body exceeds {endpoint.max_body} bytes")
    own: Callable[[Head, Error], Reply] | None = getattr(endpoint, "overflow", None)
    return refusal(error) if own is None else own(head, error)
