"""One HTTP/1.1 connection: requests as they come, answers in the same order, time limits."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from kratos.errors import Error
from kratos.transport.cause import Cause
from kratos.transport.http import Buffered, Head, Reply, Streamed
from kratos_http._format import CONTINUE, render
from kratos_http._reader import Reader
from kratos_http._refusal import refusal
from kratos_http._wire import ServerWire
from kratos_http.address import peer_name

if TYPE_CHECKING:
    from kratos_http.engine import Engine

__all__ = ["ServerConnection"]

_log = logging.getLogger("kratos.http")

_QUEUED_BYTES: Final = 64 * 1024  # of bodies that wait for their turn before reading pauses
_SLACK: Final = 1.0  # seconds by which the engine's notion of now may lag behind

Answer: TypeAlias = Callable[[Head, bytes], Awaitable[Reply]]


class ServerConnection(asyncio.Protocol):
    """A connection of an ``Engine``.

    A request's turn comes when the answer before it was handed to the transport; until then it
    waits in a queue, and reading pauses when the queue is long.
    """

    __slots__ = (
        "_abort_at",
        "_answer",
        "_begun",
        "_current",
        "_deaf",
        "_engine",
        "_expecting",
        "_head",
        "_in_body",
        "_in_head",
        "_keep",
        "_limits",
        "_paused",
        "_pieces",
        "_queue",
        "_queued",
        "_reader",
        "_received",
        "_room",
        "_since",
        "_stalled",
        "_task",
        "_transport",
        "_unsent",
        "_waiter",
        "_wire",
    )

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._limits = engine.limits
        self._transport: asyncio.Transport | None = None
        self._reader: Reader | None = None
        self._queue: deque[tuple[Callable[[], None], int]] = deque()
        self._queued = 0
        self._task: asyncio.Task[None] | None = None
        self._begun = False  # whether the task has run at all
        self._current: Head | None = None  # of the request that is being answered
        self._head: Head | None = None  # of the request that is being read, and what follows too
        self._keep = True
        self._answer: Answer | None = None
        self._room = 0
        self._pieces: list[bytes] = []
        self._received = 0
        self._expecting = False
        self._wire: ServerWire | None = None
        self._in_head = False
        self._in_body = False
        self._since = engine.now
        self._deaf = False  # what still comes is dropped
        self._paused = False
        self._abort_at: float | None = None  # set when the connection is being closed
        self._stalled: float | None = None  # since when the peer takes nothing
        self._unsent = 0
        self._waiter: asyncio.Future[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way, not even a part of one."""
        return self._task is None and not (self._queue or self._in_head or self._in_body)

    @property
    def writable(self) -> bool:
        """Whether the peer takes what is sent to it."""
        return self._stalled is None

    @property
    def paused(self) -> bool:
        """Whether nothing is read, because enough waits."""
        return self._paused

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read."""
        self._transport = cast("asyncio.Transport", transport)
        self._reader = Reader(
            self,
            self._limits,
            peer=peer_name(transport),
            tls=transport.get_extra_info("sslcontext") is not None,
        )
        self._engine.connections.add(self)
        if self._engine.draining:
            self._close()

    def data_received(self, data: bytes) -> None:
        """Read requests and give them their turns."""
        if self._deaf or self._reader is None:
            return
        try:
            self._reader.feed(data)
        except Error as error:
            self._refuse(error)
        except Exception:
            _log.exception("a request could not be read")
            self._refuse(_internal())

    def eof_received(self) -> None:
        """Take the end of the peer's stream for its going away, as Go does."""
        self._cancel(Cause.PEER_GONE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel what nobody waits for any more."""
        self._transport = None
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._deaf = True
        self._queue.clear()
        if self._wire is not None:
            self._wire.fail(Cause.PEER_GONE.error())
        self._wake()
        if self._task is None:
            self._engine.forget(self)
        else:
            self._cancel(Cause.PEER_GONE)

    def pause_writing(self) -> None:
        """Note that the peer is slow."""
        self._stalled = self._engine.now
        self._unsent = self._buffered()

    def resume_writing(self) -> None:
        """Go on: the peer has taken enough."""
        self._stalled = None
        self._wake()
        if self._task is None:
            self._advance()

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
        endpoint = self._engine.application.route(head)
        answer: Answer | None = getattr(endpoint, "answer", None)
        if answer is not None:
            self._answer = answer
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
        elif hasattr(endpoint, "converse"):
            self._in_body = True
            wire = self._wire = ServerWire(self, head, keep=keep, expects=expects)
            self._give_turn(partial(self._converse_next, cast("Streamed", endpoint), head, wire))
        else:
            raise Error(501, "NOT_IMPLEMENTED", "this server does not upgrade connections")

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
        self._pieces.append(data)

    def on_end(self) -> None:
        """Give the request its turn, or end its body."""
        self._in_body = False
        self._expecting = False
        self._since = self._engine.now
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

    # Called by wires.

    @property
    def date(self) -> bytes:
        """The Date header."""
        return self._engine.date

    def keeps(self, keep: bool, /) -> bool:  # noqa: FBT001
        """Tell whether the present answer may announce that the connection goes on."""
        return keep and (not self._engine.draining or bool(self._queue))

    def send(self, data: bytes) -> None:
        """Write, if there still is somebody to write to."""
        if self._transport is not None and data:
            self._transport.write(data)

    def send_continue(self) -> None:
        """Ask for the body."""
        self.send(CONTINUE)

    async def room(self) -> None:
        """Wait while the peer is slow.

        Raises:
            Error: The peer has gone.
        """
        while self._stalled is not None and self._transport is not None:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self._transport is None:
            raise Cause.PEER_GONE.error()

    def abort(self) -> None:
        """Cut the connection off; nothing more is sent."""
        if self._transport is not None:
            self._transport.abort()

    def regulate(self) -> None:
        """Read while there is room for what comes, and only then."""
        transport = self._transport
        if transport is None or self._deaf:
            return
        full = (
            len(self._queue) >= self._limits.max_pipelined
            or self._queued > _QUEUED_BYTES
            or (self._wire is not None and self._wire.full)
        )
        if full == self._paused:
            return
        self._paused = full
        if full:
            transport.pause_reading()
        else:
            self._since = self._engine.now
            self._engine.detached(transport.resume_reading)

    # Called by the engine.

    def check(self, now: float) -> None:
        """Act on a peer that takes too long."""
        transport = self._transport
        if transport is None:
            return
        if self._abort_at is not None:
            if now > self._abort_at:
                transport.abort()
        elif self._is_stuck(now):
            transport.abort()
        elif not (self._paused or self._deaf):
            self._check_request(now - self._since - _SLACK)

    def _check_request(self, waited: float) -> None:
        limits = self._limits
        if self._in_head:
            if waited > limits.head_timeout:
                self._refuse(Error(408, "REQUEST_TIMEOUT", "the headers took too long"))
        elif self._in_body:
            allowed = limits.body_grace + self._received / limits.min_body_rate
            if self._wire is None and waited > allowed:
                self._refuse(Error(408, "REQUEST_TIMEOUT", "the body came too slowly"))
        elif self.is_idle and waited > limits.idle_timeout:
            self._close()

    def drain(self) -> None:
        """Close the connection as soon as it is idle."""
        if self.is_idle:
            self._close()

    def cut(self) -> None:
        """End at once, whatever is going on."""
        self._cancel(Cause.DRAINING)
        self.abort()

    # Answering.

    def _give_turn(self, turn: Callable[[], None], size: int = 0) -> None:
        self._queue.append((turn, size))
        self._queued += size
        if self._task is None:
            self._advance()
        self.regulate()

    def _advance(self) -> None:
        """Start what is next in line."""
        queue = self._queue
        while queue and self._task is None and self._stalled is None and self._abort_at is None:
            turn, size = queue.popleft()
            self._queued -= size
            turn()
        if self._task is None:
            self._allow_body()
            if self._engine.draining and self.is_idle:
                self._close()
        if self._paused:
            self.regulate()

    def _start(self, answer: Answer, head: Head, body: bytes, keep: bool) -> None:  # noqa: FBT001
        self._current = head
        self._begun = False
        self._task = self._engine.spawn(self._serve(answer, head, body, keep))

    async def _serve(self, answer: Answer, head: Head, body: bytes, keep: bool) -> None:  # noqa: FBT001
        if not self._begin():
            return
        try:
            reply = await answer(head, body)
        except asyncio.CancelledError:
            self._end_badly()
            raise
        except Exception:
            _log.exception("%s %r failed outside of its call", head.method, head.path)
            reply = refusal(_internal())
        self._task = self._current = None
        if self._transport is None:
            self._engine.forget(self)
            return
        self._say(head.method, head.version, reply, keep)
        self._since = self._engine.now
        if self._queue or self._expecting or self._engine.draining:
            self._advance()

    def _say(self, method: str, version: str, reply: Reply, keep: bool) -> None:  # noqa: FBT001
        """Write a whole answer, and close after the last one."""
        transport = self._transport
        if transport is None:
            return
        keep = keep and (not self._engine.draining or bool(self._queue))
        date = self._engine.date
        try:
            pieces = render(reply, method, version=version, keep=keep, date=date)
        except ValueError:
            _log.exception("an answer with status %d could not be sent", reply.status)
            substitute = refusal(_internal())
            pieces = render(substitute, method, version=version, keep=keep, date=date)
        for piece in pieces:
            transport.write(piece)
        if not keep:
            self._close()

    def _converse_next(self, endpoint: Streamed, head: Head, wire: ServerWire) -> None:
        self._current = head
        self._begun = False
        self._task = self._engine.spawn(self._converse(endpoint, head, wire))

    async def _converse(self, endpoint: Streamed, head: Head, wire: ServerWire) -> None:
        if not self._begin():
            return
        try:
            await endpoint.converse(head, wire)
        except asyncio.CancelledError:
            self._end_badly()
            raise
        except Exception:
            _log.exception("%s %r failed outside of its call", head.method, head.path)
        self._task = self._current = None
        if self._transport is None:
            self._engine.forget(self)
            return
        if not wire.started:
            wire.keep = False
            self._say(head.method, head.version, refusal(_internal()), keep=False)
        elif not wire.finished:
            self._transport.abort()
        elif not wire.keep:
            self._close()
        else:
            wire.detach()
            self._since = self._engine.now
            self._advance()
            self.regulate()

    def _begin(self) -> bool:
        """Note that a task runs, and tell whether anybody is there for its answer."""
        self._begun = True
        if self._transport is None:
            self._end_badly()
            return False
        return True

    def _end_badly(self) -> None:
        """Clean up after an endpoint that was cancelled: there is no answer to send."""
        self._task = self._current = None
        if self._transport is None:
            self._engine.forget(self)
        else:
            self._transport.abort()

    # Ending.

    def _refuse(self, error: Error) -> None:
        """Read no further; answer the error in its turn, then close."""
        self._deaf = True
        wire, head = self._wire, self._head
        if wire is not None:
            wire.fail(error)
            if wire.finished and self._task is None and not self._queue:
                self._close()
            return
        method, version = (head.method, head.version) if head is not None else ("", "1.1")
        self._give_turn(partial(self._say, method, version, refusal(error), keep=False))

    def _close(self) -> None:
        """Close once everything is sent; wait a little for a peer that still sends itself."""
        transport = self._transport
        if transport is None or self._abort_at is not None:
            return
        midway = self._in_head or self._in_body or self._deaf
        self._deaf = True
        self._queue.clear()
        if not midway:
            self._abort_at = self._engine.now + self._limits.write_timeout
            transport.close()
            return
        # Closing with unread input resets the connection, and the peer may lose the answer.
        self._abort_at = self._engine.now + self._limits.linger + _SLACK
        if self._paused:
            self._paused = False
            self._engine.detached(transport.resume_reading)
        if transport.can_write_eof():
            transport.write_eof()

    def _cancel(self, cause: Cause) -> None:
        if self._task is None or self._current is None:
            return
        running = self._current.running
        if running is not None:
            running.cancel(cause)
        elif self._begun:  # a task that is cancelled before it runs could not clean up
            self._task.cancel()

    def _allow_body(self) -> None:
        """Send ``100 Continue`` when all earlier answers are out."""
        if self._expecting and self._task is None and not self._queue:
            self._expecting = False
            self.send_continue()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _is_stuck(self, now: float) -> bool:
        if self._stalled is None:
            return False
        buffered = self._buffered()
        if buffered < self._unsent:
            self._unsent, self._stalled = buffered, now
        return now - self._stalled > self._limits.write_timeout

    def _buffered(self) -> int:
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def _too_large(self) -> Error:
        return Error(413, "BODY_TOO_LARGE", f"the body exceeds {self._room} bytes")


def _internal() -> Error:
    return Error(500, "UNKNOWN", "unknown request error")
