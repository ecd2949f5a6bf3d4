"""A peer that speaks HTTP/2, for tests: one connection, of which every frame can be chosen."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Final, cast

from kratos_http._testing_answer import Answer, Headers
from kratos_http2 import (
    ClientConnection,
    ErrorCode,
    HeaderBlock,
    Http2Error,
    Settings,
    Stream,
    encode_fields,
)

__all__ = ["Http2Peer", "Http2Request"]

_CONNECTION_FIELDS: Final = ("connection", "keep-alive", "transfer-encoding", "upgrade")


class Http2Request:
    """A request that was sent, and what came of it.

    Attributes:
        stream: Its stream.
        interim: Statuses of interim answers.
        status: Of the answer; 0 while none came.
        headers: Of the answer.
        trailers: Of the answer.
        code: Why the server reset the stream; ``None`` if it did not.
        body: What came of it.
    """

    def __init__(self, peer: Http2Peer) -> None:
        self.stream: Stream | None = None
        self.interim: list[int] = []
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.trailers: list[tuple[str, str]] = []
        self.code: int | None = None
        self.body = bytearray()
        self._peer = peer
        self._changed = asyncio.Event()

    async def send(self, data: bytes, *, end: bool = False) -> None:
        """Send a piece of the body, as far as the server lets it."""
        assert self.stream is not None, "it was sent"
        self._peer.h2.send_data(self.stream, data, end=end)
        await asyncio.sleep(0)

    def reset(self, code: int = ErrorCode.CANCEL) -> None:
        """Break it off."""
        assert self.stream is not None, "it was sent"
        self._peer.h2.reset(self.stream, code)

    async def answer(self) -> Answer:
        """Return the whole answer.

        Raises:
            ConnectionError: It was broken off, or the connection was lost.
        """
        assert self.stream is not None, "it was sent"
        while not self.stream.received_end:
            self._require_open()
            await self._change()
        return Answer(
            status=self.status,
            headers=self.headers,
            body=bytes(self.body),
            trailers=self.trailers,
        )

    async def until(self, end: bytes) -> bytes:
        """Return what comes of the body up to and with some bytes, once."""
        while end not in self.body:
            self._require_open()
            await self._change()
        size = self.body.index(end) + len(end)
        found = bytes(self.body[:size])
        del self.body[:size]
        return found

    async def begun(self) -> None:
        """Return when there are headers of an answer."""
        while not self.status:
            self._require_open()
            await self._change()

    async def broken(self) -> int:
        """Return the code with which the server resets the stream."""
        while self.code is None:
            if self._peer.lost:
                raise ConnectionError("the connection ended")
            await self._change()
        return self.code

    # For the peer.

    def change(self) -> None:
        """Note that something came."""
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _require_open(self) -> None:
        if self.code is not None:
            raise ConnectionError(f"the stream was reset: {ErrorCode(self.code).name}")
        if self._peer.lost:
            raise ConnectionError("the connection ended before the answer did")


class Http2Peer(asyncio.Protocol):
    """One HTTP/2 connection.

    Args:
        settings: What the server is told.

    Attributes:
        h2: The protocol itself, for what has no method here.
        reads: Whether bodies are taken; else windows are not given back.
        goaways: What the server said: last stream, code, and text.
        fault: What the server did wrong.
        lost: Whether the connection ended.
        pongs: Payloads of answers to pings.
        requests: That have not ended, by stream.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.h2 = ClientConnection(self, settings=settings)
        self.reads = True
        self.goaways: list[tuple[int, int, bytes]] = []
        self.fault: Http2Error | None = None
        self.lost = False
        self.pongs: list[bytes] = []
        self.requests: dict[int, Http2Request] = {}
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._settled = asyncio.Event()
        self._ended = asyncio.Event()

    async def settled(self) -> None:
        """Return when the server has spoken."""
        await self._settled.wait()

    @classmethod
    async def connect(
        cls,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        settings: Settings | None = None,
    ) -> Http2Peer:
        """Connect to a port, and return when the server has spoken."""
        name = host if tls is not None else None
        _, peer = await asyncio.get_running_loop().create_connection(
            lambda: cls(settings), host, port, ssl=tls, server_hostname=name
        )
        await peer.settled()
        return peer

    async def request(
        self, method: str, target: str, *, headers: Headers = (), body: bytes = b""
    ) -> Answer:
        """Send a well-formed request and return its answer.

        Raises:
            ConnectionError: There is none.
        """
        sent = list(headers)
        if body:
            sent.append(("content-length", str(len(body))))
        request = self.begin(method, target, headers=sent, end=not body)
        if body:
            await request.send(body, end=True)
        return await request.answer()

    @property
    def port(self) -> int:
        """Its own, by which the server knows it."""
        assert self._transport is not None, "it is connected"
        port: int = self._transport.get_extra_info("sockname")[1]
        return port

    def begin(
        self,
        method: str,
        target: str,
        *,
        headers: Headers = (),
        end: bool = False,
        pseudo: Iterable[tuple[str, str]] | None = None,
    ) -> Http2Request:
        """Send the head of a request.

        Args:
            method: Its method.
            target: Its path and query.
            headers: Its headers; those that are of HTTP/1.1 are left out.
            end: Whether there is no body.
            pseudo: Pseudo-header fields in place of the usual ones.
        """
        if pseudo is None:
            pseudo = (
                (":method", method),
                (":scheme", "http"),
                (":authority", "test"),
                (":path", target),
            )
        fields = [(name.encode(), value.encode()) for name, value in pseudo]
        fields += [
            (name.lower().encode(), value.encode())
            for name, value in headers
            if name.lower() not in _CONNECTION_FIELDS
        ]
        request = Http2Request(self)
        stream = self.h2.request(
            encode_fields(fields), end=end, owner=request, no_body=method == "HEAD"
        )
        request.stream = stream
        self.requests[stream.id] = request
        return request

    def write(self, data: bytes) -> None:
        """Send bytes as they are, after all that was sent so far."""
        assert self._transport is not None, "it is connected"
        self._flush()
        self._transport.write(data)

    def pause(self) -> None:
        """Read nothing, so that the server's bytes pile up."""
        assert self._transport is not None, "it is connected"
        self._transport.pause_reading()

    def end(self) -> None:
        """Send the end of the stream, and go on reading."""
        assert self._transport is not None, "it is connected"
        self._flush()
        self._transport.write_eof()

    def reset(self) -> None:
        """Break the connection off."""
        assert self._transport is not None, "it is connected"
        self._transport.abort()

    async def closed(self) -> None:
        """Return when the connection has ended."""
        await self._ended.wait()

    async def aclose(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.abort()
        await self._ended.wait()

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to speak."""
        self._transport = cast("asyncio.Transport", transport)
        self.h2.start()

    def data_received(self, data: bytes) -> None:
        """Read frames."""
        self.h2.receive(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self.lost = True
        self._settled.set()
        self._ended.set()
        for request in self.requests.values():
            request.change()

    # Called by the protocol.

    def on_output(self) -> None:
        """Write at the end of the loop's turn."""
        self._loop.call_soon(self._flush)

    def on_headers(self, stream: Stream, block: HeaderBlock, /) -> None:
        """Take the head of an answer."""
        request: Http2Request = stream.owner
        status = int(block.status)
        if status < 200:
            request.interim.append(status)
        else:
            request.status = status
            request.headers = _text(block.fields)
        request.change()

    def on_data(self, stream: Stream, data: bytes, /) -> None:
        """Take a piece of a body."""
        request: Http2Request = stream.owner
        request.body += data
        if self.reads:
            self.h2.consumed(stream, len(data))
        request.change()

    def on_trailers(self, stream: Stream, block: HeaderBlock, /) -> None:
        """Take trailers."""
        request: Http2Request = stream.owner
        request.trailers = _text(block.fields)
        request.change()

    def on_reset(self, stream: Stream, code: int, /) -> None:
        """Note that the server broke a request off."""
        request: Http2Request = stream.owner
        request.code = code
        request.change()

    def on_stream_error(self, stream: Stream, error: Http2Error, /) -> None:
        """Note that the server was at fault."""
        self.fault = error
        self.on_reset(stream, error.code)

    def on_room(self, stream: Stream, /) -> None:
        """Nobody waits for it."""

    def on_settings(self) -> None:
        """Note that the server has spoken."""
        self._settled.set()

    def on_ping(self, payload: bytes, /) -> None:
        """It is answered."""

    def on_pong(self, payload: bytes, /) -> None:
        """Note an answer to a ping."""
        self.pongs.append(payload)

    def on_goaway(self, last: int, code: int, debug: bytes, /) -> None:
        """Note that the server sent it away."""
        self.goaways.append((last, code, debug))

    def on_fault(self, error: Http2Error, /) -> None:
        """Note that the server was at fault, and close."""
        self.fault = error
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self.h2.take())


def _text(fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode(), value.decode("latin-1")) for name, value in fields]
