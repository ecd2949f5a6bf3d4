"""ASGI applications as endpoints: what an ASGI server does for one request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

from kratos.errors import Error
from kratos.transport.cause import Cause
from kratos.transport.http import Head, Reply, Socket, Wire
from kratos_http._asgi_talk import talk
from kratos_http._asgi_wire import Event, Receive, Send
from kratos_http._request_body import Upload
from kratos_http._sending import send
from kratos_http.limits import Limits

__all__ = ["AsgiApplication", "AsgiEndpoint", "Refuse"]

AsgiApplication: TypeAlias = Callable[[Event, Receive, Send], Awaitable[None]]
Refuse: TypeAlias = Callable[[Head, Error], Reply]

_VERSIONS: Final = {"version": "3.0", "spec_version": "2.3"}
_DISCONNECT: Final = {"type": "http.disconnect"}


class AsgiEndpoint:
    """A ``Streamed`` endpoint of an ASGI 3 application, and an ``Upgraded`` one for WebSockets.

    A peer that goes away cancels the application's task.

    Args:
        application: What answers.
        root: Path that it is mounted at, without a slash at the end.
        state: What its lifespan left for requests.
        max_body: Bytes of the largest body.
        limits: Of the server.
        refuse: Makes the answer to a body that breaks a limit.
    """

    __slots__ = ("_application", "_limits", "_max_body", "_refuse", "_root", "_state")

    def __init__(
        self,
        application: AsgiApplication,
        *,
        root: str,
        state: Mapping[str, Any],
        max_body: int,
        limits: Limits,
        refuse: Refuse,
    ) -> None:
        self._application = application
        self._root = root
        self._state = state
        self._max_body = max_body
        self._limits = limits
        self._refuse = refuse

    async def converse(self, head: Head, wire: Wire, /) -> None:
        """Run the application for one request.

        Raises:
            RuntimeError: It gave no answer.
            Exception: Whatever it raises.
        """
        upload = Upload(wire, head, limit=self._max_body, limits=self._limits)
        exchange = _Exchange(wire, upload, lambda error: self._refuse(head, error))
        try:
            await self._application(self._scope(head), exchange.receive, exchange.send)
        except Exception:
            if exchange.gone:
                return  # what it makes of that is of no interest
            if exchange.started:
                exchange.give_up()
            raise
        if not exchange.started:
            raise RuntimeError(f"the application gave no answer to {head.method} {head.path!r}")
        exchange.give_up()

    async def talk(self, head: Head, socket: Socket, /) -> None:
        """Run the application for one WebSocket.

        Raises:
            RuntimeError: It gave no answer to the handshake.
            Exception: Whatever it raises.
        """
        scope = self._connection(head, "websocket")
        scope["scheme"] = "wss" if head.tls else "ws"
        scope["subprotocols"] = _protocols(head)
        scope["extensions"] = {"websocket.http.response": {}}

        async def run(receive: Receive, send: Send) -> None:
            await self._application(scope, receive, send)

        await talk(run, head, socket)

    def _scope(self, head: Head) -> Event:
        return {
            **self._connection(head, "http"),
            "method": head.method,
            "scheme": head.scheme,
        }

    def _connection(self, head: Head, kind: str) -> Event:
        return {
            "type": kind,
            "asgi": _VERSIONS,
            "http_version": head.version,
            "path": unquote(head.path.decode("latin-1")),
            "raw_path": head.path,
            "query_string": head.query,
            "root_path": self._root,
            "headers": [list(pair) for pair in head.headers],
            "client": _address(head.peer),
            "server": None,
            "state": dict(self._state),
            "extensions": {},
        }


class _Exchange:
    """One request between an application and a wire.

    Attributes:
        started: Whether the answer has begun.
        gone: Whether the peer has gone.
    """

    def __init__(self, wire: Wire, upload: Upload, refuse: Callable[[Error], Reply]) -> None:
        self.started = False
        self.gone = False
        self._wire = wire
        self._upload = upload
        self._refuse = refuse
        self._opening: Event | None = None
        self._complete = False  # the body has been read, or there is no use in reading on
        self._refused = False  # answered in place of the application
        self._ended = asyncio.Event()

    async def receive(self) -> Event:
        """Return the next event: a piece of the body, then that the exchange has ended."""
        if self._complete:
            await self._ended.wait()
            return dict(_DISCONNECT)
        try:
            piece = await self._upload.read()
        except Error as error:
            self._complete = True
            if not self.started and error.code in (400, 408, 413):
                self.started = self._refused = True
                self._ended.set()
                await send(self._wire, self._refuse(error))
            return dict(_DISCONNECT)
        self._complete = not piece
        return {"type": "http.request", "body": piece, "more_body": bool(piece)}

    async def send(self, event: Event) -> None:
        """Take an event of the answer.

        Raises:
            RuntimeError: It is out of order, or its length is another than was announced.
            ValueError: A header cannot be sent.
            OSError: The peer has gone.
        """
        if self._refused:
            return
        kind = event["type"]
        if kind == "http.response.start" and self._opening is None:
            self._opening = event
        elif kind == "http.response.body" and self._opening is not None:
            if self._ended.is_set():
                raise RuntimeError("http.response.body came after the last one")
            await self._body(event)
        else:
            raise RuntimeError(f"{kind!r} is not expected here")

    def give_up(self) -> None:
        """Break the answer off, unless it is whole: the application has ended."""
        if not self._ended.is_set():
            self._ended.set()
            self._wire.reset(Cause.CALLER)

    async def _body(self, event: Event) -> None:
        body: bytes = event.get("body", b"")
        more: bool = event.get("more_body", False)
        try:
            if not self.started:
                self._start(None if more else len(body))
            if body:
                await self._wire.write(body)
            if not more:
                await self._wire.finish()
                self._ended.set()
        except Error as error:
            self.gone = True
            raise OSError(str(error)) from error

    def _start(self, length: int | None) -> None:
        """Begin the answer.

        Args:
            length: Bytes of the body if they are known, for an application that does not say.
        """
        opening = self._opening
        assert opening is not None, "checked by send"
        status: int = opening["status"]
        headers = [
            (bytes(name).lower(), bytes(value)) for name, value in opening.get("headers", ())
        ]
        said = any(name == b"content-length" for name, _ in headers)
        if length is not None and not said and status not in (204, 304):
            headers.append((b"content-length", b"%d" % length))
        self._wire.start(status, headers)
        self.started = True


def _address(peer: str) -> tuple[str, int] | None:
    host, _, port = peer.rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdigit() else None


def _protocols(head: Head) -> Sequence[str]:
    return [
        token.strip()
        for name, value in head.headers
        if name == b"sec-websocket-protocol"
        for token in value.decode("latin-1").split(",")
        if token.strip()
    ]
