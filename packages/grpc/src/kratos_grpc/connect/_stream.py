"""Calls that stream: messages in envelopes both ways, the last of which tells how it ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, Final

from google.protobuf.message import Message

from kratos.errors import Error
from kratos.transport import Call, Cause, Operation
from kratos.transport.http import Head, Wire
from kratos_grpc._codings import MINIMUM, Coding, compressed, decompressed
from kratos_grpc._envelopes import COMPRESSED, PLAIN, Envelopes, cut_off, envelope
from kratos_grpc._failing import unexpected
from kratos_grpc._inward import wrong_requests
from kratos_grpc._sizes import reply_not_sent
from kratos_grpc._turns import MANY, Turns
from kratos_grpc.connect._asked import Asked, request_coding, require_version
from kratos_grpc.connect._errors import dumped, error_object
from kratos_grpc.connect._formats import Format
from kratos_grpc.connect._metadata import leading, listed
from kratos_grpc.connect._terms import Terms

__all__ = ["END", "StreamEndpoint"]

_log = logging.getLogger("kratos.connect")

END: Final = 2
"""The flag of the last envelope of an answer, which tells how the call ended."""

_WELL: Final = envelope(b"{}", END)
_CODING: Final = b"connect-content-encoding"


class StreamEndpoint:
    """A ``Streamed`` endpoint: one method that streams, in one format, for one head.

    Args:
        operation: What is called.
        form: How its messages are read and written.
        asked: What the head asks for.
        terms: What all calls have in common.
    """

    __slots__ = ("_asked", "_form", "_operation", "_terms")

    def __init__(self, operation: Operation, form: Format, asked: Asked, terms: Terms) -> None:
        self._operation = operation
        self._form = form
        self._asked = asked
        self._terms = terms

    async def converse(self, head: Head, wire: Wire, /) -> None:
        """Read, call, and send what the call sends."""
        replies = _Replies(wire, self._form, self._terms)
        sink = replies.send if self._operation.method.arity.server_streams else None
        call = replies.call = self._asked.call(self._operation, head, self._terms, sink)
        try:
            await replies.end(await self._failure(head, wire, call, replies))
        finally:
            head.running = None

    async def _failure(self, head: Head, wire: Wire, call: Call, replies: _Replies) -> Error | None:
        """Run the call and return what failed."""
        asked, terms = self._asked, self._terms
        arity = self._operation.method.arity
        replies.coding = terms.reply_coding(asked.accept, asked.coding)
        try:
            if asked.failure is not None:
                raise asked.failure.clone()
            require_version(asked.version, terms)
            requests = _Requests(wire, self._form, request_coding(asked.coding), terms.max_receive)
            head.running = call
            request: Any = requests
            if not arity.client_streams:
                request = await _only(requests, call, terms.request_timeout)
            reply = await self._operation.run(call, request)
            if not arity.server_streams:
                await replies.send(reply)
        except Error as error:
            return error
        except Exception as failure:
            return unexpected(call.method.operation, failure)
        return None


class _Requests(AsyncIterator[Message]):
    """The requests of a call, which end where its body does, and only there."""

    __slots__ = ("_coding", "_envelopes", "_form", "_most", "_turns", "_wire")

    def __init__(self, wire: Wire, form: Format, coding: Coding | None, most: int) -> None:
        self._wire = wire
        self._form = form
        self._coding = coding
        self._most = most
        self._envelopes = Envelopes(most)
        self._turns = Turns()

    async def __anext__(self) -> Message:
        if self._turns.over:
            await asyncio.sleep(0)
        envelopes = self._envelopes
        while (found := envelopes.take()) is None:
            piece = await self._wire.read()
            if not piece:
                if envelopes.begun:
                    raise cut_off()
                raise StopAsyncIteration
            envelopes.feed(piece)
        flags, data = found
        self._turns.note(flags)
        if flags != PLAIN:
            try:
                data = await self._opened(flags, data)
            except asyncio.CancelledError:
                envelopes.put_back(data)  # who waits no more may ask again
                raise
        return self._form.read(data)

    async def _opened(self, flags: int, data: bytes) -> bytes:
        if flags != COMPRESSED:
            raise Error(400, "CODEC", f"an envelope has the flags {flags:#04x}: requests have 0, 1")
        if self._coding is None:
            text = "a message is compressed, and no Connect-Content-Encoding tells how"
            raise Error(500, "CODEC", text)
        return await decompressed(data, self._coding, self._most) if data else data


class _Replies:
    """The answer to one request.

    Attributes:
        call: The call.
        coding: How messages are compressed; ``None`` for not at all.
    """

    __slots__ = ("_form", "_sending", "_sent", "_started", "_terms", "_wire", "call", "coding")

    call: Call

    def __init__(self, wire: Wire, form: Format, terms: Terms) -> None:
        self._wire = wire
        self._form = form
        self._terms = terms
        self._sending = asyncio.Lock()  # a handler may send from several tasks
        self._sent = 0
        self._started = False
        self.coding: Coding | None = None

    async def send(self, message: Any) -> None:
        """Send a message.

        Raises:
            TypeError: It is no reply of the method.
            Error: It is too large, or the peer has gone.
        """
        data = self._form.write(message)
        most = self._terms.max_send
        if most is not None and len(data) > most:
            raise reply_not_sent(self.call.method.operation, len(data), most)
        # Not "async with", which awaits twice more.
        await self._sending.acquire()
        try:
            flags = PLAIN
            if self.coding is not None and len(data) >= MINIMUM:
                data, flags = await compressed(data, self.coding), COMPRESSED
            if not self._started:
                self._start(leading(self.call.reply_headers))
            await self._wire.write(envelope(data, flags))
        finally:
            self._sending.release()
        self._sent += 1
        if self._sent % MANY == 0:
            await asyncio.sleep(0)

    async def end(self, error: Error | None) -> None:
        """End the answer, and tell what failed."""
        call = self.call
        told: dict[str, Any] = {}
        try:
            if not call.is_bare:
                error = self._add_trailers(told) or error
            if not self._started:
                error = self._start_late() or error
            if error is not None:
                told["error"] = error_object(error)[1]
            await self._wire.write(envelope(dumped(told), END) if told else _WELL)
            await self._wire.finish()
        except Error:
            _log.debug("%s: the peer went away", call.method.operation)

    def _start(self, headers: list[tuple[bytes, bytes]]) -> None:
        self.call.reply_headers.freeze()
        told = [*self._form.stream_type, *headers]
        if self.coding is not None:
            told.append((_CODING, self.coding.name))
        self._wire.start(200, told)
        self._started = True

    def _start_late(self) -> Error | None:
        """Start an answer without messages; return what its headers failed with."""
        try:
            self._start(leading(self.call.reply_headers))
        except ValueError as failure:
            self._start([])
            return unexpected(self.call.method.operation, failure)
        return None

    def _add_trailers(self, told: dict[str, Any]) -> Error | None:
        """Tell the trailers; return what they failed with."""
        try:
            if trailers := listed(self.call.trailers):
                told["metadata"] = trailers
        except ValueError as failure:
            return unexpected(self.call.method.operation, failure)
        return None


async def _only(requests: _Requests, call: Call, timeout: float) -> Message:
    """Return the request of a call that has one.

    Raises:
        Error: 501 UNIMPLEMENTED: it has another number of them. 408: it came too slowly. 504: the
            caller's time was over before.
    """
    only: Message | None = None
    latest = asyncio.get_running_loop().time() + timeout
    late = call.deadline is not None and call.deadline < latest
    try:
        async with asyncio.timeout_at(call.deadline if late else latest):
            async for request in requests:
                if only is not None:
                    raise wrong_requests(call.method, 2)
                only = request
    except TimeoutError as error:
        if late:
            raise Cause.DEADLINE.error() from None
        raise Error(408, "REQUEST_TIMEOUT", "the request came too slowly") from error
    if only is None:
        raise wrong_requests(call.method, 0)
    return only
