"""A WebSocket over one stream of HTTP/2 (RFC 8441)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from kratos.transport.cause import Cause
from kratos.transport.http import Head, Reply, Upgraded, WireHeaders
from kratos_http._answering import internal
from kratos_http._http2_exchange import OpenExchange
from kratos_http._refusal import refusal
from kratos_http._server_socket import ServerSocket
from kratos_http2 import ErrorCode, Stream

if TYPE_CHECKING:
    from kratos_http._http2_answering import Http2Answering

__all__ = ["SocketExchange"]

_log = logging.getLogger("kratos.http")


class SocketExchange(OpenExchange):
    """A WebSocket, and the pipe beneath it."""

    __slots__ = ("_endpoint", "_finished", "_held", "_socket", "_writer")

    def __init__(
        self, connection: Http2Answering, stream: Stream, head: Head, endpoint: Upgraded
    ) -> None:
        super().__init__(connection, stream, head)
        self._endpoint = endpoint
        self._socket = ServerSocket(self, head, connection.limits)
        self._finished = False  # the peer sends nothing more; what it sent is still to be read
        self._held = 0  # bytes that the peer was not given back
        self._writer: asyncio.Future[None] | None = None

    def feed(self, data: bytes) -> None:
        """Pass on what comes."""
        self._held += len(data)
        self._socket.feed(data)
        self.regulate()

    def end(self) -> None:
        """Take the end of the stream for the peer's going away, unless it said good-bye."""
        if self._socket.unread:
            self._finished = True
        elif self._socket.close_code is None:
            self._connection.h2.reset(self.stream, ErrorCode.CANCEL)
            self.lose()

    def resume(self) -> None:
        """Let the endpoint send on."""
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)
        self._socket.relieve()

    def lose(self) -> None:
        """Note that nothing more comes, nor can be sent."""
        self._socket.lose()
        self.resume()
        super().lose()

    async def _answer(self) -> None:
        connection, socket, stream = self._connection, self._socket, self.stream
        try:
            await self._endpoint.talk(self.head, socket)
        except Exception:
            _log.exception("%s failed outside of its call", self.head)
        if not socket.answered:
            self.say_refusal(self.head, refusal(internal()))
        elif not socket.closed:
            self.abort()
        else:
            self.hang_up()
            connection.settle(stream)

    # For the socket.

    @property
    def writable(self) -> bool:
        """Whether the peer takes what is sent to it."""
        return not self.stream.pending

    def accept(self, head: Head, headers: WireHeaders) -> None:
        """Answer the handshake: it is a success like any other, and the stream stays open.

        Raises:
            ValueError: A header cannot be sent.
        """
        connection = self._connection
        connection.h2.send_headers(self.stream, connection.replies.block(200, headers))

    def say_refusal(self, head: Head, reply: Reply) -> None:
        """Answer a handshake that is not accepted."""
        if 200 <= reply.status < 300:  # that would accept it
            _log.error("%s was refused with status %d, which accepts it", head, reply.status)
            reply = refusal(internal())
        self._connection.say(self.stream, head.method, reply)

    def send(self, data: bytes) -> None:
        """Write, if there still is somebody to write to, and see to it that it is taken."""
        stream, connection = self.stream, self._connection
        if not (stream.sent_end or connection.lost):
            connection.h2.send_data(stream, data)
            if stream.pending and not stream.closed:
                connection.watch(stream)

    async def room(self) -> None:
        """Wait while the peer is slow.

        Raises:
            Error: The peer has gone.
        """
        stream, connection = self.stream, self._connection
        while stream.pending and not (stream.closed or connection.lost):
            connection.watch(stream)
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer
        if stream.closed or connection.lost:
            raise Cause.PEER_GONE.error()

    def regulate(self) -> None:
        """Let the peer send while the socket is not full, and only then."""
        if self._held and not self._socket.full:
            size, self._held = self._held, 0
            self._connection.h2.consumed(self.stream, size)
        if self._finished and not self._socket.unread:
            self._finished = False
            self.end()

    def hang_up(self) -> None:
        """End the stream once everything is sent."""
        if not self.stream.sent_end:
            self._connection.h2.send_data(self.stream, b"", end=True)

    def abort(self) -> None:
        """Break the stream off."""
        self._connection.h2.reset(self.stream, ErrorCode.CANCEL)
        self._socket.lose()
        self.resume()
