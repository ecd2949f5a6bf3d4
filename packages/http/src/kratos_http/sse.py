"""Server streaming over HTTP: server-sent events (Go: transport/http/stream.go)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from kratos.encoding import Codec, CodecError, content_type
from kratos.encoding.http_body import is_http_body, raw
from kratos.errors import Error
from kratos.limit import cancel_and_wait
from kratos.transport import Call, HttpRule, Operation
from kratos.transport.http import Head, Reply, Wire
from kratos_http._decoding import binding_of
from kratos_http._events import COMMENT, EVENT_STREAM, event
from kratos_http._idle import IdleWatch
from kratos_http._inbound import Asked, add_headers, is_binary
from kratos_http._request_body import read_body
from kratos_http._turns import Turns
from kratos_http.encoders import encode_error
from kratos_http.limits import Limits
from kratos_http.rest import RestOptions, bad_request
from kratos_http.streams import StreamOptions

__all__ = ["SseEndpoint"]

_log = logging.getLogger("kratos.http")

_HEADERS: Final = (
    (b"content-type", EVENT_STREAM),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


class SseEndpoint:
    """A ``Streamed`` endpoint: one rule of one method that streams replies.

    The first message sends status 200 and the headers. An error before it is an ordinary
    answer, one after it an event of type ``error``, and the last one. A stream without messages
    has the headers of one with messages, where Go sends none.

    Args:
        operation: What is called.
        rule: How it is reached.
        variables: Names of the path variables, in the order of ``Head.params``.
        options: Shared by the server's endpoints.
        streams: Shared by the server's streams.
        limits: Of the request's body.

    Attributes:
        options: Shared by the server's endpoints.
        reply: Type of the messages sent.
        streams: Shared by the server's streams.

    Raises:
        ConfigError: The rule names a field that its message has not.
    """

    __slots__ = ("_binding", "_limits", "_operation", "options", "reply", "streams")

    def __init__(
        self,
        operation: Operation,
        rule: HttpRule,
        variables: tuple[str, ...],
        options: RestOptions,
        *,
        streams: StreamOptions,
        limits: Limits,
    ) -> None:
        self._operation = operation
        self._binding = binding_of(operation.method, rule, variables, options)
        self._limits = limits
        self.reply: type[Message] = operation.method.reply
        self.options = options
        self.streams = streams

    async def converse(self, head: Head, wire: Wire, /) -> None:
        """Bind, call, and send what the call sends."""
        asked = Asked(head)
        replies = _Replies(self, wire, asked)
        replies.call = asked.call(self._operation.method, self.options.endpoint, replies.send)
        try:
            await replies.end(await self._failure(head, wire, replies, asked))
        finally:
            head.running = None

    async def _failure(
        self, head: Head, wire: Wire, replies: _Replies, asked: Asked
    ) -> Error | None:
        """Run the call and return what failed."""
        call = replies.call
        try:
            if head.method == "HEAD":
                raise Error(405, "METHOD_NOT_ALLOWED", "HEAD is not served by a stream")
            body = await read_body(wire, head, self._limits)
            call.deadline = asked.deadline()
            request = self._binding.request(head, asked.content_type, body)
            head.running = call  # to its last event: an engine would cancel the task instead
            with IdleWatch(call, self.streams.idle_timeout):
                await self._run(call, request, replies)
        except CodecError as error:
            return bad_request(error)
        except Error as error:
            return error
        return None

    async def _run(self, call: Call, request: Message, replies: _Replies) -> None:
        seconds = self.streams.heartbeat
        if seconds is None:
            await self._operation.run(call, request)
            return
        beating = asyncio.create_task(replies.beat(seconds))
        try:
            await self._operation.run(call, request)
        finally:
            await cancel_and_wait(beating)


class _Replies:
    """The answer to one request."""

    __slots__ = (
        "_accept",
        "_as_is",
        "_codec",
        "_event_id",
        "_expected",
        "_options",
        "_sending",
        "_started",
        "_turns",
        "_wire",
        "_written",
        "call",
    )

    call: Call

    def __init__(self, endpoint: SseEndpoint, wire: Wire, asked: Asked) -> None:
        options = self._options = endpoint.options
        self._wire = wire
        self._accept = asked.accept
        codec = asked.encoder(options.codecs)
        if is_binary(codec):  # which lines of text cannot carry
            codec = options.codecs.select("", fallback="protojson").codec
        self._codec: Codec = codec
        self._event_id = endpoint.streams.event_id
        self._expected: type[Message] = endpoint.reply
        self._as_is = is_http_body(cast("Descriptor", self._expected.DESCRIPTOR))
        self._sending = asyncio.Lock()  # a handler may send from several tasks
        self._turns = Turns()
        self._started = False
        self._written = False  # since the latest beat

    async def send(self, message: Any) -> None:
        """Send a message as an event; what ``Call.send`` ends in.

        Raises:
            TypeError: It is no reply of the method.
            CodecError: It cannot be expressed.
            Error: The peer has gone.
        """
        if not isinstance(message, self._expected):
            raise TypeError(f"{self.call.method.operation} sent {type(message).__name__}")
        data = raw(message)[1] if self._as_is else self._codec.encode(message)
        identifier = self._event_id(message) if self._event_id is not None else ""
        await self._write(event("message", data, identifier))

    async def beat(self, seconds: float) -> None:
        """Send a comment whenever nothing was sent for some seconds, until cancelled."""
        while True:
            self._written = False
            await asyncio.sleep(seconds)
            if self._written or self._sending.locked():
                continue
            try:
                await self._write(COMMENT)
            except Error:
                return  # the peer has gone, and the engine tells the call

    async def end(self, error: Error | None) -> None:
        """End the answer; what failed is the answer, or its last event."""
        try:
            if error is not None and not self._started:
                reply = self._options.error_reply(error, self._accept)
                add_headers(reply, self.call)
                await self._say(reply)
                return
            if error is not None:
                await self._write(event("error", self._encoded(error)))
            elif not self._started:
                self._start()
            await self._wire.finish(self.call.trailers.raw())
        except Error:
            _log.debug("%s: the peer went away", self.call.method.operation)

    async def _write(self, data: bytes) -> None:
        async with self._sending:
            if not self._started:
                self._start()
            self._written = True
            await self._wire.write(data)
            await self._turns.take()

    def _start(self) -> None:
        self.call.reply_headers.freeze()
        reply = Reply(200, _HEADERS)
        add_headers(reply, self.call)
        self._wire.start(200, reply.headers)
        self._started = True

    async def _say(self, reply: Reply) -> None:
        """Send a whole answer."""
        length = (b"content-length", b"%d" % len(reply.body))
        try:
            self._wire.start(reply.status, [*reply.headers, length])
        except ValueError:
            _log.exception("%s: its headers cannot be sent", self.call.method.operation)
            self._wire.start(reply.status, [(b"content-type", b"application/json"), length])
        await self._wire.write(reply.body)
        await self._wire.finish()

    def _encoded(self, error: Error) -> bytes:
        kind = content_type(self._codec.name)
        return encode_error(error, kind, codecs=self._options.codecs).body
