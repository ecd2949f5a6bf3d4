"""The receiving half of a server's connection: requests as they come, and their time limits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from kratos.errors import Error
from kratos.transport.cause import Cause
from kratos.transport.http import Buffered, Endpoint, Head, Reply, Streamed, Upgraded
from kratos_http._answering import Answer, Answering, internal
from kratos_http._endpoints import Constant
from kratos_http._handshake import unfit
from kratos_http._link import SLACK
from kratos_http._peer import peer_certificate, peer_name
from kratos_http._pieces import add_piece
from kratos_http._reader import Reader
from kratos_http._refusal import refusal
from kratos_http._server_socket import ServerSocket
from kratos_http._wire import ServerWire

if TYPE_CHECKING:
    import socket

    from kratos_http.engine import Engine

__all__ = ["ServerConnection"]

_log = logging.getLogger("kratos.http")

_QUEUED_BYTES: Final = 64 * 1024  # of bodies that wait for their turn before reading pauses
_FIRST_REQUEST: Final = 1.0  # seconds after which a connection without one is idle
_TOO_LARGE: Final = "BODY_TOO_LARGE"
_SLICE: Final = 32 * 1024  # bytes read in one go: what is queued is looked at in between


class ServerConnection(Answering):
    """An HTTP/1.1 connection of an ``Engine``; reading pauses when its queue is long."""

    __slots__ = (
        "_answer",
        "_deaf",
        "_expecting",
        "_feeding",
        "_head",
        "_in_body",
        "_in_head",
        "_keep",
        "_made",
        "_overflow",
        "_paused",
        "_pieces",
        "_reader",
        "_received",
        "_room",
        "_since",
        "_socket",
        "_switched",
        "_unfed",
        "_wire",
    )

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._reader: Reader | None = None
        self._in_head = False
        self._in_body = False
        self._since = engine.now  # when the peer last did what it is expected to do
        self._made = 0.0  # the loop's time
        self._deaf = False  # what still comes is dropped
        self._paused = False
        self._feeding = False  # the reader is at work, and cannot be entered again
        self._unfed = b""  # what came before the pause took effect
        # Of the request that is being read:
        self._head: Head | None = None
        self._keep = True
        self._expecting = False
        self._wire: ServerWire | None = None
        self._socket: ServerSocket | None = None
        self._switched = False  # what comes is for the socket
        self._answer: Answer | None = None
        self._overflow: Callable[[Head, Error], Reply] | None = None
        self._room = 0
        self._pieces: list[bytes | bytearray] = []
        self._received = 0

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way, not even a part of one."""
        return self._task is None and not (self._queue or self._in_head or self._in_body)

    @property
    def idle_since(self) -> float | None:
        """The loop's time since when nothing happens; ``None`` if something does."""
        if self._deaf or self._transport is None or self._abort_at is not None:
            return None
        return self._since if self.is_idle else None

    @property
    def paused(self) -> bool:
        """Whether nothing is read, because enough waits."""
        return self._paused

    def option(self, level: int, name: int) -> int:
        """Return an option of the socket, for tests and diagnosis."""
        assert self._transport is not None, "it is open"
        return cast("socket.socket", self._transport.get_extra_info("socket")).getsockopt(
            level, name
        )

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read."""
        self._transport = cast("asyncio.Transport", transport)
        self._reader = Reader(
            self,
            self._limits,
            peer=peer_name(transport),
            tls=transport.get_extra_info("sslcontext") is not None,
            certificate=peer_certificate(transport),
        )
        self._engine.connections.add(self)
        self._made = asyncio.get_running_loop().time()
        if self._engine.draining:
            self.drain()

    def data_received(self, data: bytes) -> None:
        """Read requests and give them their turns."""
        if self._unfed:
            self._unfed += data
        elif len(data) <= _SLICE:
            self._feed(data)
        else:
            self._unfed = data
            self._feed_slices()

    def resume_writing(self) -> None:
        """Go on, and let a socket read on, too."""
        super().resume_writing()
        if self._socket is not None:
            self._socket.relieve()

    def eof_received(self) -> None:
        """Take the end of the peer's stream for its going away, as Go does."""
        self._cancel(Cause.PEER_GONE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the peer."""
        self._paused = False
        self.stop_reading()
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._wire is not None:
            self._wire.fail(Cause.PEER_GONE.error())
        if self._socket is not None:
            self._socket.lose()
        self._lose()

    # Called by the reader.

    def on_begin(self) -> None:
        """Start the clock of the head."""
        self._head = None
        self._in_head = True
        self._since = self._engine.now

    def on_request(self, head: Head, /, *, length: int | None, keep: bool, expects: bool) -> None:
        """Route the request; a streamed one gets its turn at once."""
        self._in_head = False
        self._head = head
        self._accept(
            self._engine.application.route(head), head, length=length, keep=keep, expects=expects
        )

    def on_whole(self, head: Head, body: bytes, /) -> None:
        """Answer at once where nothing is in the way."""
        engine = self._engine
        endpoint = engine.application.route(head)
        answer: Answer | None = getattr(endpoint, "answer", None)
        self._since = engine.now
        self._head = head
        if (
            answer is None
            or self._task is not None
            or self._queue
            or self._stalled is not None
            or (body and len(body) > cast("Buffered", endpoint).max_body)
        ):
            self._accept(endpoint, head, length=len(body), keep=True, expects=False)
            if body:
                self.on_piece(body)
            self.on_end()
            return
        self._current = head
        self._begun = False
        self._task = engine.spawn(self._serve(answer, head, body, True))

    def _accept(
        self, endpoint: Endpoint, head: Head, *, length: int | None, keep: bool, expects: bool
    ) -> None:
        """Take the head of a request for what leads to an endpoint."""
        answer: Answer | None = getattr(endpoint, "answer", None)
        if answer is not None:
            self._answer = answer
            self._overflow = getattr(endpoint, "overflow", None)
            self._room = cast("Buffered", endpoint).max_body
            if length is not None and length > self._room:
                raise self._too_large()
            self._keep = keep
            self._pieces = []
            self._received = 0
            self._in_body = True
            if expects:
                self._expecting = True
                self._allow_body()
            return
        if hasattr(endpoint, "talk"):
            refused = unfit(head)
            if refused is None:
                self._switch(cast("Upgraded", endpoint), head)
                return
            endpoint = Constant(refused)
        self._in_body = True
        wire = ServerWire(self, head, length=length, keep=keep, expects=expects)
        self._wire = wire
        self._give_turn(partial(self._start_stream, cast("Streamed", endpoint), head, wire))

    def on_piece(self, data: bytes, /) -> None:
        """Keep a piece of the body, or pass it on."""
        wire = self._wire
        if wire is not None:
            wire.feed(data)
            self.regulate()
            return
        self._received += len(data)
        if self._received > self._room:
            raise self._too_large()
        add_piece(self._pieces, data)

    def on_end(self) -> None:
        """Give the request its turn, or end its body."""
        self._in_body = False
        self._expecting = False
        self._since = self._engine.now
        if self._socket is not None:
            return
        wire, head, answer = self._wire, self._head, self._answer
        if wire is not None:
            self._wire = None
            wire.end()
            return
        assert head is not None, "a request ends after its head"
        assert answer is not None, "a request ends after it was routed"
        pieces = self._pieces
        body = b"".join(pieces) if pieces else b""
        if self._task is None and not self._queue and self._stalled is None:
            self._start(answer, head, body, self._keep)
        else:
            self._give_turn(partial(self._start, answer, head, body, self._keep), len(body))

    def on_switch(self, rest: bytes, /) -> None:
        """Pass on what follows the handshake, from now on."""
        self._switched = True
        if rest:
            self._feed_socket(rest)

    # Called when answers have gone, by wires and sockets, and by the engine.

    def after_turn(self) -> None:
        """Ask for more, now that there may be room."""
        if self._task is None:
            if self._wire is not None or not (self._in_head or self._in_body):
                self._since = self._engine.now
            if self._expecting:
                self._allow_body()
            if self._engine.draining and self.is_idle:
                self._close()
        if self._queue or self._paused:
            self.regulate()

    def stop_reading(self) -> bool:
        """Drop whatever still comes; tell whether the peer is midway through something."""
        midway = self._in_head or self._in_body or self._deaf
        self._deaf = True
        self._unfed = b""
        if self._paused and self._transport is not None:
            self._paused = False
            self._engine.detached(self._transport.resume_reading)
        return midway

    def regulate(self) -> None:
        """Read while there is room for what comes, and only then."""
        transport = self._transport
        if transport is None or self._deaf:
            return
        if self._is_full():
            if not self._paused:
                self._paused = True
                transport.pause_reading()
            return
        if not self._paused or self._feeding:
            return
        self._feed_slices()
        if self._may_read():
            self._paused = False
            self._since = self._engine.now
            self._engine.detached(transport.resume_reading)

    def hang_up(self) -> None:
        """Close a WebSocket's connection once everything is sent.

        A peer that did not close properly is still sending, and would lose the close frame if
        the connection were closed with that unread.
        """
        if self._socket is None or self._socket.close_code is None:
            self._deaf = True
        self._close()

    def give_up(self) -> None:
        """Leave the connection, of which nothing was read, to one that speaks something else."""
        self._engine.connections.discard(self)
        self._transport = self._reader = None

    def drain(self) -> None:
        """Close the connection as soon as it is idle."""
        if not self.is_idle:
            return
        loop = asyncio.get_running_loop()
        left = self._made + _FIRST_REQUEST - loop.time()
        if self._head is None and left > 0 and self._transport is not None:
            loop.call_later(left, self.drain)
        else:
            self._close()

    def close_idle(self) -> None:
        """Make room for another one."""
        if self.is_idle:
            self._close()

    def check(self, now: float) -> None:
        """Act on a peer that takes too long."""
        if self._is_late(now):
            self.abort()
            return
        if self._deaf or self._paused or self._transport is None:
            return
        limits, waited = self._limits, now - self._since - SLACK
        if self._in_head:
            if waited > limits.head_timeout:
                self._refuse(Error(408, "REQUEST_TIMEOUT", "the headers took too long"))
        elif self._in_body:
            self._check_body(waited)
        elif self.is_idle:
            # A first request has begun if there is a head: it is kept until the next one begins.
            allowed = limits.first_timeout if self._head is None else limits.idle_timeout
            if waited > allowed:
                self._close()

    def _check_body(self, waited: float) -> None:
        """Act on a body that comes too slowly; one that is read in pieces is its reader's."""
        limits, wire = self._limits, self._wire
        if wire is None:
            if waited > limits.body_grace + self._received / limits.min_body_rate:
                self._refuse(Error(408, "REQUEST_TIMEOUT", "the body came too slowly"))
            return
        allowed = limits.body_grace + wire.skipped / limits.min_body_rate
        if wire.finished and self._task is None and waited > allowed:
            self._close()

    def _feed_slices(self) -> None:
        """Read what came, as long as there is room."""
        while self._unfed and not self._is_full():
            data, self._unfed = self._unfed[:_SLICE], self._unfed[_SLICE:]
            self._feed(data)

    def _switch(self, endpoint: Upgraded, head: Head) -> None:
        """Take the request for the last one of the connection."""
        assert self._reader is not None, "it is reading"
        self._reader.switch()
        socket = self._socket = ServerSocket(self, head, self._limits)
        self._give_turn(partial(self._start_talk, endpoint, head, socket))

    def _feed_socket(self, data: bytes) -> None:
        if self._socket is not None:
            self._socket.feed(data)
            self.regulate()

    def _feed(self, data: bytes) -> None:
        if self._deaf or self._reader is None:
            return
        if self._switched:
            self._feed_socket(data)
            return
        self._feeding = True
        refused: Error | None = None
        try:
            self._reader.feed(data)
        except Error as error:
            refused = error
        except Exception:
            _log.exception("a request could not be read")
            refused = internal()
        self._feeding = False
        if refused is not None:
            self._refuse(refused)

    def _refuse(self, error: Error) -> None:
        """Read no further; answer the error in its turn, then close."""
        self._deaf = True
        self._unfed = b""
        wire = self._wire
        if wire is None:
            self._say_last(self._head, self._refusal(error))
            return
        wire.fail(error)
        if wire.finished and self._task is None and not self._queue:
            self._close()

    def _refusal(self, error: Error) -> Reply:
        """Return the answer, which for a body that is too large may be the endpoint's."""
        if error.reason == _TOO_LARGE and self._head is not None and self._overflow is not None:
            return self._overflow(self._head, error)
        return refusal(error)

    def _may_read(self) -> bool:
        return not (self._deaf or self._is_full())

    def _is_full(self) -> bool:
        return (
            len(self._queue) >= self._limits.max_pipelined
            or self._queued > _QUEUED_BYTES
            or (self._wire is not None and self._wire.full)
            or (self._socket is not None and self._socket.full)
        )

    def _allow_body(self) -> None:
        """Send ``100 Continue`` when all earlier answers are out."""
        if self._expecting and self._task is None and not self._queue:
            self._expecting = False
            self.send_continue()

    def _too_large(self) -> Error:
        return Error(413, _TOO_LARGE, f"the body exceeds {self._room} bytes")
