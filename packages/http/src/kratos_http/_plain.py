"""Endpoints of plain handlers: chain and errors as of services, the rest as they like."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from inspect import isawaitable
from typing import Any, Final, TypeAlias

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from kratos.encoding import CodecError
from kratos.errors import Error
from kratos.transport import Arity, Call, Handler, Method, Operation
from kratos.transport.cause import Cause
from kratos.transport.http import Head, Reply, Wire
from kratos_http._handlers import awaits
from kratos_http._inbound import Asked, add_headers
from kratos_http._request_body import Upload
from kratos_http._sending import send, send_stream, start_stream
from kratos_http.encoders import encode_reply
from kratos_http.limits import Limits
from kratos_http.replies import StreamReply
from kratos_http.request import Request
from kratos_http.rest import RestOptions

__all__ = [
    "SENT",
    "PlainEndpoint",
    "PlainHandler",
    "StreamedPlainEndpoint",
    "Streaming",
    "answered",
    "method_of",
    "params_of",
    "whole",
]

_log = logging.getLogger("kratos.http")

SENT: Final = object()  # what a handler returns to the chain when it has sent its answer

PlainHandler: TypeAlias = Callable[[Request], Awaitable["Reply | StreamReply | Message"]]


def method_of(path: str, *, streamed: bool) -> Method[Any, Any]:
    """Return what chains see of a plain handler: the path is its name, as in Go.

    Streams have no time limit of their own, so neither have handlers that stream.
    """
    arity = Arity.SERVER_STREAM if streamed else Arity.UNARY
    return Method(operation=path, name=path, arity=arity, request=Empty, reply=Empty)


class Streaming(Request):
    """A request whose answer may be a stream."""

    __slots__ = ("began", "wire")

    def __init__(
        self,
        head: Head,
        call: Call,
        params: Mapping[str, str],
        read: Callable[[], Awaitable[bytes]],
        wire: Wire,
        options: RestOptions,
    ) -> None:
        super().__init__(head, call, params, read, codecs=options.codecs, decoders=options.decoders)
        self.wire = wire
        self.began = False

    async def send(self, reply: StreamReply) -> None:
        """Send the answer, within the call, so that the chain sees its end."""
        call = self.call
        try:
            await self.run_hooks()
            start_stream(self.wire, reply, call.reply_headers.raw())
            self.began = True
            call.reply_headers.freeze()
            await send_stream(self.wire, self.head, reply, call.trailers.raw())
        finally:
            if reply.close is not None:
                reply.close()


def whole(handler: PlainHandler) -> Handler:
    """Return the innermost handler of a chain: calls it, and sends the stream that it returns."""
    handler = handler if awaits(handler) else _checked(handler)

    async def innermost(call: Call, request: Any) -> Any:
        call.seal()
        result = await handler(request)
        if not isinstance(result, StreamReply):
            return result
        if not isinstance(request, Streaming):
            raise TypeError(f"{call.method.operation}: a StreamReply needs streamed=True")
        await request.send(result)
        return SENT

    return innermost


def _checked(handler: PlainHandler) -> PlainHandler:
    async def checked(request: Request) -> Any:
        result = handler(request)
        if not isawaitable(result):
            raise TypeError(f"{handler!r} must be async: it returned {type(result).__name__}")
        return await result

    return checked


class PlainEndpoint:
    """A ``Buffered`` endpoint of a plain handler.

    Args:
        operation: What is called.
        variables: Names of the path variables, in the order of ``Head.params``.
        options: How answers are made.
        max_body: Bytes of the largest body.
    """

    __slots__ = ("_max_body", "_operation", "_options", "_variables")

    def __init__(
        self,
        operation: Operation,
        variables: tuple[str, ...],
        options: RestOptions,
        *,
        max_body: int,
    ) -> None:
        self._operation = operation
        self._variables = variables
        self._options = options
        self._max_body = max_body

    @property
    def max_body(self) -> int:
        """Bytes of the largest body."""
        return self._max_body

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        """Call, and encode."""
        asked = Asked(head)
        call = asked.call(self._operation.method, self._options.endpoint, None)
        options = self._options
        request = Request(
            head,
            call,
            params_of(self._variables, head),
            _once(body),
            codecs=options.codecs,
            decoders=options.decoders,
        )
        reply = await answered(self._operation, request, asked, self._options)
        assert reply is not None, "a handler without a wire sends nothing by itself"
        return reply


class StreamedPlainEndpoint:
    """A ``Streamed`` endpoint of a plain handler.

    Args:
        operation: What is called.
        variables: Names of the path variables, in the order of ``Head.params``.
        options: How answers are made.
        max_body: Bytes of the largest body.
        limits: Of the server.
    """

    __slots__ = ("_limits", "_max_body", "_operation", "_options", "_variables")

    def __init__(
        self,
        operation: Operation,
        variables: tuple[str, ...],
        options: RestOptions,
        *,
        max_body: int,
        limits: Limits,
    ) -> None:
        self._operation = operation
        self._variables = variables
        self._options = options
        self._max_body = max_body
        self._limits = limits

    async def converse(self, head: Head, wire: Wire, /) -> None:
        """Call, and send what the handler has not sent by itself."""
        asked = Asked(head)
        call = asked.call(self._operation.method, self._options.endpoint, None)
        upload = Upload(wire, head, limit=self._max_body, limits=self._limits)
        params = params_of(self._variables, head)
        request = Streaming(head, call, params, upload.read, wire, self._options)
        reply = await answered(self._operation, request, asked, self._options)
        if reply is not None:
            with suppress(Error):  # the peer has gone, so there is nobody to tell
                await send(wire, reply)


async def answered(
    operation: Operation, request: Request, asked: Asked, options: RestOptions
) -> Reply | None:
    """Run the call and return its answer; ``None`` if it was sent, or broken off."""
    call, head = request.call, request.head
    try:
        call.deadline = asked.deadline()
        head.running = call
        result = await operation.run(call, request)
        head.running = None
        if result is SENT:
            return None
        reply = _encoded(call, result, asked.accept, options)
    except Error as error:
        if isinstance(request, Streaming) and request.began:
            request.wire.reset(call.cause or Cause.CALLER)
            return None
        reply = options.error_reply(error, asked.accept)
    if not call.is_bare:
        add_headers(reply, call)
    return reply


def _encoded(call: Call, result: object, accept: str, options: RestOptions) -> Reply:
    if isinstance(result, Reply):
        # A copy: the handler may return the same one each time.
        return Reply(result.status, result.headers, result.body, result.trailers)
    if not isinstance(result, Message):
        _log.error(
            "%s returned %s: return json_reply(...), text_reply(...), another Reply, or a message",
            call.method.operation,
            type(result).__name__,
        )
        raise Error(500, "UNKNOWN", "unknown request error")
    if options.reply_encoder is not None:
        return options.reply_encoder(call, result, accept)
    try:
        return encode_reply(result, accept, codecs=options.codecs)
    except CodecError as error:
        _log.error("%s returned what cannot be sent: %s", call.method.operation, error)
        raise Error(500, "UNKNOWN", "unknown request error") from error


def params_of(variables: tuple[str, ...], head: Head) -> Mapping[str, str]:
    """Return the values of a path's variables by name."""
    return dict(zip(variables, head.params, strict=True)) if variables else {}


def _once(body: bytes) -> Callable[[], Awaitable[bytes]]:
    pieces = [body]

    async def read() -> bytes:
        return pieces.pop() if pieces else b""

    return read
