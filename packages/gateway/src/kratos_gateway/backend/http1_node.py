"""The connections of HTTP/1.1 to one node: a bounded number, kept for the next request."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, cast

from kratos_gateway.backend._options import ConnectOptions
from kratos_gateway.backend._unreachable import Unreachable, because
from kratos_gateway.backend._writing import head_of
from kratos_gateway.backend.http1 import Http1Connection
from kratos_gateway.exchange import Answer, Request
from kratos_gateway.retries import is_idempotent
from kratos_http.carrier import Lost
from kratos_http.http2 import Dialer
from kratos_http.room import Queue

__all__ = ["Http1Node"]

_MOST_NEW: Final = 2  # connections that are opened for one attempt
_CLOSED: Final = "the connections to the node are closed"


class Http1Node:
    """A ``NodeConnection`` over HTTP/1.1.

    Args:
        dialer: Opens connections.
        options: How they are made and kept.
    """

    def __init__(self, dialer: Dialer, options: ConnectOptions) -> None:
        self._dialer = dialer
        self._options = options
        self._idle: list[Http1Connection] = []
        self._all: set[Http1Connection] = set()
        self._opening = 0
        self._waiting = Queue()
        self._timer: asyncio.TimerHandle | None = None
        self._quiet: asyncio.Event | None = None
        self._closed = False

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._all)

    @property
    def busy(self) -> int:
        """How many of them carry a request, or are being opened."""
        return len(self._all) - len(self._idle) + self._opening

    async def send(self, request: Request, host: str) -> Answer:
        """Send a request; see ``NodeConnection``.

        A kept connection may have been closed by the node meanwhile. If nothing of an answer came
        on it, the request is sent once more, if that cannot do anything twice. So may a new one
        have been, by a node that has too many; then nothing was sent, and another one is opened.
        """
        body = request.body
        head, length = head_of(request, host)
        head_only = request.method == "HEAD"
        connection = self._kept()
        if connection is not None:
            try:
                return await connection.exchange(head, body, length=length, head_only=head_only)
            except Lost as error:
                again = isinstance(body, bytes) and is_idempotent(request.method)
                if error.begun or (error.sent and not again):
                    raise
        for _ in range(_MOST_NEW):
            connection = await self._fresh()
            try:
                return await connection.exchange(head, body, length=length, head_only=head_only)
            except Lost as error:
                if error.sent:
                    raise
        raise Unreachable("the node closes connections before they are used")

    async def aclose(self, *, drain: float = 0.0) -> None:
        """Let requests under way end, then close; see ``NodeConnection``."""
        self._quiet = asyncio.Event()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(drain):
                    while self.busy:
                        self._quiet.clear()
                        await self._quiet.wait()
        finally:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
            closing = tuple(self._all)
            for connection in closing:
                connection.close()
            self._all.clear()
            self._idle.clear()
            self._waiting.wake_all()
        for connection in closing:
            await connection.wait_closed()

    def successor(self) -> asyncio.Protocol:
        """Return what takes over a connection that another protocol has opened."""
        return _Adopted(Http1Connection(max_head=self._options.max_head, freed=self._freed), self)

    def adopt(self, connection: Http1Connection) -> None:
        """Keep a connection for the next request."""
        if self._closed:
            connection.close()
            return
        self._all.add(connection)
        self._freed(connection)

    def _kept(self) -> Http1Connection | None:
        while self._idle:
            connection = self._idle.pop()  # the newest: the others may grow old and go
            if connection.reusable:
                return connection
        return None

    async def _fresh(self) -> Http1Connection:
        """Return a new connection, or one that was freed while there were too many."""
        while len(self._all) + self._opening >= self._options.max_connections:
            await self._waiting.wait()
            if self._closed:
                break
            connection = self._kept()
            if connection is not None:
                return connection
        if self._closed:
            raise Unreachable(_CLOSED)
        return await self._dial()

    async def _dial(self) -> Http1Connection:
        seconds = self._options.dial_timeout
        made: list[Http1Connection] = []

        def make() -> Http1Connection:
            made.append(Http1Connection(max_head=self._options.max_head, freed=self._freed))
            return made[-1]

        self._opening += 1
        try:
            async with asyncio.timeout(seconds):
                connection = await self._dialer.open(make, through=True)
        except BaseException as error:
            for given_up in made:
                given_up.close()  # the event loop does it, too, but with TLS it waits for the node
            if isinstance(error, TimeoutError):
                raise Unreachable(f"no connection within {seconds:g} s") from error
            if isinstance(error, OSError):
                raise because(error) from error
            raise
        finally:
            self._opening -= 1
            self._wake()
        if self._closed:
            connection.close()
            raise Unreachable(_CLOSED)
        if connection.reusable:  # else the node has closed it again already
            self._all.add(connection)
        return connection

    def _freed(self, connection: Http1Connection) -> None:
        if not connection.reusable:
            self._all.discard(connection)
            with suppress(ValueError):
                self._idle.remove(connection)
        elif connection in self._all:
            self._idle.append(connection)
            if self._timer is None:
                self._schedule()
        self._wake()

    def _wake(self) -> None:
        if self._quiet is not None and not self.busy:
            self._quiet.set()
        self._waiting.wake()

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._options.idle_timeout, self._expire)

    def _expire(self) -> None:
        """Close what was not used for too long."""
        self._timer = None
        oldest = asyncio.get_running_loop().time() - self._options.idle_timeout
        for connection in tuple(self._idle):
            if connection.idle_since <= oldest:
                self._idle.remove(connection)
                self._all.discard(connection)
                connection.close()
        if self._idle:
            self._schedule()


class _Adopted(asyncio.Protocol):
    """Hands a transport on to a connection, and that to its node."""

    def __init__(self, connection: Http1Connection, node: Http1Node) -> None:
        self._connection = connection
        self._node = node

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).set_protocol(self._connection)
        self._connection.connection_made(transport)
        self._node.adopt(self._connection)
