"""The sending half of a server's HTTP/2 connection: answers, and the end."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Final

from kratos.transport.cause import Cause
from kratos.transport.http import Reply
from kratos_http._answering import internal
from kratos_http._format import BODILESS, has_body
from kratos_http._http2_exchange import Exchange
from kratos_http._http2_lingering import Lingering
from kratos_http._http2_replies import CONTINUE, ReplyBlocks, length_field, trailer_block
from kratos_http._http2_unsent import Unsent
from kratos_http._http2_uploads import Uploads
from kratos_http._link import SLACK, Link
from kratos_http._refusal import refusal
from kratos_http2 import ErrorCode, ServerConnection, Settings, Stream

if TYPE_CHECKING:
    from kratos_http.conduct import Conduct
    from kratos_http.engine import Engine
    from kratos_http.limits import Limits

__all__ = ["Http2Answering"]

_log = logging.getLogger("kratos.http")

_RESUMED: Final = 16


class Http2Answering(Link):
    """Answers requests as their answers become ready.

    All that is sent within one turn of the event loop leaves in one write.

    Attributes:
        h2: The protocol itself.
        replies: Header blocks of answers.
        spawn: Runs the answering of a request, which may be done when this returns.
        uploads: Bodies that are read whole.
    """

    __slots__ = (
        "_advancing",
        "_conduct",
        "_deaf",
        "_due",
        "_exchanges",
        "_gathering",
        "_leave_by",
        "_leaving",
        "_lingering",
        "_loop",
        "_ready",
        "_resumed",
        "_since",
        "_slow",
        "_turn",
        "_waiting",
        "h2",
        "replies",
        "spawn",
        "uploads",
    )

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        limits = engine.limits
        self.h2 = self._protocol(
            Settings(
                max_streams=limits.max_streams,
                stream_window=limits.stream_window,
                connection_window=limits.connection_window,
                by_stream=True,  # a handler that does not read holds up nobody else
                max_unread=limits.max_bodies,
                max_header_list=limits.max_head,
                enable_connect=True,
            )
        )
        self.replies: ReplyBlocks = engine.replies
        self.uploads = Uploads(limits.max_bodies)
        self._loop = asyncio.get_running_loop()
        self._turn = engine.turn
        self.spawn = self._turn.starter.start
        self._gathering = False  # what came is being read, and what follows is for later
        self._ready: list[Exchange] = []  # to be started
        self._due = False  # something is to be written
        self._advancing = False
        self._conduct: Conduct | None = None
        self._exchanges: set[Exchange] = set()
        self._waiting: deque[Exchange] = deque()  # for the peer to take what it was sent
        self._resumed: set[Exchange] = set()  # those that did, and are not answered
        self._slow = Unsent(limits)
        self._lingering = Lingering(self.h2, limits)
        self._since = engine.now  # when something last happened
        self._deaf = False  # what still comes is dropped
        self._leaving = False  # the peer was sent away
        self._leave_by = 0.0  # when it must have heard of that

    @abstractmethod
    def _protocol(self, settings: Settings) -> ServerConnection:
        """Return the protocol, which calls this connection."""

    # Called by the transport.

    def pause_writing(self) -> None:
        """Note that the peer is slow."""
        super().pause_writing()
        self.h2.hold()

    def resume_writing(self) -> None:
        """Go on: the peer has taken enough."""
        self._stalled = None
        self.h2.resume()
        self.flush()
        self._advance()

    # Called by exchanges and their wires.

    @property
    def now(self) -> float:
        """The engine's notion of now."""
        return self._engine.now

    @property
    def lost(self) -> bool:
        """Whether there is nobody to answer."""
        return self._transport is None

    @property
    def limits(self) -> Limits:
        """What peers may do."""
        return self._limits

    def note(self, exchange: Exchange) -> None:
        """Note that a request is under way."""
        self._exchanges.add(exchange)
        self._engine.requests += 1

    def begin(self, exchange: Exchange) -> None:
        """Start an exchange, once what came is read, and the peer takes what it was sent."""
        self._ready.append(exchange)
        if not self._gathering:
            self.begin_ready()

    def say(self, stream: Stream, method: str, reply: Reply) -> None:
        """Send a whole answer."""
        if stream.closed or self._transport is None:
            return
        try:
            self._say(stream, method, reply)
        except ValueError:
            _log.exception("an answer with status %d could not be sent", reply.status)
            self._say(stream, method, refusal(internal()))
        self.note_answer()
        self.settle(stream)

    def settle(self, stream: Stream) -> None:
        """Look after an answer that was given: that its peer takes it, and stops sending."""
        if stream.pending:
            self.watch(stream)
        elif not stream.closed:
            self._lingering.add(stream, self._engine.now)

    def watch(self, stream: Stream) -> None:
        """See to it that the peer takes what waits on a stream."""
        self._slow.watch(stream, self._engine.now)

    def note_answer(self) -> None:
        """Note that something of an answer was sent; that may be the last one."""
        if self._conduct is not None:
            self._conduct.on_answer()
        if self._engine.leaving:
            self.leave()

    def send_continue(self, stream: Stream) -> None:
        """Ask for a body."""
        self.h2.send_headers(stream, CONTINUE, interim=True)

    def refuse(self, exchange: Exchange, reply: Reply) -> None:
        """Answer a request whose endpoint does not get it."""
        self._drop(exchange)
        self.say(exchange.stream, exchange.head.method, reply)

    def forget(self, exchange: Exchange) -> None:
        """Note that an exchange has ended."""
        self._drop(exchange)
        self._since = self._engine.now
        if self._transport is None:
            if not self._exchanges:
                self._engine.forget(self)
        elif self._leaving:
            self._end_if_done()

    # Called by what all connections do together.

    def begin_ready(self) -> None:
        """Start the requests that have come."""
        ready, self._ready = self._ready, []
        exchanges, waiting = self._exchanges, self._waiting
        for exchange in ready:
            if exchange not in exchanges:  # it was broken off meanwhile
                continue
            if waiting or not self._may_begin():
                waiting.append(exchange)
            else:
                exchange.start()

    def flush(self) -> None:
        """Write what there is to write."""
        transport = self._transport
        if transport is None or self._deaf or self._stalled is not None:
            return
        data = self.h2.take()
        if data and not transport.is_closing():
            transport.write(data)

    # Called by the engine, and by what conducts the connection.

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way, and all answers are sent."""
        return not (self._exchanges or self.h2.streams)

    @property
    def idle_since(self) -> float | None:
        """The loop's time since when nothing happens; ``None`` if something does."""
        if self._deaf or self._leaving or self._transport is None:
            return None
        return self._since if self.is_idle else None

    def leave(self) -> None:
        """Send the peer elsewhere, and close when its requests are answered. Idempotent.

        It hears of it twice: first that there is something, then, one round trip later, which of
        its requests is the last one. So none that was on its way is lost.
        """
        if self._leaving or self._deaf or self._transport is None:
            return
        self._leaving = True
        self._leave_by = self._engine.now + self._limits.linger + SLACK
        self.h2.drain()

    def drain(self) -> None:
        """Take no new requests, and close when those that came are answered."""
        self.leave()

    def close_idle(self) -> None:
        """Make room for another one."""
        if self.is_idle:
            self.leave()

    def expel(self, why: bytes, /) -> None:
        """End the connection with ENHANCE_YOUR_CALM, and say why."""
        if not self._deaf:
            self._engine.note_offence(self, "conduct", why.decode())
            self.h2.goaway(ErrorCode.ENHANCE_YOUR_CALM, why)
            self._close(midway=True)

    def cancel(self, cause: Cause, /) -> None:
        """Cancel every request that is under way."""
        for exchange in tuple(self._exchanges):
            exchange.cancel(cause)

    def cut(self) -> None:
        """End at once, whatever is going on."""
        self.cancel(Cause.DRAINING)
        self.abort()

    def _may_begin(self) -> bool:
        return self._stalled is None and not self._slow.full

    def _advance(self) -> None:
        """Start what waited for the peer to take what it was sent; a few, as all may be large."""
        if self._advancing:
            return  # one that was started has ended already
        self._advancing = True
        while self._waiting and len(self._resumed) < _RESUMED and self._may_begin():
            exchange = self._waiting.popleft()
            if not exchange.stream.closed:
                self._resumed.add(exchange)
                exchange.start()
        self._advancing = False

    def _drop(self, exchange: Exchange) -> None:
        exchange.drop()
        if exchange in self._exchanges:
            self._exchanges.remove(exchange)
            self._engine.requests -= 1
        if self._resumed:
            self._resumed.discard(exchange)
        if self._waiting:
            self._advance()

    def _say(self, stream: Stream, method: str, reply: Reply) -> None:
        status, body, trailers = reply.status, reply.body, reply.trailers
        block = self.replies.block(status, reply.headers)
        if has_body(method, status):
            if trailers:
                self.h2.answer(stream, block, body, trailer_block(trailers))
            else:
                self.h2.answer(stream, block + length_field(len(body)), body)
        else:
            if status not in BODILESS:
                block += length_field(len(body))
            self.h2.send_headers(stream, block, end=True)

    def _act(self) -> None:
        """Do what follows from what came: at once, or together with other connections."""
        turn = self._turn
        if turn.latest is self:
            if self._ready:
                self._gathering = True  # what is to be written
                turn.begin(self)
                self._gathering = False
            if self._due:
                self._due = False
                self.flush()
            return
        turn.latest = self
        if self._ready:
            turn.begin_soon(self)
        if self._due:
            self._due = False
            turn.flush_soon(self)

    def _lose_all(self) -> None:
        for exchange in tuple(self._exchanges):
            exchange.lose()

    def _end_if_done(self) -> None:
        if self.h2.sent_away and self.is_idle and not self._deaf:
            self._close(midway=False)

    def _close(self, *, midway: bool) -> None:
        """Write what there is, and close."""
        transport = self._transport
        if self._deaf or transport is None:
            return
        self._deaf = True
        self._slow.clear()
        self._lingering.clear()
        self._waiting.clear()
        self._ready.clear()
        data = self.h2.take()
        if data and not transport.is_closing():
            transport.write(data)
        self._lose_all()
        self._hang_up(transport, midway=midway)
