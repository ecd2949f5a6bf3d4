"""A WebSocket on the built-in engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kratos.transport.http import Head, Reply, WireHeaders
from kratos_http._frames import Frames, Message, Side
from kratos_http._handshake import switching
from kratos_http._socket import FramedSocket

if TYPE_CHECKING:
    from kratos_http._connection import ServerConnection
    from kratos_http.limits import Limits

__all__ = ["ServerSocket"]

_EARLY: Final = 64 * 1024  # bytes that may come before the handshake is answered
_PROTOCOL_HEADER: Final = b"sec-websocket-protocol"


class ServerSocket:
    """A ``Socket``; the connection feeds it.

    Attributes:
        answered: Whether the handshake was answered.
        closed: Whether nothing is to be sent any more.
    """

    __slots__ = ("_connection", "_early", "_framed", "_head", "_limits", "answered", "closed")

    def __init__(self, connection: ServerConnection, head: Head, limits: Limits) -> None:
        self.answered = False
        self.closed = False
        self._connection = connection
        self._head = head
        self._limits = limits
        self._early = b""
        self._framed: FramedSocket | None = None

    @property
    def close_code(self) -> int | None:
        """Code of the peer's close frame; ``None`` while none came."""
        return None if self._framed is None else self._framed.close_code

    @property
    def newest(self) -> Message | None:
        """The newest message that came."""
        return None if self._framed is None else self._framed.newest

    async def accept(self, headers: WireHeaders = ()) -> None:
        """Answer 101; see ``Socket``.

        Raises:
            RuntimeError: The handshake was answered already.
            ValueError: A header cannot be sent.
        """
        self._require_question()
        connection, limits = self._connection, self._limits
        connection.send(switching(self._head, headers, connection.date))
        self.answered = True
        framed = self._framed = FramedSocket(
            connection,
            Frames(Side.SERVER, max_message=limits.max_message),
            close_timeout=limits.close_timeout,
        )
        # Go's client reads, and so answers pings, only while its caller receives.
        strict = bool(self._head.header(b"origin")) or any(
            name == _PROTOCOL_HEADER for name, _ in headers
        )
        framed.ping_every(limits.ping_interval, timeout=limits.ping_timeout, strict=strict)
        early, self._early = self._early, b""
        if early:
            framed.feed(early)
        connection.regulate()

    async def refuse(self, reply: Reply, /) -> None:
        """Answer an ordinary reply, after which the connection is closed; see ``Socket``.

        Raises:
            RuntimeError: The handshake was answered already.
        """
        self._require_question()
        self.answered = self.closed = True
        self._connection.say_refusal(self._head, reply)

    async def receive(self) -> Message | None:
        """Return the next message; see ``Socket``."""
        return await self._accepted().receive()

    async def send(self, message: Message, /) -> None:
        """Send a message; see ``Socket``."""
        await self._accepted().send(message)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame and wait for the peer's; see ``Socket``."""
        await self._accepted().close(code, reason)
        self.closed = True

    # For the connection.

    @property
    def full(self) -> bool:
        """Whether enough waits to be read."""
        if self._framed is None:
            return len(self._early) > _EARLY
        return self._framed.full

    def feed(self, data: bytes) -> None:
        """Take bytes from the peer."""
        if self._framed is not None:
            self._framed.feed(data)
        else:
            self._early += data

    def lose(self) -> None:
        """Note that the connection has ended."""
        if self._framed is not None:
            self._framed.lose()

    def _require_question(self) -> None:
        if self.answered:
            raise RuntimeError("the handshake was answered already")

    def _accepted(self) -> FramedSocket:
        if self._framed is None:
            raise RuntimeError("accept the handshake before using the socket")
        return self._framed
