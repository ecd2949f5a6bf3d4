"""HTTP/2 to one node: one connection, which requests share, and more only when it is full."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from kratos.transport.http import WireHeaders
from kratos_gateway.backend._options import ConnectOptions
from kratos_gateway.backend._unreachable import because
from kratos_gateway.backend._writing import announced, sent_headers, target_of
from kratos_gateway.exchange import Answer, Body, Request
from kratos_gateway.headers import without_hop
from kratos_http.http2 import (
    ClientStream,
    ConnectionOptions,
    Dialer,
    HeaderBlock,
    Http2Channel,
    Http2ClientConnection,
    Refused,
    SpeaksHttp1,
    encode_fields,
)

__all__ = ["Http2Node"]

_MOST_BLOCKS: Final = 256
_LONGEST_BLOCK: Final = 4096  # bytes of one that is kept: clients choose how long theirs are
_MOST_CONNECTIONS: Final = 16
_TRAILERS: Final = (b"te", b"trailers")


class Http2Node:
    """A ``NodeConnection`` over HTTP/2.

    Args:
        dialer: Opens the connection.
        options: How it is made and kept.
        scheme: ``http`` or ``https``.
        other: Makes what takes over the connection to a node that does not choose HTTP/2, which
            is ``SpeaksHttp1`` to whoever sends; ``None`` if it has to.
    """

    def __init__(
        self,
        dialer: Dialer,
        options: ConnectOptions,
        *,
        scheme: str,
        other: Callable[[], asyncio.Protocol] | None = None,
    ) -> None:
        self._dialer = dialer
        self._other = other
        self._options = ConnectionOptions(
            connect_timeout=options.dial_timeout,
            max_backoff=0.0,  # whoever picks nodes knows when to try again
            idle_timeout=options.idle_timeout,
            keepalive=30.0,
            max_head=options.max_head,
            # Clients that go away are many: no server is to take the gateway for an attacker. The
            # strictest that is known, Netty's, bears 200 in 30 seconds.
            resets=100,
            resets_per_second=3.0,
        )
        self._channels = [self._channel()]
        self._scheme = scheme.encode()
        self._blocks: dict[object, bytes] = {}

    @property
    def open(self) -> int:
        """How many connections there are."""
        return sum(channel.ready for channel in self._channels)

    @property
    def busy(self) -> int:
        """How many requests are under way."""
        return sum(channel.busy for channel in self._channels)

    async def send(self, request: Request, host: str) -> Answer:
        """Send a request; see ``NodeConnection``.

        One that the node never looked at is sent once more.
        """
        block = self._block(request, host)
        body = request.body
        whole = isinstance(body, bytes)
        try:
            return await self._exchange(block, body, no_body=request.method == "HEAD")
        except Refused:
            if not whole:
                raise
        return await self._exchange(block, body, no_body=request.method == "HEAD")

    async def aclose(self, *, drain: float = 0.0) -> None:
        """Let requests under way end, then close; see ``NodeConnection``."""
        await asyncio.gather(*(channel.aclose(drain=drain) for channel in self._channels))

    async def _exchange(self, block: bytes, body: bytes | Body, *, no_body: bool) -> Answer:
        connection = self._channels[0].current() or await self._connection()
        whole = body if isinstance(body, bytes) else None
        stream = ClientStream(connection, block, whole, no_body=no_body)
        answering = _Answering(stream)
        try:
            if not isinstance(body, bytes):
                answering.upload(body)
            head = await stream.headers()
            status, headers = int(head.status), without_hop(head.fields)
            if stream.ended and whole is not None:
                return Answer(status, headers, await _all(stream), _fields(stream.trailers))
        except BaseException as error:
            answering.close()
            if answering.failure is not None and not isinstance(error, asyncio.CancelledError):
                raise answering.failure from error
            raise
        return Answer(status, headers, answering)

    async def _connection(self) -> Http2ClientConnection:
        """Return a connection that takes a request now, or as soon as one does."""
        try:
            for _ in range(_MOST_CONNECTIONS):
                for channel in self._channels:
                    connection = channel.current()
                    if connection is not None:
                        return connection
                idle = next((each for each in self._channels if not each.ready), None)
                if idle is None:  # all are full
                    if len(self._channels) == _MOST_CONNECTIONS:
                        break
                    idle = self._channel()
                    self._channels.append(idle)
                await idle.connect()  # others may be faster, and fill it
            return await min(self._channels, key=_busy).open()
        except (Refused, SpeaksHttp1):
            raise
        except OSError as error:
            raise because(error) from error

    def _channel(self) -> Http2Channel:
        return Http2Channel(self._dialer, self._options, other=self._other)

    def _block(self, request: Request, host: str) -> bytes:
        """Return the header section of a request: few differ, so it is made once."""
        length = None if isinstance(request.body, bytes) else announced(request)
        size = len(request.body) if isinstance(request.body, bytes) else length
        key = (request.method, request.path, request.query, host, size, *request.headers)
        block = self._blocks.get(key)
        if block is None:
            block = self._encoded(request, host, size)
            if len(block) <= _LONGEST_BLOCK:
                if len(self._blocks) >= _MOST_BLOCKS:
                    self._blocks.clear()
                self._blocks[key] = block
        return block

    def _encoded(self, request: Request, host: str, size: int | None) -> bytes:
        length = () if not size else ((b"content-length", b"%d" % size),)
        return encode_fields(
            [
                (b":method", request.method.encode("latin-1", "replace")),
                (b":scheme", self._scheme),
                (b":authority", host.encode("latin-1", "replace")),
                (b":path", target_of(request)),
                *sent_headers(request),
                _TRAILERS,
                *length,
            ]
        )


class _Answering:
    """A ``Body``: an answer as it comes, while the request may still be sent."""

    __slots__ = ("_stream", "_uploading", "failure")

    def __init__(self, stream: ClientStream) -> None:
        self.failure: Exception | None = None  # of the body of the request
        self._stream = stream
        self._uploading: asyncio.Task[None] | None = None

    @property
    def trailers(self) -> WireHeaders:
        return _fields(self._stream.trailers)

    async def read(self) -> bytes:
        try:
            piece = await self._stream.read()
        except OSError:
            if self.failure is not None:
                raise self.failure from None
            raise
        if not piece:
            self._stop()
        return piece

    def close(self) -> None:
        self._stop()
        self._stream.close()

    def upload(self, body: Body) -> None:
        """Begin to send the body of the request."""
        self._uploading = asyncio.get_running_loop().create_task(self._upload(body))

    async def _upload(self, body: Body) -> None:
        stream = self._stream
        try:
            while piece := await body.read():
                if not await stream.send(piece):
                    return
            await stream.send(b"", end=True)
        except Exception as error:
            self.failure = error
            stream.reset()

    def _stop(self) -> None:
        if self._uploading is not None and not self._uploading.done():
            self._uploading.cancel()


def _busy(channel: Http2Channel) -> int:
    return channel.busy


async def _all(stream: ClientStream) -> bytes:
    pieces: list[bytes] = []
    while piece := await stream.read():
        pieces.append(piece)
    stream.close()
    return b"".join(pieces)


def _fields(block: HeaderBlock | None) -> list[tuple[bytes, bytes]]:
    return [] if block is None else without_hop(block.fields)
