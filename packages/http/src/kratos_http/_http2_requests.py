"""Requests of HTTP as HTTP/2 carries them: heads that were written for HTTP/1.1, and streams."""

from __future__ import annotations

import asyncio
from typing import Final, TypeAlias

from kratos.transport import Cause
from kratos_http._exchange import Lost, RawReply, TooLarge
from kratos_http._http2_client import Http2ClientConnection
from kratos_http._http2_streams import ClientStream
from kratos_http._streaming import StreamConnection
from kratos_http2 import HeaderBlock, Stream, encode_fields

__all__ = ["Http2Request", "StreamedRequest", "block_of", "head_of", "trailers_of"]

_END: Final = b"\r\n\r\n"
_OF_HTTP1: Final = frozenset(
    (b"connection", b"host", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)


def block_of(head: bytes, *, secure: bool) -> bytes:
    """Return the header block of a request whose head was written for HTTP/1.1.

    Args:
        head: All before its empty line.
        secure: Whether the server speaks TLS.
    """
    lines = head.split(b"\r\n")
    verb, target, _ = lines[0].split(b" ")
    authority = b""
    fields: list[tuple[bytes, bytes]] = []
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if name == b"host":
            authority = value
        elif name == b"te" and value.lower() != b"trailers":
            continue
        elif name not in _OF_HTTP1:
            fields.append((name, value))
    begin = (
        (b":method", verb),
        (b":scheme", b"https" if secure else b"http"),
        (b":path", target),
        (b":authority", authority),
    )
    return encode_fields((*begin, *fields))


def head_of(block: HeaderBlock) -> RawReply:
    """Return an answer without its body."""
    return RawReply(int(block.status), list(block.fields), [], b"")


def trailers_of(block: HeaderBlock | None) -> list[tuple[bytes, bytes]]:
    """Return the trailers of an answer."""
    return [] if block is None else list(block.fields)


class Http2Request:
    """A request whose answer is read as it comes: a ``StreamConnection`` for HTTP/2.

    Args:
        connection: Where there is room for it: it begins before anything is awaited.
        secure: Whether the server speaks TLS.
    """

    __slots__ = ("_connection", "_secure", "_stream")

    def __init__(self, connection: Http2ClientConnection, *, secure: bool) -> None:
        self._connection = connection
        self._secure = secure
        self._stream: _Answering | None = None

    @property
    def trailers(self) -> list[tuple[bytes, bytes]]:
        """Of the answer, once it has ended."""
        return trailers_of(None if self._stream is None else self._stream.trailers)

    async def request(self, data: bytes) -> RawReply:
        """Send a whole request, and return the answer without its body.

        Raises:
            Lost: The connection ended, or the answer is malformed.
            TooLarge: Its head exceeds the limit.

        Cancellation: resets the stream.
        """
        head, _, body = data.partition(_END)
        stream = self._open(head, body)
        try:
            return await stream.answer
        except BaseException:
            self.close()
            raise

    def begin(self, head: bytes) -> asyncio.Future[RawReply]:
        """Send a head whose body follows, and return what will be the answer; see ``request``."""
        return self._open(head.removesuffix(_END), None).answer

    async def read(self) -> bytes:
        """Return the next piece of the body; ``b""`` at its clean end and only there.

        Raises:
            Lost: The connection ended before the answer did, or was closed from this side.
        """
        assert self._stream is not None, "it was begun"
        return await self._stream.read()

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

    def put(self, data: bytes) -> None:
        """Send a piece of the request's body; nothing for an empty one."""
        if data and self._stream is not None:
            self._stream.put(data)

    def finish(self) -> None:
        """End the request's body."""
        if self._stream is not None:
            self._stream.put(b"", end=True)

    async def room(self) -> None:
        """Wait while the server is slow.

        Raises:
            Error: It takes no more.
        """
        if self._stream is None or not await self._stream.room():
            raise Cause.PEER_GONE.error()

    def close(self) -> None:
        """Break it off, unless it has ended. Idempotent."""
        if self._stream is not None:
            self._stream.close()

    def _open(self, head: bytes, body: bytes | None) -> _Answering:
        block = block_of(head, secure=self._secure)
        no_body = head.startswith(b"HEAD ")
        self._stream = _Answering(self._connection, block, body, no_body=no_body)
        return self._stream


class _Answering(ClientStream):
    """A stream that tells when its answer begins."""

    __slots__ = ("answer",)

    def __init__(
        self,
        connection: Http2ClientConnection,
        block: bytes,
        data: bytes | None,
        *,
        no_body: bool,
    ) -> None:
        self.answer: asyncio.Future[RawReply] = connection.loop.create_future()
        super().__init__(connection, block, data, no_body=no_body)

    def on_headers(self, stream: Stream, block: HeaderBlock, /) -> None:
        super().on_headers(stream, block)
        if not self.answer.done():
            self.answer.set_result(head_of(block))

    def on_failure(self, stream: Stream, error: Exception, /) -> None:
        super().on_failure(stream, error)
        self._fail(error)

    def close(self) -> None:
        super().close()
        self._fail(Lost("the request was given up", begun=False))

    def _fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


StreamedRequest: TypeAlias = StreamConnection | Http2Request
"""A request whose answer is read as it comes."""
