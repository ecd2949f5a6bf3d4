"""The connections to one server: a bounded number, kept for the next request."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from kratos.limit import is_cancelled_from_outside
from kratos_http._dial import Dialer
from kratos_http._exchange import ClientConnection, Lost, RawReply
from kratos_http._http2_requests import StreamedRequest
from kratos_http._streaming import StreamConnection
from kratos_http.room import Queue

__all__ = ["ConnectionPool", "PoolOptions"]


C = TypeVar("C", ClientConnection, StreamConnection)

_CLOSED: Final = "the connection to the server is being closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """How connections are made and kept.

    Attributes:
        max_connections: Open at once; further calls wait for one.
        idle_timeout: Seconds for which an unused connection is kept.
        connect_timeout: Seconds to connect, proxy and TLS included.
        max_reply: Bytes of the largest answer.
        max_head: Bytes of an answer without its body.
    """

    max_connections: int
    idle_timeout: float
    connect_timeout: float
    max_reply: int
    max_head: int


class ConnectionPool:
    """Connections to one address.

    Args:
        dialer: Opens them.
        options: How connections are made and kept.

    Attributes:
        healthy: Whether the newest attempt to connect that has ended succeeded, or none has. One
            under way says nothing of those that stand.
    """

    def __init__(self, dialer: Dialer, options: PoolOptions) -> None:
        self.healthy = True
        self._dialer = dialer
        self._options = options
        self._idle: deque[ClientConnection] = deque()
        self._busy: set[ClientConnection | StreamConnection] = set()
        self._opening: set[asyncio.Future[Any]] = set()
        self._left: set[asyncio.Future[Any]] = set()  # of these, those whose callers have left
        self._open = 0  # busy, idle and being opened
        self._waiting = Queue()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._drained = asyncio.Event()

    @property
    def open(self) -> int:
        """How many connections are busy, kept, or being opened."""
        return self._open

    @property
    def kept(self) -> int:
        """How many are kept for the next request."""
        return len(self._idle)

    async def warm(self) -> None:
        """Have a connection that is kept for the next call, unless all are in use.

        Raises:
            OSError: The server cannot be reached.
        """
        connection, _ = await self._take(fresh=not self.healthy)
        self.healthy = True
        self._put(connection)

    async def exchange(
        self, write: Callable[[], bytes], *, repeatable: bool, head_only: bool
    ) -> RawReply:
        """Send a request and return its answer.

        A kept connection may have been closed by the server meanwhile. If no byte of an answer
        came on it, the request is sent once more, on a new connection, provided that doing so
        cannot do anything twice.

        Args:
            write: Returns the whole request, once there is a connection: it tells the time left.
            repeatable: Whether the request may be sent again though the server may have it.
            head_only: Whether the answer has no body, whatever its headers say.

        Raises:
            OSError: The server cannot be reached, or the connection was lost.
            TooLarge: The answer exceeds the limit.
        """
        connection, kept = await self._take(fresh=False)
        try:
            return await self._use(connection, write, head_only=head_only)
        except Lost as error:
            if not kept or error.begun or (error.sent and not repeatable):
                raise
        connection, _ = await self._take(fresh=True)
        return await self._use(connection, write, head_only=head_only)

    def successor(self) -> asyncio.Protocol:
        """Return what takes a transport over that was opened elsewhere; kept for a request."""
        return _Adopted(self._exchanger(), self._adopt)

    def _adopt(self, connection: ClientConnection) -> None:
        self._open += 1
        self.healthy = True
        self._put(connection)

    async def dedicate(self, *, through: bool = False, socket: bool = False) -> StreamConnection:
        """Open a connection for one stream; it counts among those of requests.

        Args:
            through: Whether it leads through a proxy, if there is one, also in plain text.
            socket: Whether it is to become a WebSocket, which is nothing else here.

        Raises:
            OSError: The server cannot be reached.
        """
        await self._room()
        connection = await self._connect(self._streamer, through=through)
        self._busy.add(connection)
        return connection

    def dismiss(self, connection: StreamedRequest) -> None:
        """Close a connection that was dedicated. Idempotent."""
        connection.close()
        if connection in self._busy:
            self._busy.discard(connection)
            self._forget()

    async def aclose(self, *, drain: float) -> None:
        """Refuse new requests, wait for those under way, then cut the rest off. Idempotent.

        Cancellation: cuts off at once.
        """
        self._closed = True
        self._close_idle()
        for opening in tuple(self._left):
            opening.cancel()
        self._waiting.wake_all()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(drain):
                    await self._wait_drained()
        finally:
            for opening in tuple(self._opening):
                opening.cancel()
            for connection in tuple(self._busy):
                connection.close()

    async def _wait_drained(self) -> None:
        while self._open:
            self._drained.clear()
            await self._drained.wait()

    async def _use(
        self, connection: ClientConnection, write: Callable[[], bytes], *, head_only: bool
    ) -> RawReply:
        self._busy.add(connection)
        try:
            return await connection.exchange(write(), head_only=head_only)
        finally:
            self._busy.discard(connection)
            self._put(connection)

    async def _take(self, *, fresh: bool) -> tuple[ClientConnection, bool]:
        """Return a connection, and whether it was kept from an earlier request."""
        while True:
            if self._closed:
                raise ConnectionAbortedError(_CLOSED)
            while self._idle and not fresh:
                connection = self._idle.pop()  # the newest: the others may grow old and go
                if connection.reusable:
                    return connection, True
                self._open -= 1
            if await self._grow(evict=fresh):
                return await self._connect(self._exchanger), False

    async def _room(self) -> None:
        """Wait for leave to open a connection, which is counted then."""
        while not await self._grow(evict=True):
            pass

    async def _grow(self, *, evict: bool) -> bool:
        """Count one connection more, or wait until there may be another way.

        Args:
            evict: Whether an idle one is closed for it.

        Raises:
            ConnectionAbortedError: The pool is being closed.
        """
        if self._closed:
            raise ConnectionAbortedError(_CLOSED)
        if self._open >= self._options.max_connections and evict and self._idle:
            self._idle.popleft().close()
            self._open -= 1
        if self._open < self._options.max_connections:
            self._open += 1
            return True
        await self._waiting.wait()
        return False

    def _exchanger(self) -> ClientConnection:
        return ClientConnection(max_reply=self._options.max_reply, max_head=self._options.max_head)

    def _streamer(self) -> StreamConnection:
        return StreamConnection(max_head=self._options.max_head)

    async def _connect(self, make: Callable[[], C], *, through: bool = False) -> C:
        """Open a connection, which ``_open`` counts already.

        Cancellation: the attempt goes on, without a caller. So it tells of the server what it
        has to tell, and what it gives serves the next request.
        """
        opening = asyncio.ensure_future(self._dial(make, through=through))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            if not is_cancelled_from_outside():
                raise ConnectionAbortedError(_CLOSED) from None
            self._left.add(opening)
            opening.add_done_callback(self._take_in)
            if self._closed:
                opening.cancel()
            raise

    async def _dial(self, make: Callable[[], C], *, through: bool) -> C:
        seconds = self._options.connect_timeout
        made: list[C] = []

        def noted() -> C:
            made.append(make())
            return made[-1]

        try:
            try:
                async with asyncio.timeout(seconds):
                    connection = await self._dialer.open(noted, through=through)
            except BaseException as error:
                # The event loop closes what is given up, but with TLS it waits for the server then.
                for given_up in made:
                    given_up.close()
                if isinstance(error, TimeoutError):
                    raise TimeoutError(f"no connection within {seconds:g} s") from error
                raise
        except Exception:
            self.healthy = False
            self._forget()
            raise
        except asyncio.CancelledError:  # says nothing of the server
            self._forget()
            raise
        self.healthy = True
        return connection

    def _take_in(self, opening: asyncio.Future[Any]) -> None:
        """Keep a connection whose caller has left, if it can be used again."""
        self._left.discard(opening)
        if opening.cancelled() or opening.exception() is not None:
            return
        connection = opening.result()
        if isinstance(connection, ClientConnection):
            self._put(connection)
        else:
            connection.close()
            self._forget()

    def _put(self, connection: ClientConnection) -> None:
        """Keep a connection for the next request, or let it go."""
        if not connection.reusable or self._closed:
            connection.close()
            self._forget()
            return
        self._idle.append(connection)
        self._waiting.wake()
        if self._timer is None:
            self._schedule()

    def _forget(self) -> None:
        self._open -= 1
        self._waiting.wake()
        if not self._open:
            self._drained.set()

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(
            self._options.idle_timeout, self._expire
        )

    def _expire(self) -> None:
        """Close what was not used for too long."""
        self._timer = None
        oldest = asyncio.get_running_loop().time() - self._options.idle_timeout
        while self._idle and (not self._idle[0].reusable or self._idle[0].idle_since <= oldest):
            self._idle.popleft().close()
            self._forget()
        if self._idle:
            self._schedule()

    def _close_idle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._idle:
            self._idle.popleft().abort()
            self._forget()


class _Adopted(asyncio.Protocol):
    """Hands its transport over to a connection, and that to its pool."""

    def __init__(
        self, connection: ClientConnection, adopt: Callable[[ClientConnection], None]
    ) -> None:
        self._connection = connection
        self._adopt = adopt

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).set_protocol(self._connection)
        self._connection.connection_made(transport)
        self._adopt(self._connection)
