"""A WebSocket on an ASGI server."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from kratos.transport.cause import Cause
from kratos.transport.http import Reply, WireHeaders
from kratos_http._asgi_wire import Event, Receive, Send
from kratos_http._format import sendable
from kratos_http._frames import Message, reason_that_fits
from kratos_http._turns import Turns

__all__ = ["AsgiSocket"]

_HIGH_WATER: Final = 64 * 1024  # bytes of messages that may wait to be received
_OVERHEAD: Final = 64  # bytes that a waiting message counts besides its own
_LOST: Final = 1006  # stands for a connection that ended without a close frame
_PROTOCOL_HEADER: Final = b"sec-websocket-protocol"
_REFUSAL: Final = "websocket.http.response"


class AsgiSocket:
    """A ``Socket`` over ``receive`` and ``send``.

    Pings, and the largest message, are the ASGI server's.

    Args:
        receive: Of the ASGI server.
        send: Of the ASGI server.
        refuses: Whether the server can answer a handshake with something else than 403.

    Attributes:
        answered: Whether the handshake was answered.
        finished: Whether nothing is to be sent any more.
        gone: Whether the peer has gone.
        newest: The newest message that came.
    """

    def __init__(self, receive: Receive, send: Send, *, refuses: bool) -> None:
        self.answered = False
        self.finished = False
        self.gone = False
        self.newest: Message | None = None
        self._receive = receive
        self._send = send
        self._refuses = refuses
        self._messages: deque[Message] = deque()
        self._size = 0
        self._code: int | None = None
        self._changed = asyncio.Event()
        self._sending = asyncio.Lock()  # a handler may send from several tasks
        self._turns = Turns()

    @property
    def close_code(self) -> int | None:
        """Code of the peer's close frame; ``None`` while none came."""
        return self._code

    async def follow(self, left: Callable[[], None]) -> None:
        """Take in what the peer sends, until it goes away.

        Args:
            left: Called then.
        """
        while not self.gone:
            while self._size > _HIGH_WATER:
                self._changed.clear()
                await self._changed.wait()
            event = await self._receive()
            if event["type"] == "websocket.disconnect":
                code: int = event.get("code", 1005)
                self._code = None if code == _LOST else code
                self.gone = True
                left()
            elif event["type"] == "websocket.receive":
                text: str | None = event.get("text")
                message: Message = event["bytes"] if text is None else text
                self.newest = message
                self._messages.append(message)
                self._size += len(message) + _OVERHEAD
            self._changed.set()

    async def accept(self, headers: WireHeaders = ()) -> None:
        """Answer 101; see ``Socket``.

        Raises:
            RuntimeError: The handshake was answered already.
            ValueError: A header cannot be sent.
            Error: The peer has gone.
        """
        self._require_question()
        chosen = next((value for name, value in headers if name == _PROTOCOL_HEADER), None)
        others = [pair for pair in sendable(headers) if pair[0] != _PROTOCOL_HEADER]
        self.answered = True
        protocol = None if chosen is None else chosen.decode("latin-1")
        await self._emit({"type": "websocket.accept", "subprotocol": protocol, "headers": others})

    async def refuse(self, reply: Reply, /) -> None:
        """Answer an ordinary reply; see ``Socket``.

        A server without the extension for it answers 403 in its place.

        Raises:
            RuntimeError: The handshake was answered already.
            ValueError: A header cannot be sent.
            Error: The peer has gone.
        """
        self._require_question()
        headers = sendable(reply.headers)
        self.answered = self.finished = True
        if not self._refuses:
            await self._emit({"type": "websocket.close", "code": 1008})
            return
        headers.append((b"content-length", b"%d" % len(reply.body)))
        start = {"type": f"{_REFUSAL}.start", "status": reply.status, "headers": headers}
        await self._emit(start)
        await self._emit({"type": f"{_REFUSAL}.body", "body": reply.body})

    async def receive(self) -> Message | None:
        """Return the next message; see ``Socket``."""
        while not self._messages:
            if self._code is not None:
                return None
            if self.gone:
                raise Cause.PEER_GONE.error()
            self._changed.clear()
            await self._changed.wait()
        message = self._messages.popleft()
        self._size -= len(message) + _OVERHEAD
        self._changed.set()
        return message

    async def send(self, message: Message, /) -> None:
        """Send a message; see ``Socket``."""
        kind = "text" if isinstance(message, str) else "bytes"
        async with self._sending:
            await self._emit({"type": "websocket.send", kind: message})
            await self._turns.take()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame; the server waits for the peer's; see ``Socket``."""
        self.finished = True
        text = reason_that_fits(reason)
        await self._emit({"type": "websocket.close", "code": code, "reason": text})

    def _require_question(self) -> None:
        if self.answered:
            raise RuntimeError("the handshake was answered already")

    async def _emit(self, event: Event) -> None:
        if self.gone:
            raise Cause.PEER_GONE.error()
        try:
            await self._send(event)
        except OSError as error:
            self.gone = True
            raise Cause.PEER_GONE.error() from error
