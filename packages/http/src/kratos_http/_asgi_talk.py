"""WebSockets into ASGI applications: what an ASGI server does for one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from kratos.errors import Error
from kratos.transport.cause import Cause
from kratos.transport.http import Head, Reply, Running, Socket
from kratos_http._asgi_wire import Event, Receive, Send
from kratos_http._refusal import refusal

__all__ = ["talk"]

_Run: TypeAlias = Callable[[Receive, Send], Awaitable[None]]

_FORBIDDEN: Final = Error(403, "FORBIDDEN", "the WebSocket was refused")
_ABNORMAL: Final = 1006  # stands for a connection that ended without a close frame
_REFUSAL: Final = "websocket.http.response"
_LEAVING: Final = 10.0  # seconds for an application whose peer has gone


async def talk(run: _Run, head: Head, socket: Socket) -> None:
    """Run an application for one WebSocket.

    When the peer has gone, the application is told by an event, and cancelled if it does not end.

    Raises:
        RuntimeError: It gave no answer to the handshake.
        Exception: Whatever it raises.
    """
    exchange = _Exchange(socket)
    leaving = head.running = _Leaving(head.running)
    try:
        await run(exchange.receive, exchange.send)
    except Exception:
        if exchange.gone:
            return  # what it makes of that is of no interest
        raise
    finally:
        leaving.end()
        head.running = leaving.outer
    if not exchange.answered:
        raise RuntimeError(f"the application gave no answer to the WebSocket {head.path!r}")
    await exchange.end()


class _Leaving:
    """What an engine cancels: the application gets some time first to leave by itself.

    Attributes:
        outer: The call around it, if there is one.
    """

    def __init__(self, outer: Running | None) -> None:
        self.outer = outer
        self._task = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None

    def cancel(self, cause: Cause, /) -> None:
        """End the application, at once or soon."""
        if cause is not Cause.PEER_GONE:
            self._cancel(cause)
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_LEAVING, self._cancel, cause)

    def end(self) -> None:
        """Note that it has ended."""
        if self._timer is not None:
            self._timer.cancel()

    def _cancel(self, cause: Cause) -> None:
        if self.outer is not None:
            self.outer.cancel(cause)
        elif self._task is not None:
            self._task.cancel()


class _Exchange:
    """One WebSocket between an application and a socket.

    Attributes:
        answered: Whether the handshake was answered.
        gone: Whether the peer has gone.
    """

    def __init__(self, socket: Socket) -> None:
        self.answered = False
        self.gone = False
        self._socket = socket
        self._asked = False
        self._closed = False
        self._refusing: Event | None = None
        self._body: list[bytes] = []

    async def receive(self) -> Event:
        """Return the next event: the handshake, the messages, the end."""
        if not self._asked:
            self._asked = True
            return {"type": "websocket.connect"}
        if not self._closed:
            try:
                message = await self._socket.receive()
            except Error:
                self.gone = self._closed = True
                return {"type": "websocket.disconnect", "code": _ABNORMAL, "reason": ""}
            if isinstance(message, str):
                return {"type": "websocket.receive", "text": message}
            if message is not None:
                return {"type": "websocket.receive", "bytes": message}
            self._closed = True
        return {"type": "websocket.disconnect", "code": self._socket.close_code, "reason": ""}

    async def send(self, event: Event) -> None:
        """Take an event.

        Raises:
            RuntimeError: It is out of order.
            ValueError: A header cannot be sent.
            OSError: The peer has gone.
        """
        try:
            await self._send(event["type"], event)
        except Error as error:
            self.gone = True
            raise OSError(str(error)) from error

    async def end(self) -> None:
        """Close what the application left open, as it ended well."""
        if not (self.gone or self._closed):
            await self._close(1000, "")

    async def _send(self, kind: str, event: Event) -> None:
        if kind == f"{_REFUSAL}.body" and self._refusing is not None:
            await self._refuse(event)
        elif kind == "websocket.accept" and not self.answered and self._refusing is None:
            await self._accept(event)
        elif kind == f"{_REFUSAL}.start" and not self.answered and self._refusing is None:
            self._refusing = event
        elif kind == "websocket.close" and not self.answered and self._refusing is None:
            await self._say(refusal(_FORBIDDEN))
        elif kind == "websocket.send" and self.answered and not self._closed:
            text: str | None = event.get("text")
            await self._socket.send(event["bytes"] if text is None else text)
        elif kind == "websocket.close" and self.answered:
            await self._close(event.get("code", 1000), event.get("reason") or "")
        else:
            raise RuntimeError(f"{kind!r} is not expected here")

    async def _accept(self, event: Event) -> None:
        headers = [
            (bytes(name).lower(), bytes(value)) for name, value in event.get("headers") or ()
        ]
        protocol: str | None = event.get("subprotocol")
        if protocol is not None:
            headers.append((b"sec-websocket-protocol", protocol.encode()))
        await self._socket.accept(headers)
        self.answered = True

    async def _refuse(self, event: Event) -> None:
        """Answer the handshake with what the application says, once that is whole."""
        opening = self._refusing
        assert opening is not None, "checked by the caller"
        self._body.append(event.get("body", b""))
        if not event.get("more_body", False):
            headers = [
                (bytes(name).lower(), bytes(value)) for name, value in opening.get("headers") or ()
            ]
            kept = [pair for pair in headers if pair[0] != b"content-length"]
            await self._say(Reply(opening["status"], kept, b"".join(self._body)))

    async def _say(self, reply: Reply) -> None:
        await self._socket.refuse(reply)
        self.answered = self._closed = True

    async def _close(self, code: int, reason: str) -> None:
        if not self._closed:
            self._closed = True
            await self._socket.close(code, reason)
