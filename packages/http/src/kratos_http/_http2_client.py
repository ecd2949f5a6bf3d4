"""One HTTP/2 connection of a client: many requests at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, cast

from kratos_http._exchange import Lost, TooLarge, lost
from kratos_http._http2_errors import Refused, Reset, SpeaksHttp1, code_name, farewell, not_http2
from kratos_http._http2_resets import Resets
from kratos_http2 import (
    ClientConnection,
    ErrorCode,
    HeaderBlock,
    Http2Error,
    Limits,
    Settings,
    Stream,
)

__all__ = ["ConnectionOptions", "Http2ClientConnection", "Owner"]

_PING: Final = b"\x00alive?\x00"
_LEAST_WAIT: Final = 0.01  # seconds
_BRIEF: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """How connections are kept. Times are in seconds.

    Attributes:
        connect_timeout: To connect, proxy, TLS and the server's settings included.
        max_backoff: Between two attempts to connect.
        idle_timeout: For which a connection without requests is kept; ``None`` for as long as
            the server likes.
        keepalive: Without news from the server, while requests are in flight, after which it is
            pinged; ``None`` for never.
        keepalive_timeout: For anything to come after a ping.
        max_head: Bytes of the headers, or of the trailers, of an answer.
        resets: Requests that may be given up at once on one connection, which servers would take
            for an attack if they were too many. When half of them were, another connection takes
            its place; when all were, further ones wait. ``None`` for no bound.
        resets_per_second: How many more may be each second.
        settings: What the server is told; ``max_header_list`` is ``max_head``.
        limits: What the server may do.
    """

    connect_timeout: float = 5.0
    max_backoff: float = 5.0
    idle_timeout: float | None = None
    keepalive: float | None = None
    keepalive_timeout: float = 20.0
    max_head: int = 64 * 1024
    resets: int | None = None
    resets_per_second: float = 3.0
    settings: Settings = field(default_factory=lambda: Settings(by_stream=True))
    limits: Limits = field(default_factory=Limits)


class Owner(Protocol):
    """Who made a request. Called within the connection; must not raise."""

    def on_headers(self, stream: Stream, block: HeaderBlock, /) -> None:
        """The answer began. Interim answers are not told."""
        ...

    def on_data(self, stream: Stream, data: bytes, /) -> None:
        """A piece of the body came."""
        ...

    def on_trailers(self, stream: Stream, block: HeaderBlock, /) -> None:
        """The body ended with trailers."""
        ...

    def on_room(self, stream: Stream, /) -> None:
        """All that was pending is on its way."""
        ...

    def on_failure(self, stream: Stream, error: Exception, /) -> None:
        """The stream is closed, before its time."""
        ...


class Http2ClientConnection(asyncio.Protocol):
    """A connection to a server.

    All that is written within one turn of the event loop leaves in one piece.

    Args:
        options: How it is kept.
        left: Told once, when it takes no more requests.
        worn: Told, again and again, when it should be left for another one.
        other: Makes the protocol that takes the transport over if the server does not choose
            HTTP/2; ``None`` if that is an error.

    Attributes:
        core: The protocol.
        failure: Why it was lost; ``None`` while it was not.
    """

    def __init__(
        self,
        options: ConnectionOptions,
        left: Callable[[Http2ClientConnection], None] | None = None,
        *,
        worn: Callable[[Http2ClientConnection], None] | None = None,
        other: Callable[[], asyncio.Protocol] | None = None,
    ) -> None:
        settings = replace(options.settings, max_header_list=options.max_head)
        self.core = ClientConnection(self, settings=settings, limits=options.limits)
        self.failure: Exception | None = None
        self.loop = asyncio.get_running_loop()
        self._options = options
        self._left = left
        self._worn = worn
        self._other = other
        self._transport: asyncio.Transport | None = None
        self._open = False  # the server has said its settings, and neither side has left
        self._begun = False  # anything came
        self._early = b""  # what came before there was a transport
        self._settled: asyncio.Future[None] = self.loop.create_future()
        self._settled.add_done_callback(_seen)
        self._flushing = False
        self._held = False
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._granted = 0  # turns that were given, and are not taken yet
        self._farewell = ""
        self._code: int = ErrorCode.NO_ERROR
        self._made = self._heard = self._used = self.loop.time()
        self._useful = False  # it has answered something
        self._pinged = False
        self._watch: asyncio.TimerHandle | None = None
        self._empty: asyncio.Future[None] | None = None
        self._resets: Resets | None = None
        if options.resets is not None:
            self._resets = Resets(
                burst=options.resets,
                per_second=options.resets_per_second,
                reset=self._reset,
                loop=self.loop,
            )

    @property
    def connected(self) -> bool:
        """Whether there is a transport."""
        return self._transport is not None

    @property
    def usable(self) -> bool:
        """Whether it takes new requests, now or when others have ended."""
        return self._open and self.core.usable

    @property
    def brief(self) -> bool:
        """Whether it stands for a moment only, and has answered nothing."""
        return not self._useful and self.loop.time() - self._made < _BRIEF

    @property
    def free(self) -> bool:
        """Whether a request can begin at once."""
        return self._open and not self._waiting and self.core.room > self._granted

    @property
    def busy(self) -> int:
        """How many requests are in flight."""
        return len(self.core.streams)

    async def settle(self) -> None:
        """Wait until the server has said its settings, before which nothing is known of it.

        Raises:
            Lost: It did not.
        """
        await asyncio.shield(self._settled)

    async def room(self) -> None:
        """Wait until a request can begin; begin it before awaiting anything else.

        Whoever came first is served first.

        Raises:
            Refused: The connection takes no more requests.

        Cancellation: leaves the turn to the next.
        """
        if self.free:
            return
        while True:
            if not self.usable:
                raise self._refusal()
            turn = self.loop.create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled() and turn.exception() is None:
                    self._granted -= 1
                    self._grant()
                raise
            self._granted -= 1
            if self.core.room and self.usable:
                if self._waiting:
                    self.loop.call_soon(self._after)  # it may find that it has nothing to begin
                return

    def begin(self, block: bytes, owner: Owner, *, no_body: bool = False) -> Stream:
        """Begin a request, whose body follows; there has to be room.

        Args:
            block: Its header section, from ``encode_fields``.
            owner: Is told of the answer.
            no_body: Whether the answer has no body whatever it says, as to HEAD.
        """
        self._used = self.loop.time()
        return self.core.request(block, owner=owner, no_body=no_body)

    def ask(self, block: bytes, data: bytes, owner: Owner, *, no_body: bool = False) -> Stream:
        """Send a whole request; there has to be room. See ``begin``."""
        self._used = self.loop.time()
        return self.core.ask(block, data, owner=owner, no_body=no_body)

    def reset(self, stream: Stream, code: int = ErrorCode.CANCEL) -> None:
        """Break a stream off, unless it is closed; its owner is not told."""
        if stream.closed:
            return
        stream.owner = None
        if self._resets is None:
            self._reset(stream, code)
            return
        self._resets.take(stream, code)
        if not self._open:
            self._after()
        elif self._resets.worn and self._worn is not None:
            self._worn(self)

    def leave(self) -> None:
        """Take no more requests, and close when those under way have ended. Idempotent."""
        self._useful = True  # it is not the server who leaves
        if self._open:
            self._say_left()
            self._after()

    async def drained(self) -> None:
        """Wait until no request is in flight."""
        while self.core.streams and self.failure is None:
            if self._empty is None:
                self._empty = self.loop.create_future()
            await asyncio.shield(self._empty)

    def close(self, problem: str = "the connection was closed") -> None:
        """Say goodbye, and close; requests in flight are lost. Idempotent."""
        transport = self._transport
        if transport is not None and self.failure is None:
            if self.core.fault is None:
                self.core.goaway()
            self._hang_up(transport)
        self._lose(Lost(problem, begun=True))

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to speak."""
        self._transport = cast("asyncio.Transport", transport)
        tls: Any = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            if self._other is not None:
                self._step_aside(self._transport, self._other())
                return
            self._lose(Lost("the server does not offer HTTP/2 by ALPN", begun=False, sent=False))
            self._transport.abort()
            return
        self.core.start()
        early, self._early = self._early, b""
        if early:
            self.data_received(early)

    def data_received(self, data: bytes) -> None:
        """Read what the server sent."""
        if self._transport is None:
            self._early += data  # servers speak first, and behind a proxy before we are told
            return
        if not self._begun:
            self._begun = True
            problem = not_http2(data)
            if problem:
                self._lose(Lost(problem, begun=False))
                self._abort()
                return
        self._heard = self.loop.time()
        self._pinged = False
        self.core.receive(data)
        self._after()

    def pause_writing(self) -> None:
        """Keep bodies back: the server is slow."""
        self._held = True
        self.core.hold()

    def resume_writing(self) -> None:
        """Go on: the server has taken enough."""
        self._held = False
        self.core.resume()
        self.on_output()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is in flight."""
        self._transport = None
        self._lose(lost(exc, begun=self._begun))

    # Called by the protocol.

    def on_output(self) -> None:
        """Write, once this turn of the loop is over."""
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self._flush)

    def on_headers(self, stream: Stream, block: HeaderBlock, /) -> None:
        """Pass the head of an answer on."""
        if block.status[:1] == b"1":
            return  # how many there may be is the protocol's to say
        self._useful = True
        if block.size > self._options.max_head:
            self._refuse(stream, TooLarge(f"its head exceeds {self._options.max_head} bytes"))
        elif stream.owner is not None:
            stream.owner.on_headers(stream, block)

    def on_data(self, stream: Stream, data: bytes, /) -> None:
        """Pass a piece of a body on."""
        if stream.owner is not None:
            stream.owner.on_data(stream, data)

    def on_trailers(self, stream: Stream, block: HeaderBlock, /) -> None:
        """Pass trailers on."""
        if block.size > self._options.max_head:
            self._refuse(stream, TooLarge(f"its trailers exceed {self._options.max_head} bytes"))
        elif stream.owner is not None:
            stream.owner.on_trailers(stream, block)

    def on_reset(self, stream: Stream, code: int, /) -> None:
        """Tell the owner that the server gave up."""
        if stream.owner is None:
            return
        if code == ErrorCode.REFUSED_STREAM and not stream.answered:
            text = self._farewell or "the server refused the request"
            error: Lost = Refused(text, self._code if self._farewell else code)
        else:
            when = "before the answer was complete" if stream.answered else "before an answer came"
            text = f"the server reset the request ({code_name(code)}) {when}"
            error = Reset(text, code, begun=stream.answered)
        stream.owner.on_failure(stream, error)

    def on_stream_error(self, stream: Stream, error: Http2Error, /) -> None:
        """Tell the owner that the server was at fault."""
        if stream.owner is not None:
            text = f"the answer is malformed: {error.message}"
            stream.owner.on_failure(stream, Reset(text, error.code, begun=True))

    def on_room(self, stream: Stream, /) -> None:
        """Tell the owner that it may go on."""
        if stream.owner is not None:
            stream.owner.on_room(stream)

    def on_settings(self) -> None:
        """The server is there."""
        if not self._settled.done():
            self._settled.set_result(None)
            self._open = True
            self._look()

    def on_ping(self, payload: bytes, /) -> None:
        """The server asked whether we are there, which is answered."""

    def on_pong(self, payload: bytes, /) -> None:
        """Note that the server is there, as any news says, and when to ask again."""
        if payload == _PING and self._watch is not None:
            self._watch.cancel()
            self._look()

    def on_goaway(self, last: int, code: int, debug: bytes, /) -> None:
        """Go on without the server, once what it took on has ended."""
        self._farewell = farewell(code, debug)
        self._code = code
        self._say_left()

    def on_fault(self, error: Http2Error, /) -> None:
        """Leave a server that does not keep to the protocol."""
        transport = self._transport
        if transport is not None:
            self._hang_up(transport)
        self._lose(Lost(f"the server broke HTTP/2: {error.message}", begun=True))

    # Its own.

    def _flush(self) -> None:
        self._flushing = False
        self._write()
        self._after()  # what was answered already ends with the last of what was sent

    def _write(self) -> None:
        transport = self._transport
        if transport is None or self._held:
            return
        data = self.core.take()
        if data:
            transport.write(data)

    def _step_aside(self, transport: asyncio.Transport, other: asyncio.Protocol) -> None:
        """Leave the transport to another protocol."""
        self._transport = None
        transport.set_protocol(other)
        other.connection_made(transport)
        self._lose(SpeaksHttp1())

    def _hang_up(self, transport: asyncio.Transport) -> None:
        """Write what there is to say at last, and close."""
        self._write()
        # What the server does not take would keep it open, and so would the farewell of TLS.
        if transport.get_write_buffer_size() or transport.get_extra_info("sslcontext"):
            transport.abort()
        else:
            transport.close()

    def _after(self) -> None:
        """See to what the end of streams makes possible."""
        if self._waiting:
            self._grant()
        if self.core.streams:
            if not self._open and self._resets is not None:
                self._end_if_given_up(self._resets)
            return
        if self._empty is not None and not self._empty.done():
            self._empty.set_result(None)
            self._empty = None
        if not self.usable and self.failure is None and self._settled.done():
            self.close(self._farewell or "the connection has come to its end")

    def _reset(self, stream: Stream, code: int) -> None:
        self.core.reset(stream, code)
        self._after()

    def _end_if_given_up(self, resets: Resets) -> None:
        """Close, which ends all requests at once, where only those are left whose reset waits."""
        if self.failure is None and resets.covers(len(self.core.streams)):
            self.close("what is left of its requests was given up")

    def _grant(self) -> None:
        if not self.usable:
            self._turn_away()
            return
        while self._waiting and self.core.room > self._granted:
            turn = self._waiting.popleft()
            if not turn.done():
                self._granted += 1
                turn.set_result(None)

    def _turn_away(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                self._granted += 1  # as if it were given: whoever waits takes it back
                turn.set_result(None)

    def _refusal(self) -> Refused:
        return Refused(self._farewell or str(self.failure or "the connection has ended"))

    def _refuse(self, stream: Stream, error: Exception) -> None:
        owner = stream.owner
        stream.owner = None
        self.core.reset(stream, ErrorCode.CANCEL)
        if owner is not None:
            owner.on_failure(stream, error)

    def _say_left(self) -> None:
        self._open = False
        left, self._left = self._left, None
        if left is not None:
            left(self)
        self._turn_away()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _lose(self, error: Exception) -> None:
        """Fail everything."""
        if self.failure is not None:
            return
        self.failure = error
        if self._resets is not None:
            self._resets.stop()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if not self._settled.done():
            self._settled.set_exception(error)
        said = f"{self._farewell}; {error}" if self._farewell else str(error)
        for stream in tuple(self.core.streams.values()):
            stream.closed = True
            owner, stream.owner = stream.owner, None
            if owner is not None:
                owner.on_failure(stream, Lost(said, begun=stream.answered))
        self.core.streams.clear()
        self._say_left()
        if self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    def _look(self) -> None:
        """See whether the server still is there, and whether anybody needs it."""
        self._watch = None
        options, now = self._options, self.loop.time()
        waits: list[float] = []
        if self.core.streams:
            self._used = now
        if options.idle_timeout is not None:
            idle = now - self._used
            if idle >= options.idle_timeout:
                self.close("the connection was idle")
                return
            waits.append(options.idle_timeout - idle)
        if options.keepalive is not None:
            quiet = now - self._heard
            if self._pinged and quiet >= options.keepalive_timeout:
                self._lose(
                    Lost(f"nothing came {options.keepalive_timeout:g} s after a ping", begun=True)
                )
                self._abort()
                return
            if self._pinged:
                waits.append(options.keepalive_timeout)
            elif quiet < options.keepalive:
                waits.append(options.keepalive - quiet)
            elif self.core.streams:
                self._pinged = True
                self._heard = now
                self.core.ping(_PING)
                waits.append(options.keepalive_timeout)
            else:  # nobody waits for news; whoever will do so is asked for in as long a time
                waits.append(options.keepalive)
        if waits:
            self._watch = self.loop.call_later(max(_LEAST_WAIT, min(waits)), self._look)


def _seen(settled: asyncio.Future[None]) -> None:
    """Keep quiet about a failure that nobody waits for: requests tell it."""
    if not settled.cancelled():
        settled.exception()
