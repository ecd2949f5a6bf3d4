"""Mounted applications within the chain of middleware, with the errors of services."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Protocol

from kratos.errors import Error
from kratos.transport import Call, Operation
from kratos.transport.cause import Cause
from kratos.transport.http import Endpoint, Head, Reply, Socket, Streamed, Wire, WireHeaders
from kratos_http._choice import Choosing
from kratos_http._handshake import asks
from kratos_http._inbound import Asked, merged
from kratos_http._plain import SENT, Streaming, answered, params_of
from kratos_http._request_body import Upload
from kratos_http._sending import send
from kratos_http._wrapping import WireProxy
from kratos_http.limits import Limits
from kratos_http.request import Request
from kratos_http.rest import RestOptions

__all__ = ["ByKind", "Guarded", "Mountable", "Unguarded"]


class Mountable(Streamed, Protocol):
    """A foreign application as an endpoint."""

    async def talk(self, head: Head, socket: Socket, /) -> None:
        """See ``Upgraded``."""
        ...


class ByKind(Choosing):
    """Chooses between the two faces of a mount: for requests, and for WebSockets.

    Args:
        mount: Has both.
    """

    __slots__ = ("_requests", "_sockets")

    def __init__(self, mount: Mountable) -> None:
        self._requests = _Requests(mount)
        self._sockets = _Sockets(mount)

    def choose(self, head: Head, /) -> Endpoint:
        """See ``Choosing``."""
        return self._sockets if asks(head) else self._requests


class _Requests:
    def __init__(self, mount: Mountable) -> None:
        self.converse = mount.converse


class _Sockets:
    def __init__(self, mount: Mountable) -> None:
        self.talk = mount.talk


class Unguarded:
    """A mount without a chain; the errors that it raises are answered nevertheless.

    Args:
        mount: The application.
        options: How errors are answered.
    """

    def __init__(self, mount: Mountable, options: RestOptions) -> None:
        self._mount = mount
        self._options = options

    async def converse(self, head: Head, wire: Wire, /) -> None:
        """See ``Streamed``."""
        try:
            await self._mount.converse(head, wire)
        except Error as error:
            with suppress(Error):  # the peer has gone, so there is nobody to tell
                await send(wire, self._options.refusal(head, error))

    async def talk(self, head: Head, socket: Socket, /) -> None:
        """See ``Upgraded``."""
        await self._mount.talk(head, socket)


class Guarded:
    """A mount within a chain.

    Args:
        mount: The application.
        options: How errors are answered.
        limits: Of the server.
        max_body: Bytes of the largest body.
    """

    def __init__(
        self, mount: Mountable, options: RestOptions, *, limits: Limits, max_body: int
    ) -> None:
        self.operation: Operation | None = None
        self._mount = mount
        self._options = options
        self._limits = limits
        self._max_body = max_body

    async def innermost(self, call: Call, request: Any) -> Any:
        """Run the application: the end of the chain."""
        call.seal()
        if isinstance(request, _Talking):
            await self._mount.talk(request.head, _AddingSocket(request))
        else:
            assert isinstance(request, Streaming), "made below"
            wire = _AddingWire(request)
            await self._mount.converse(request.head, wire)
            if wire.failure is not None:
                raise wire.failure  # to the application it was a peer that has gone
        return SENT

    async def converse(self, head: Head, wire: Wire, /) -> None:
        """See ``Streamed``."""
        operation, asked, call = self._begin(head)
        upload = Upload(wire, head, limit=self._max_body, limits=self._limits)
        params = params_of(("path",), head)
        request = Streaming(head, call, params, upload.read, wire, self._options)
        reply = await answered(operation, request, asked, self._options)
        if reply is not None:
            with suppress(Error):  # the peer has gone, so there is nobody to tell
                await send(wire, reply)

    async def talk(self, head: Head, socket: Socket, /) -> None:
        """See ``Upgraded``."""
        operation, asked, call = self._begin(head)
        request = _Talking(head, call, params_of(("path",), head), _nothing)
        request.socket, request.accepted = socket, False
        reply = await answered(operation, request, asked, self._options)
        if reply is not None and not request.accepted:
            with suppress(Error):
                await socket.refuse(reply)

    def _begin(self, head: Head) -> tuple[Operation, Asked, Call]:
        assert self.operation is not None, "linked before anything is served"
        asked = Asked(head)
        call = asked.call(self.operation.method, self._options.endpoint, None)
        return self.operation, asked, call


class _Talking(Request):
    """The handshake of a WebSocket, as a chain sees it."""

    __slots__ = ("accepted", "socket")

    socket: Socket
    accepted: bool


async def _nothing() -> bytes:
    return b""


class _AddingWire(WireProxy):
    """A wire whose answer has the headers of the call.

    Attributes:
        failure: Why the answer could not begin, if it could not.
    """

    def __init__(self, request: Streaming) -> None:
        super().__init__(request.wire)
        self.failure: Exception | None = None
        self._request = request
        self._waiting: tuple[int, WireHeaders] | None = None

    def start(self, status: int, headers: WireHeaders, /) -> None:
        """See ``Wire``."""
        if self._request.has_hooks:
            self._waiting = (status, headers)  # they may add headers, and have to be awaited
        else:
            self._start(status, headers)

    async def write(self, data: bytes, /) -> None:
        """See ``Wire``."""
        await self._begin()
        await self._wire.write(data)

    async def finish(self, trailers: WireHeaders = (), /) -> None:
        """See ``Wire``."""
        await self._begin()
        await self._wire.finish([*trailers, *self._request.call.trailers.raw()])

    def reset(self, cause: Cause, /) -> None:
        """See ``Wire``; an answer that has not begun is still the chain's."""
        if self._request.began:
            self._wire.reset(cause)

    async def _begin(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            try:
                await self._request.run_hooks()
                self._start(*waiting)
            except Exception as error:
                self.failure = error
                raise

    def _start(self, status: int, headers: WireHeaders) -> None:
        added = self._request.call.reply_headers
        self._wire.start(status, merged(headers, added.raw()))
        self._request.began = True
        added.freeze()


class _AddingSocket:
    """A ``Socket`` whose handshake is answered with the headers of the call."""

    def __init__(self, request: _Talking) -> None:
        self._request = request
        self._socket = request.socket

    @property
    def close_code(self) -> int | None:
        return self._socket.close_code

    @property
    def newest(self) -> str | bytes | None:
        return self._socket.newest

    async def accept(self, headers: WireHeaders = ()) -> None:
        added = await self._added()
        await self._socket.accept(merged(headers, added))
        self._request.accepted = True

    async def refuse(self, reply: Reply, /) -> None:
        added = await self._added()
        reply = Reply(reply.status, merged(reply.headers, added), reply.body)
        await self._socket.refuse(reply)
        self._request.accepted = True  # at any rate nothing is to be said any more

    async def receive(self) -> str | bytes | None:
        return await self._socket.receive()

    async def send(self, message: str | bytes, /) -> None:
        await self._socket.send(message)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._socket.close(code, reason)

    async def _added(self) -> WireHeaders:
        await self._request.run_hooks()
        headers = self._request.call.reply_headers
        headers.freeze()
        return headers.raw()
