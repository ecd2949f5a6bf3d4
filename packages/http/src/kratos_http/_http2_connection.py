"""The receiving half of a server's HTTP/2 connection: requests as they come, and time limits."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, cast

from kratos.errors import Error
from kratos.transport.http import Buffered, Endpoint, Head, Streamed, Upgraded
from kratos_http._answering import internal
from kratos_http._endpoints import Constant
from kratos_http._handshake import unfit
from kratos_http._http2_answering import Http2Answering
from kratos_http._http2_exchange import BufferedExchange, Exchange, StreamedExchange, overflow
from kratos_http._http2_heads import Heads, Outline
from kratos_http._http2_socket import SocketExchange
from kratos_http._link import SLACK
from kratos_http._peer import peer_certificate, peer_name
from kratos_http._refusal import refusal
from kratos_http2 import (
    ErrorCode,
    HeaderBlock,
    Http2Error,
    ServerConnection,
    Settings,
    Stream,
)

if TYPE_CHECKING:
    from kratos_http.engine import Engine

__all__ = ["Http2Connection"]

_log = logging.getLogger("kratos.http")

_REST: Final = 10.0  # seconds after which an idle connection keeps nothing to be quick
_SLICE: Final = 32 * 1024  # bytes that are read in one go, and
_MANY: Final = 64  # requests that may begin in these before others have their turn


class Http2Connection(Http2Answering):
    """An HTTP/2 connection of an ``Engine``."""

    __slots__ = ("_begun", "_greeted", "_heads", "_partial", "_unread")

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._heads: Heads | None = None
        self._partial: float | None = None  # since when a frame, or a header block, is incomplete
        self._begun = 0  # requests since others had their turn
        self._unread = b""  # what came and is read in the next turn
        self._greeted = False  # the peer told its settings, and so speaks HTTP/2

    def __str__(self) -> str:
        """Return whose connection it is, for logs."""
        return self._heads.peer if self._heads is not None else "?"

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to speak.

        Which ciphers of TLS 1.2 RFC 9113 (9.2.2) would not have is not asked: OpenSSL prefers
        others, and a peer that has no other is better served than refused.
        """
        self._transport = cast("asyncio.Transport", transport)
        self._heads = Heads(
            self._limits,
            peer=peer_name(transport),
            tls=transport.get_extra_info("sslcontext") is not None,
            certificate=peer_certificate(transport),
        )
        engine = self._engine
        engine.connections.add(self)
        self._conduct = engine.conductor(self) if engine.conductor is not None else None
        self.h2.start()
        if engine.draining:
            self.drain()

    def data_received(self, data: bytes) -> None:
        """Read frames: all that came, unless many requests begin with it."""
        if self._unread:
            self._unread += data
        elif len(data) <= _SLICE:
            self._read(data)
        else:
            self._read_slices(data)

    def _read_slices(self, data: bytes) -> None:
        self._begun = 0
        for start in range(0, len(data), _SLICE):
            if self._begun > _MANY:
                self._read_later(data[start:])
                return
            self._read(data[start : start + _SLICE])

    def _read_later(self, data: bytes) -> None:
        """Let others have their turn: 256 KiB may be thousands of requests."""
        transport = self._transport
        if transport is None or self._deaf or transport.is_closing():
            return
        self._unread = data
        transport.pause_reading()
        self._loop.call_soon(self._read_on, context=self._engine.context)

    def _read_on(self) -> None:
        data, self._unread = self._unread, b""
        self._read_slices(data)
        transport = self._transport
        if transport is not None and not (self._unread or transport.is_closing()):
            transport.resume_reading()

    def _read(self, data: bytes) -> None:
        if self._deaf:
            return
        h2 = self.h2
        before = h2.buffered
        self._gathering = True
        try:
            h2.receive(data)
        finally:
            self._gathering = False
        self._act()
        after = h2.buffered
        if not (after or h2.in_headers):
            self._partial = None
        elif self._partial is None or (after != before + len(data) and not h2.in_headers):
            self._partial = self._engine.now
        if self._leaving:
            self._end_if_done()

    def eof_received(self) -> None:
        """Take the end of the peer's stream for its going away, as Go does."""
        self._lose_all()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the peer."""
        self._transport = None
        self._deaf = True
        self._slow.clear()
        self._lingering.clear()
        self._waiting.clear()
        self._ready.clear()
        if self._turn.latest is self:
            self._turn.latest = None
        if self._conduct is not None:
            self._conduct.close()
        self._lose_all()
        if not self._exchanges:
            self._engine.forget(self)

    # Called by the protocol.

    def on_output(self) -> None:
        """Write all at once, after what comes together, or at the end of the loop's turn."""
        if self._gathering:
            self._due = True
        else:
            self._turn.flush_soon(self)

    def on_headers(self, stream: Stream, block: HeaderBlock, /) -> None:
        """Route a request, and answer it at once if there is no body to wait for."""
        heads, engine = self._heads, self._engine
        assert heads is not None, "the connection was made"
        if self._deaf:
            return
        self._since = engine.now
        self._begun += 1
        outline: Outline = block.note or heads.outline(block)
        if outline.refused is not None:
            self.say(stream, outline.method, refusal(outline.refused))
            return
        # A request that was broken off counts for as long as its endpoint runs: else a peer that
        # asks and resets, again and again, would have as many of them as it likes.
        if len(self._exchanges) >= self._limits.max_streams:
            engine.note_offence(self, "max_streams", "more requests than are answered")
            self.h2.reset(stream, ErrorCode.REFUSED_STREAM)
            return
        if not engine.has_room(len(self._exchanges)):
            engine.note_offence(self, "max_requests", "more than its part of all requests")
            self.h2.reset(stream, ErrorCode.REFUSED_STREAM)
            return
        head = heads.head(outline)
        try:
            endpoint = engine.application.route(head)
        except Exception:
            _log.exception("a request could not be read")
            self.say(stream, outline.method, refusal(internal()))
            return
        self._accept(stream, head, outline, endpoint)

    def on_data(self, stream: Stream, data: bytes, /) -> None:
        """Pass a piece of a body on."""
        exchange: Exchange | None = stream.owner
        if exchange is not None:
            exchange.feed(data)
            if stream.received_end and stream.owner is not None:
                exchange.end()
        else:
            self._lingering.take(stream)

    def on_trailers(self, stream: Stream, block: HeaderBlock, /) -> None:
        """End a body; nobody can rely on what its trailers say."""
        exchange: Exchange | None = stream.owner
        if exchange is not None:
            exchange.end()
        else:
            self._lingering.take(stream)

    def on_reset(self, stream: Stream, code: int, /) -> None:
        """Cancel what nobody waits for any more."""
        self._slow.forget(stream)
        self._lingering.forget(stream)
        exchange: Exchange | None = stream.owner
        if exchange is not None:
            exchange.lose()
        self._since = self._engine.now
        self._advance()

    def on_stream_error(self, stream: Stream, error: Http2Error, /) -> None:
        """Cancel what cannot be answered any more."""
        self.on_reset(stream, error.code)

    def on_room(self, stream: Stream, /) -> None:
        """Let who writes go on."""
        self._slow.forget(stream)
        exchange: Exchange | None = stream.owner
        if exchange is not None:
            exchange.resume()
        else:
            self.settle(stream)
        self._advance()
        if self._leaving:
            self._end_if_done()

    def on_settings(self) -> None:
        """Take the peer for one that speaks HTTP/2."""
        self._greeted = True

    def on_ping(self, payload: bytes, /) -> None:
        """It is answered; whether it came too soon is for others to say."""
        if self._conduct is None:
            return
        if self.h2.ping_excused:
            self._conduct.on_answer()  # of which it reads now
        self._conduct.on_ping()

    def on_pong(self, payload: bytes, /) -> None:
        """Nothing was asked."""

    def on_goaway(self, last: int, code: int, debug: bytes, /) -> None:
        """Close when the last request is answered."""
        self.leave()

    def on_fault(self, error: Http2Error, /) -> None:
        """Say why, and close."""
        self._engine.note_offence(self, error.limit or "protocol", str(error))
        self._close(midway=True)

    # Called by the engine.

    def check(self, now: float) -> None:
        """Act on a peer that takes too long."""
        if self._is_late(now):
            if not self._deaf:
                self._engine.note_offence(self, "write_timeout", "it takes nothing")
            self.abort()
            return
        if self._deaf or self._transport is None:
            return
        self._check_streams(now)
        limits = self._limits
        if self._partial is not None:
            allowed = limits.head_timeout + self.h2.buffered / limits.min_body_rate
            if now - self._partial - SLACK > allowed:
                self._engine.note_offence(self, "head_timeout", "a frame took too long")
                self.h2.goaway(ErrorCode.ENHANCE_YOUR_CALM, b"a frame took too long")
                self._close(midway=True)
        elif self._leaving:
            if now > self._leave_by:
                self.h2.goaway()
                self._end_if_done()
        elif self.is_idle:
            self._check_idle(now - self._since - SLACK)

    def _check_idle(self, seconds: float) -> None:
        """Send a peer away that asks nothing, and remember little of it before."""
        limits = self._limits
        if seconds > (limits.idle_timeout if self._greeted else limits.first_timeout):
            self.leave()
        elif seconds > _REST:
            self.h2.rest()

    def _check_streams(self, now: float) -> None:
        """Refuse bodies that do not come, and break off answers that are not taken."""
        for exchange in tuple(self._exchanges):
            if exchange.late(now - SLACK):
                error = Error(408, "REQUEST_TIMEOUT", "the body came too slowly")
                self.refuse(exchange, refusal(error))
        self._lingering.check(now)
        for stream in self._slow.late(now):
            self._engine.note_offence(self, "write_timeout", "it gives an answer no window")
            self._slow.forget(stream)
            self.h2.reset(stream, ErrorCode.ENHANCE_YOUR_CALM)
            owner: Exchange | None = stream.owner
            if owner is not None:
                owner.lose()
        self._advance()

    def _protocol(self, settings: Settings) -> ServerConnection:
        return ServerConnection(self, settings=settings)

    def _accept(self, stream: Stream, head: Head, outline: Outline, endpoint: Endpoint) -> None:
        """Begin with a request."""
        if outline.handshake or not hasattr(endpoint, "answer"):
            self._accept_stream(stream, head, outline, endpoint)
            return
        buffered = cast("Buffered", endpoint)
        if outline.length is not None and outline.length > buffered.max_body:
            self.say(stream, outline.method, overflow(buffered, head))
            return
        exchange = BufferedExchange(self, stream, head, buffered)
        stream.owner = exchange
        self.note(exchange)
        if stream.received_end:
            self.begin(exchange)
        elif outline.expects:
            self.send_continue(stream)

    def _accept_stream(
        self, stream: Stream, head: Head, outline: Outline, endpoint: Endpoint
    ) -> None:
        """Begin with a request that is answered while it comes."""
        exchange: Exchange
        if hasattr(endpoint, "talk"):
            endpoint = _fit(cast("Upgraded", endpoint), head, stream)
        elif outline.handshake:
            endpoint = _without_socket(endpoint)
        if hasattr(endpoint, "talk"):
            exchange = SocketExchange(self, stream, head, cast("Upgraded", endpoint))
        else:
            exchange = StreamedExchange(
                self, stream, head, cast("Streamed", endpoint), expects=outline.expects
            )
        stream.owner = exchange
        self.note(exchange)
        if stream.received_end:
            exchange.end()
        self.begin(exchange)


def _fit(endpoint: Upgraded, head: Head, stream: Stream) -> Endpoint:
    """Return what answers a request for what is served to WebSockets only."""
    refused = unfit(head)
    if refused is None and stream.received_end:
        refused = refusal(Error(400, "BAD_REQUEST", "the stream of a WebSocket has to stay open"))
    return endpoint if refused is None else Constant(refused)


def _without_socket(endpoint: Endpoint) -> Endpoint:
    """Return what answers a handshake where no WebSocket is served: never well, that accepts it."""
    if isinstance(endpoint, Constant) and endpoint.status >= 300:
        return endpoint
    return Constant(refusal(Error(400, "BAD_REQUEST", "no WebSocket is served here")))
