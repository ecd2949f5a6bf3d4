"""One call over a WebSocket, at the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from kratos.encoding import CodecError
from kratos.encoding.http_body import is_http_body, raw
from kratos.errors import Error
from kratos.transport import Call, Cause
from kratos.transport.http import Head, Socket
from kratos_http._control import (
    END,
    ERROR,
    HEADERS,
    PREFIX,
    TRAILERS,
    error_message,
    fields_message,
    read_error,
)
from kratos_http._handshake import PROTOCOL, offers
from kratos_http._idle import IdleWatch
from kratos_http._inbound import Asked, add_headers, is_binary
from kratos_http.rest import bad_request

if TYPE_CHECKING:
    from kratos_http.websocket import WebSocketEndpoint

__all__ = ["Conversation"]

_log = logging.getLogger("kratos.http")

_NORMAL: Final = 1000
_INTERNAL: Final = 1011
_RESTARTING: Final = 1012
_HANDSHAKE: Final = b"sec-websocket-"


class _Entering(Call):
    """A call that tells when its handler is entered: then the handshake is accepted."""

    __slots__ = ("on_entry",)

    on_entry: Callable[[], None]

    def seal(self) -> None:
        """Enter the handler; see ``Call``."""
        super().seal()
        self.on_entry()


class Conversation:
    """A call and its socket.

    Args:
        endpoint: Whose call it is.
        head: The handshake.
        socket: The socket.
    """

    __slots__ = (
        "_accepting",
        "_as_is",
        "_asked",
        "_binary",
        "_call",
        "_codec",
        "_ended",
        "_endpoint",
        "_expected",
        "_head",
        "_kind",
        "_own",
        "_sent_headers",
        "_socket",
    )

    def __init__(self, endpoint: WebSocketEndpoint, head: Head, socket: Socket) -> None:
        options, method = endpoint.options, endpoint.operation.method
        self._endpoint = endpoint
        self._head = head
        self._socket = socket
        asked = self._asked = Asked(head)
        self._codec = asked.encoder(options.codecs)
        self._kind = asked.decoder(options.codecs)
        self._expected: type[Message] = method.reply
        self._as_is = is_http_body(cast("Descriptor", self._expected.DESCRIPTOR))
        self._binary = self._as_is or is_binary(self._codec)
        self._own = offers(head)
        self._accepting: asyncio.Task[None] | None = None
        self._sent_headers = False
        self._ended = False  # the requests have
        sink = self._send if method.arity.server_streams else None
        call = cast("_Entering", asked.call(method, options.endpoint, sink, kind=_Entering))
        call.on_entry = self._accept_soon
        self._call: Call = call

    async def run(self) -> None:
        """Run the call and say how it ended."""
        self._head.running = self  # to its last word: an engine would cancel the task instead
        try:
            await self._end(await self._run())
        finally:
            self._head.running = None

    async def _run(self) -> Error | None:
        """Run the call, send its one reply if it has one, and return what failed."""
        call = self._call
        failure: Error | None = None
        reply: Any = None
        try:
            call.deadline = self._asked.deadline()
            with IdleWatch(call, self._endpoint.streams.idle_timeout):
                reply = await self._endpoint.operation.run(call, _Requests(self))
        except Error as error:
            failure = error
        if failure is None and not call.method.arity.server_streams:
            failure = await self._reply(reply)
        return failure

    def cancel(self, cause: Cause, /) -> None:
        """Cancel the call, unless the peer has ended its requests by closing, as Go allows."""
        socket = self._socket
        is_end = socket.close_code == _NORMAL and not self._ended and socket.newest != END
        if not (cause is Cause.PEER_GONE and is_end):
            self._call.cancel(cause)

    async def receive(self) -> Any:
        """Return the next request.

        Raises:
            StopAsyncIteration: The peer has ended its requests.
            Error: It has gone, has failed, or sent what is no request.
        """
        if self._ended:
            raise StopAsyncIteration
        await self._accept()
        message = await self._socket.receive()
        if message is None:
            self._ended = True
            if self._socket.close_code == _NORMAL:
                raise StopAsyncIteration
            raise Cause.PEER_GONE.error()
        if isinstance(message, str):
            if message.startswith(PREFIX):
                self._ended = True
                self._control(message)  # raises
            message = message.encode()
        try:
            return self._endpoint.binding.request(self._head, self._kind, message)
        except CodecError as error:
            raise bad_request(error) from error

    def _control(self, message: str) -> None:
        if message == END:
            raise StopAsyncIteration
        if message.startswith(ERROR):
            told = read_error(message.removeprefix(ERROR), own=self._own)
            raise Error(499, "CLIENT_FAILED", told.message)
        raise Error(400, "CODEC", "a message that begins with 0x1E is none of those known")

    async def _send(self, message: Any) -> None:
        """Send a reply; what ``Call.send`` ends in."""
        data = self._encoded(message)
        await self._accept()
        await self._send_late_headers()
        await self._socket.send(data)

    async def _send_late_headers(self) -> None:
        """Send what the handler added to the headers after the handshake.

        Only our own clients take it: in HTTP there is no other place for it.
        """
        if self._sent_headers:
            return
        self._sent_headers = True
        call = self._call
        call.reply_headers.freeze()
        if self._own and len(call.reply_headers):
            await self._socket.send(fields_message(HEADERS, call.reply_headers))

    async def _reply(self, reply: Any) -> Error | None:
        """Send the one reply, and return what forbids it."""
        try:
            await self._send(reply)
        except Error as error:
            return error
        except Exception as error:
            _log.error("%s failed", self._call.method.operation, exc_info=error)
            return Error(500, "UNKNOWN", "unknown request error")
        return None

    def _encoded(self, message: Any) -> str | bytes:
        if not isinstance(message, self._expected):
            raise TypeError(f"{self._call.method.operation} sent {type(message).__name__}")
        data = raw(message)[1] if self._as_is else self._codec.encode(message)
        return data if self._binary else data.decode()

    def _accept_soon(self) -> None:
        if self._accepting is None:
            self._accepting = asyncio.create_task(self._answer())

    async def _accept(self) -> None:
        """Wait until the handshake is accepted."""
        self._accept_soon()
        assert self._accepting is not None, "made above"
        if not self._accepting.done():
            await asyncio.shield(self._accepting)
        self._accepting.result()

    async def _answer(self) -> None:
        headers = [
            pair for pair in self._call.reply_headers.raw() if not pair[0].startswith(_HANDSHAKE)
        ]
        if self._own:
            headers.append((b"sec-websocket-protocol", PROTOCOL))
        await self._socket.accept(headers)

    async def _end(self, error: Error | None) -> None:
        """Close the socket; what failed is the answer to the handshake, or the last message."""
        accepting = self._accepting
        if accepting is not None:
            await asyncio.wait((accepting,))
        accepted = accepting is not None and accepting.exception() is None
        try:
            if not accepted and error is not None:
                reply = self._endpoint.options.error_reply(error, self._asked.accept)
                add_headers(reply, self._call)
                await self._socket.refuse(reply)
                return
            if not accepted:
                await self._accept()
            await self._last_words(error)
        except Error:
            _log.debug("%s: the peer went away", self._call.method.operation)

    async def _last_words(self, error: Error | None) -> None:
        call, socket = self._call, self._socket
        if error is None:
            await self._send_late_headers()
        if self._own and len(call.trailers):
            await socket.send(fields_message(TRAILERS, call.trailers))
        if error is None:
            await socket.close(_NORMAL)
            return
        await socket.send(error_message(error, own=self._own))
        draining = (error.code, error.reason) == (503, "DRAINING")
        reason = error_message(error, own=False).removeprefix(ERROR)
        await socket.close(_RESTARTING if draining else _INTERNAL, reason)


class _Requests(AsyncIterator[Any]):
    """The requests of a conversation."""

    __slots__ = ("_conversation",)

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    async def __anext__(self) -> Any:
        return await self._conversation.receive()
