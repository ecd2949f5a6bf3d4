"""Both directions of one ASGI request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

from kratos.errors import Error
from kratos.transport.cause import Cause
from kratos.transport.http import Head, Reply, WireHeaders
from kratos_http._format import has_body, require_final, sendable

__all__ = ["AsgiWire", "Event", "Receive", "Send"]

Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]

_HIGH_WATER: Final = 64 * 1024  # bytes of a body that may wait to be read


class AsgiWire:
    """A ``Wire`` over ``receive`` and ``send``.

    Args:
        head: The request.
        receive: Of the ASGI server.
        send: Of the ASGI server.
        trailers: Whether the server can send trailers.

    Attributes:
        started: Whether the answer has begun.
        finished: Whether it has ended well.
        gone: Whether the peer has gone.
    """

    def __init__(self, head: Head, receive: Receive, send: Send, *, trailers: bool) -> None:
        self.started = False
        self.finished = False
        self.gone = False
        self._head = head
        self._receive = receive
        self._send = send
        self._has_trailers = trailers
        self._silent = False
        self._opening: asyncio.Task[None] | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._complete = False
        self._changed = asyncio.Event()

    async def read_whole(self, limit: int) -> bytes:
        """Return the whole body; not together with ``follow``.

        Raises:
            Error: 413: it exceeds ``limit`` bytes; 499: the peer has gone.
        """
        pieces: list[bytes] = []
        size = 0
        while not self._complete:
            event = await self._receive()
            if event["type"] == "http.disconnect":
                self.gone = True
                raise Cause.PEER_GONE.error()
            piece = event.get("body", b"")
            size += len(piece)
            if size > limit:
                raise Error(413, "BODY_TOO_LARGE", f"the body exceeds {limit} bytes")
            pieces.append(piece)
            self._complete = not event.get("more_body", False)
        return b"".join(pieces)

    async def follow(self, left: Callable[[], None]) -> None:
        """Take in what the peer sends, until it goes away.

        Args:
            left: Called then, unless it had the whole answer; servers also say so of a peer that
                stays, when that is the case.
        """
        while not self.gone:
            while self._size > _HIGH_WATER:
                self._changed.clear()
                await self._changed.wait()
            event = await self._receive()
            if event["type"] == "http.disconnect":
                self.gone = True
                if not self.finished:
                    left()
            elif not self._complete:
                piece = event.get("body", b"")
                self._complete = not event.get("more_body", False)
                if piece:
                    self._pieces.append(piece)
                    self._size += len(piece)
            self._changed.set()

    async def read(self) -> bytes:
        """Return the next piece of the body; see ``Wire``."""
        while not self._pieces:
            if self._complete:
                return b""
            if self.gone:
                raise Cause.PEER_GONE.error()
            self._changed.clear()
            await self._changed.wait()
        # All that waits: who sends single bytes must not get a turn of the handler for each.
        piece = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        self._changed.set()
        return piece

    def start(self, status: int, headers: WireHeaders, /) -> None:
        """Begin the answer; see ``Wire``.

        Raises:
            RuntimeError: The answer has begun already.
            ValueError: A header cannot be sent, or the status is none of an answer.
        """
        if self.started:
            raise RuntimeError("the answer has begun already")
        require_final(status)
        lengths = [pair for pair in headers if pair[0].lower() == b"content-length"]
        self._silent = not has_body(self._head.method, status)
        event = {
            "type": "http.response.start",
            "status": status,
            "headers": sendable(headers) + lengths[:1],
            "trailers": self._has_trailers,
        }
        self.started = True
        self._opening = asyncio.ensure_future(self._emit(event))

    async def write(self, data: bytes, /) -> None:
        """Send a piece of the answer; see ``Wire``.

        Raises:
            RuntimeError: The answer has not begun, or has ended.
            Error: The peer has gone.
        """
        await self._begin()
        if data and not self._silent:
            await self._emit({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self, trailers: WireHeaders = (), /) -> None:
        """End the answer well; see ``Wire``.

        Raises:
            RuntimeError: The answer has not begun.
            Error: The peer has gone.
        """
        if self.finished:
            return
        await self._begin()
        self.finished = True
        await self._emit({"type": "http.response.body", "body": b"", "more_body": False})
        if self._has_trailers:
            await self._emit({"type": "http.response.trailers", "headers": sendable(trailers)})

    def reset(self, cause: Cause, /) -> None:
        """Break the answer off; the application ends with an exception, so the server does."""
        self.gone = True

    async def say(self, reply: Reply) -> None:
        """Send a whole answer.

        Raises:
            ValueError: A header cannot be sent, or the status is none of an answer.
            Error: The peer has gone.
        """
        require_final(reply.status)
        body = reply.body if has_body(self._head.method, reply.status) else b""
        headers = sendable(reply.headers)
        if reply.status not in (204, 304):
            headers.append((b"content-length", b"%d" % len(reply.body)))
        trailers = self._has_trailers and bool(reply.trailers)
        start = {"type": "http.response.start", "status": reply.status, "headers": headers}
        self.started = self.finished = True
        await self._emit({**start, "trailers": trailers})
        await self._emit({"type": "http.response.body", "body": body})
        if trailers:
            headers = sendable(reply.trailers)
            await self._emit({"type": "http.response.trailers", "headers": headers})

    async def _begin(self) -> None:
        if not self.started or self.finished:
            raise RuntimeError("start the answer before writing, and write before finishing it")
        opening, self._opening = self._opening, None
        if opening is not None:
            await opening

    async def _emit(self, event: Event) -> None:
        try:
            await self._send(event)
        except OSError as error:
            self.gone = True
            raise Cause.PEER_GONE.error() from error
