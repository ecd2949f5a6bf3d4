"""Requests of other protocols than REST over HTTP/2: all on one connection."""

from __future__ import annotations

from typing import Any, Final

from kratos.transport.http import WireHeaders
from kratos_http._exchange import Lost, RawReply
from kratos_http._http2_channel import Http2Channel
from kratos_http._http2_client import Http2ClientConnection
from kratos_http._http2_errors import Refused
from kratos_http._http2_streams import ClientStream, Whole
from kratos_http.carrier import Request, Transmission
from kratos_http2 import HeaderBlock, encode_fields

__all__ = ["Http2Carrier"]

_MOST_BLOCKS: Final = 256


class Http2Carrier:
    """A ``Carrier`` over HTTP/2.

    Args:
        channel: The connection.
        base: Fields of every request: scheme, authority, and by whom it is sent.
        prefix: Path before every path.
        most: Bytes of the largest body of an answer.
    """

    def __init__(self, channel: Http2Channel, base: WireHeaders, *, prefix: str, most: int) -> None:
        self._channel = channel
        self._pseudo = [pair for pair in base if pair[0][:1] == b":"]
        self._defaults = [pair for pair in base if pair[0][:1] != b":"]
        self._prefix = prefix.encode()
        self._most = most
        self._healthy = True
        self._blocks: dict[Any, bytes] = {}

    @property
    def ready(self) -> bool:
        """See ``Carrier``."""
        return self._healthy

    async def warm(self) -> None:
        """See ``Carrier``."""
        self._healthy = False
        await self._channel.connect()
        self._healthy = True

    async def ask(self, request: Request, body: bytes, *, repeatable: bool) -> RawReply:
        """See ``Carrier``."""
        block = self._block(request)
        if body:
            block += encode_fields(((b"content-length", b"%d" % len(body)),))
        no_body = request.verb == "HEAD"
        try:
            return await self._asked(block, body, no_body=no_body)
        except Refused:
            pass  # the server never saw it
        except Lost as error:
            if error.begun or not repeatable:
                raise
        return await self._asked(block, body, no_body=no_body)

    async def open(self, request: Request) -> Transmission:
        """See ``Carrier``."""
        block = self._block(request)
        return _Streamed(ClientStream(await self._connection(), block))

    async def aclose(self, *, drain: float = 0.0) -> None:
        """See ``Carrier``."""
        await self._channel.aclose(drain=drain)

    async def _connection(self) -> Http2ClientConnection:
        connection = self._channel.current()
        if connection is None:
            self._healthy = False
            connection = await self._channel.open()
            self._healthy = True
        return connection

    async def _asked(self, block: bytes, body: bytes, *, no_body: bool) -> RawReply:
        whole = Whole(await self._connection(), self._most)
        data = await whole.exchange(block, body, no_body=no_body)
        head = whole.head
        assert head is not None, "an answer has a head"
        trailers = [] if whole.trailers is None else list(whole.trailers.fields)
        return RawReply(_status(head), list(head.fields), trailers, data)

    def _block(self, request: Request) -> bytes:
        """Return the header section of a request: few differ, so it is made once."""
        key = (request.verb, request.target, *request.headers)
        block = self._blocks.get(key)
        if block is None:
            if len(self._blocks) >= _MOST_BLOCKS:
                self._blocks.clear()
            block = self._blocks[key] = self._encoded(request)
        return block

    def _encoded(self, request: Request) -> bytes:
        names = {name for name, _ in request.headers}
        return encode_fields(
            [
                (b":method", request.verb.encode()),
                (b":path", self._prefix + request.target.encode()),
                *self._pseudo,
                *(pair for pair in self._defaults if pair[0] not in names),
                *request.headers,
            ]
        )


class _Streamed:
    """A ``Transmission`` on a stream of its own."""

    __slots__ = ("_stream",)

    def __init__(self, stream: ClientStream) -> None:
        self._stream = stream

    @property
    def trailers(self) -> WireHeaders:
        block = self._stream.trailers
        return () if block is None else block.fields

    async def send(self, data: bytes, /) -> bool:
        return await self._stream.send(data)

    async def end(self) -> None:
        await self._stream.send(b"", end=True)

    async def answer(self) -> tuple[int, WireHeaders]:
        block = await self._stream.headers()
        return _status(block), block.fields

    async def read(self) -> bytes:
        return await self._stream.read()

    def close(self) -> None:
        self._stream.close()


def _status(block: HeaderBlock) -> int:
    return int(block.status)
