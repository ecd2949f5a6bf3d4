"""A WebSocket on the built-in engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from kratos.transport.http import Head, Reply, WireHeaders
from kratos_http._frames import Frames, Message, Side
from kratos_http._socket import FramedSocket, Pipe

if TYPE_CHECKING:
    from kratos_http.limits import Limits

__all__ = ["Carrier", "ServerSocket"]

_EARLY: Final = 64 * 1024  # bytes that may come before the handshake is answered
_PROTOCOL_HEADER: Final = b"sec-websocket-protocol"


class Carrier(Pipe, Protocol):
    """What a WebSocket is asked for over: a connection of HTTP/1.1, or a stream of HTTP/2."""

    def accept(self, head: Head, headers: WireHeaders) -> None:
        """Answer the handshake well.

        Raises:
            ValueError: A header cannot be sent.
        """
        ...

    def say_refusal(self, head: Head, reply: Reply) -> None:
        """Answer a handshake that is not accepted."""
        ...


class ServerSocket:
    """A ``Socket``; what carries it feeds it.

    Attributes:
        answered: Whether the handshake was answered.
        closed: Whether nothing is to be sent any more.
    """

    __slots__ = ("_carrier", "_early", "_framed", "_head", "_limits", "answered", "closed")

    def __init__(self, carrier: Carrier, head: Head, limits: Limits) -> None:
        self.answered = False
        self.closed = False
        self._carrier = carrier
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
        """Accept the handshake; see ``Socket``.

        Raises:
            RuntimeError: The handshake was answered already.
            ValueError: A header cannot be sent.
        """
        self._require_question()
        carrier, limits = self._carrier, self._limits
        carrier.accept(self._head, headers)
        self.answered = True
        framed = self._framed = FramedSocket(
            carrier,
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
        carrier.regulate()

    async def refuse(self, reply: Reply, /) -> None:
        """Answer an ordinary reply, after which a connection of HTTP/1.1 is closed; see ``Socket``.

        Raises:
            RuntimeError: The handshake was answered already.
        """
        self._require_question()
        self.answered = self.closed = True
        self._carrier.say_refusal(self._head, reply)

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

    # For the carrier.

    @property
    def full(self) -> bool:
        """Whether enough waits to be read."""
        if self._framed is None:
            return len(self._early) > _EARLY
        return self._framed.full

    @property
    def unread(self) -> bool:
        """Whether something came that is still to be read, though nothing more may come."""
        return self._framed is not None and self._framed.unread

    def feed(self, data: bytes) -> None:
        """Take bytes from the peer."""
        if self._framed is not None:
            self._framed.feed(data)
        else:
            self._early += data

    def relieve(self) -> None:
        """Note that the peer has taken what it was sent."""
        if self._framed is not None:
            self._framed.relieve()

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
