"""WebSockets to back ends: the handshake is a request like others, and then messages go both ways.

What the two ends of a tunnel say to each other is passed on message by message; frames, pings and
extensions are of each connection alone.
"""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import Callable
from typing import Final, Protocol

from kratos_gateway.backend._options import ConnectOptions
from kratos_gateway.backend._unreachable import because
from kratos_gateway.backend._writing import head_of
from kratos_gateway.exchange import Answer, Request
from kratos_gateway.headers import first, without_hop
from kratos_http.carrier import Lost
from kratos_http.http2 import Dialer
from kratos_http.sockets import FramedSocket, Frames, Side, StreamConnection, new_key

__all__ = ["WEBSOCKET", "NodeSocket", "Upgraded", "handshake_headers", "open_socket"]

WEBSOCKET: Final = "websocket"
"""Key of ``RequestOptions.values`` for requests that are handshakes of WebSockets."""

_SWITCHING: Final = 101
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CLOSE_TIMEOUT: Final = 2.0
# Of the connection to the client; the one to the node has its own.
_OF_HANDSHAKE: Final = frozenset(
    (
        b"sec-websocket-accept",
        b"sec-websocket-extensions",
        b"sec-websocket-key",
        b"sec-websocket-version",
    )
)


class NodeSocket(Protocol):
    """A WebSocket to a node; see ``Socket`` of ``kratos.transport.http``."""

    @property
    def close_code(self) -> int | None:
        """Code of the node's close frame; ``None`` while none came."""
        ...

    async def receive(self) -> str | bytes | None:
        """Return the next message; ``None`` at the close frame."""
        ...

    async def send(self, message: str | bytes, /) -> None:
        """Send a message."""
        ...

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame."""
        ...


class Upgraded:
    """The body of an answer with status 101: an open WebSocket to a node.

    Attributes:
        socket: The WebSocket; middleware may put another one around it.
        on_close: Called once, when it is closed.
    """

    __slots__ = ("_release", "on_close", "socket")

    def __init__(self, socket: NodeSocket, release: Callable[[], None]) -> None:
        self.socket = socket
        self.on_close: list[Callable[[], None]] = []
        self._release = release

    @property
    def trailers(self) -> tuple[()]:
        """None."""
        return ()

    async def read(self) -> bytes:
        """Return the end: what follows is no body."""
        return b""

    def close(self) -> None:
        """Cut the WebSocket off. Idempotent."""
        self._release()
        told, self.on_close = self.on_close, []
        for each in told:
            each()


class _Refusal:
    """A ``Body``: what a node answers that does not take the handshake."""

    __slots__ = ("_connection",)

    def __init__(self, connection: StreamConnection) -> None:
        self._connection = connection

    @property
    def trailers(self) -> list[tuple[bytes, bytes]]:
        return without_hop(self._connection.trailers)

    async def read(self) -> bytes:
        return await self._connection.read()

    def close(self) -> None:
        self._connection.close()


def handshake_headers(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return those that are passed on from one handshake to the other."""
    return [pair for pair in headers if pair[0] not in _OF_HANDSHAKE]


async def open_socket(
    dialer: Dialer, request: Request, host: str, options: ConnectOptions
) -> Answer:
    """Ask a node for a WebSocket, and return its answer: 101 with ``Upgraded``, or another.

    Raises:
        Unreachable: There is no connection.
        OSError: It was lost, or what came is no answer to the handshake.
        TooLarge: The head of the answer exceeds the limit.
        ValueError: Something in the request cannot be sent.

    Cancellation: the node learns of it.
    """
    key = new_key().encode()
    request.headers = handshake_headers(request.headers)
    asked = b"upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\n"
    head, _ = head_of(request, host, more=b"%bsec-websocket-key: %b\r\n" % (asked, key))
    connection = await _dial(dialer, options)
    try:
        reply = await connection.request(head, upgrade=True)
        if reply.status != _SWITCHING:
            return Answer(reply.status, without_hop(reply.headers), _Refusal(connection))
        accept = b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
        if first(reply.headers, b"sec-websocket-accept") != accept:
            raise Lost("the handshake of the WebSocket was not answered as asked", begun=True)
    except BaseException:
        connection.close()
        raise
    frames = Frames(Side.CLIENT, max_message=options.max_message)
    socket = FramedSocket(connection, frames, close_timeout=_CLOSE_TIMEOUT)
    connection.attach(socket)
    kept = handshake_headers(without_hop(reply.headers))
    return Answer(_SWITCHING, kept, Upgraded(socket, connection.close))


async def _dial(dialer: Dialer, options: ConnectOptions) -> StreamConnection:
    seconds = options.dial_timeout
    made: list[StreamConnection] = []

    def make() -> StreamConnection:
        made.append(StreamConnection(max_head=options.max_head))
        return made[-1]

    try:
        async with asyncio.timeout(seconds):
            return await dialer.open(make, through=True)
    except BaseException as error:
        for given_up in made:
            given_up.close()
        if isinstance(error, OSError):
            raise because(error) from error
        raise
