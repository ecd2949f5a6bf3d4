"""A client's WebSocket: the requests and replies of one call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Protocol, TypeAlias

from kratos.errors import Error
from kratos.limit import cancel_and_wait
from kratos.transport import Call, Cause
from kratos.transport.client_stream import outgoing_requests
from kratos_http._control import (
    END,
    ERROR,
    HEADERS,
    PREFIX,
    TRAILERS,
    read_error,
    read_fields,
)
from kratos_http._plan import Plan
from kratos_http._socket import FramedSocket

__all__ = ["Opened", "SocketStream", "collect"]

_NORMAL: Final = 1000
_GOING_AWAY: Final = 1001  # an end, too, to Go
_GOOD: Final = frozenset((_NORMAL, _GOING_AWAY))
_GONE: Final = Cause.PEER_GONE.error().reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A WebSocket that was opened.

    Attributes:
        socket: The socket.
        own: Whether the server has agreed to our form.
        release: Gives the connection back; idempotent.
    """

    socket: FramedSocket
    own: bool
    release: Callable[[], None]


Open: TypeAlias = Callable[[Any], Coroutine[Any, Any, Opened]]


class SocketStream:
    """A ``WireStream`` over a WebSocket, which may be opened by the first request.

    Args:
        call: The call; gets headers and trailers.
        plan: How its method is called.
        open_socket: Opens the socket, given the first request or ``None``.
    """

    __slots__ = ("_call", "_ended", "_open", "_opened", "_opening", "_plan")

    def __init__(self, call: Call, plan: Plan, open_socket: Open) -> None:
        self._call = call
        self._plan = plan
        self._open = open_socket
        self._opening: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[Opened] = asyncio.get_running_loop().create_future()
        self._ended = False  # our requests

    async def open(self, request: Any) -> Opened:
        """Open the socket, unless it is open.

        Args:
            request: Its fields that are no part of messages go into the URL.

        Raises:
            Error: The server refused, or cannot be reached; or the stream was closed.
        """
        if self._opening is None and not self._opened.done():
            self._opening = asyncio.ensure_future(self._run(request))
        return await asyncio.shield(self._opened)

    async def _run(self, request: Any) -> None:
        try:
            opened = await self._open(request)
        except Exception as error:
            if not self._opened.done():
                self._opened.set_exception(error)
            return
        if self._opened.done():
            opened.release()
        else:
            self._opened.set_result(opened)

    async def receive(self) -> Any:
        """Return the next reply; see ``WireStream``."""
        opened = await asyncio.shield(self._opened)
        while True:
            try:
                message = await opened.socket.receive()
            except Error as error:
                raise self._lost(error) from error
            if message is None:
                self._closed(opened)
            if not isinstance(message, str):
                return self._plan.message(self._plan.kind, message)
            if not message.startswith(PREFIX):
                return self._plan.message(self._plan.kind, message.encode())
            self._control(opened, message)

    async def send(self, message: Any, /) -> None:
        """Send one request; see ``WireStream``."""
        if self._ended:
            raise RuntimeError(f"{self._call.method.operation}: the requests have ended")
        if not await self.offer(message):
            await asyncio.sleep(0)  # whoever sends without end lets the call end at last

    async def offer(self, message: Any) -> bool:
        """Send one request; tell whether the call takes any more.

        Why it does not is told by what is received.
        """
        data = self._plan.frame(message)
        try:
            opened = await self.open(message)
            await opened.socket.send(data)
        except Error:
            return False
        return True

    async def end(self) -> None:
        """Half-close; see ``WireStream``."""
        if self._ended:
            return
        self._ended = True
        with suppress(Error):
            opened = await self.open(None)
            await opened.socket.send(END)

    async def aclose(self) -> None:
        """End the stream; one that has not ended is cut off; see ``WireStream``."""
        if not self._opened.done():
            self._opened.set_exception(Cause.CALLER.error())
        if self._opening is not None and not self._opening.done():
            await cancel_and_wait(self._opening)
        if self._opened.exception() is None:
            self._opened.result().release()

    def _control(self, opened: Opened, message: str) -> None:
        call = self._call
        if message.startswith(ERROR):
            raise read_error(message.removeprefix(ERROR), own=opened.own)
        if message == END:  # Go's way to end the replies
            raise StopAsyncIteration
        if opened.own and message.startswith(HEADERS):
            call.reply_headers = read_fields(message.removeprefix(HEADERS))
        elif opened.own and message.startswith(TRAILERS):
            call.trailers = read_fields(message.removeprefix(TRAILERS))
        else:
            raise Error(500, "CODEC", "a message that begins with 0x1E is none of those known")

    def _closed(self, opened: Opened) -> NoReturn:
        code = opened.socket.close_code
        if code in _GOOD:
            raise StopAsyncIteration
        raise Error(503, "UNAVAILABLE", f"{self._call.peer}: the WebSocket was closed with {code}")

    def _lost(self, error: Error) -> Error:
        if error.reason == _GONE:
            return Error(503, "UNAVAILABLE", f"{self._call.peer}: the connection was lost")
        if error.reason == "MESSAGE_TOO_LARGE":
            return Error(500, "REPLY_TOO_LARGE", f"{self._call.peer}: {error.message}")
        return Error(500, "CODEC", error.message)


class Collecting(Protocol):
    """A stream that takes requests and gives one reply."""

    async def offer(self, message: Any) -> bool:
        """Send one request; tell whether the call takes any more."""
        ...

    async def end(self) -> None:
        """Send the end of the requests."""
        ...

    async def receive(self) -> Any:
        """Return the reply; then raise ``StopAsyncIteration``."""
        ...


async def collect(call: Call, stream: Collecting, requests: Any) -> Any:
    """Send a stream of requests and return the one reply.

    Raises:
        Error: What the service answered, or 503 when it was not reached.
        Exception: Whatever the caller's iterator raised; it cuts the call off.
    """
    receiving = asyncio.ensure_future(_only(stream))
    feeding = asyncio.ensure_future(_feed(call, stream, requests))
    try:
        await asyncio.wait((receiving, feeding), return_when=asyncio.FIRST_COMPLETED)
        if feeding.done() and not feeding.cancelled() and feeding.exception() is not None:
            feeding.result()
        return await receiving
    finally:
        await cancel_and_wait(receiving, feeding)
        for task in (receiving, feeding):
            if not task.cancelled():
                task.exception()  # looked at: who raises something raises that


async def _only(stream: Collecting) -> Any:
    try:
        reply = await stream.receive()
    except StopAsyncIteration:
        raise Error(500, "CODEC", "the call ended without a reply") from None
    try:
        await stream.receive()
    except StopAsyncIteration:
        return reply
    raise Error(500, "CODEC", "more than one reply came")


async def _feed(call: Call, stream: Collecting, requests: Any) -> None:
    async with aclosing(outgoing_requests(call, requests)) as messages:
        async for message in messages:
            if not await stream.offer(message):
                return
    await stream.end()
