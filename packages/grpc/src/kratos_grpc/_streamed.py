"""A call with streamed requests, replies or both, on the HTTP seam."""

from __future__ import annotations

import asyncio
import logging
from asyncio import get_running_loop
from typing import Any

from google.protobuf.message import Message

from kratos.errors import Error
from kratos.transport import Call, Header, Operation, Side
from kratos.transport.http import Head, Wire, WireHeaders
from kratos_grpc._asked import Asked
from kratos_grpc._codings import compressed
from kratos_grpc._envelopes import COMPRESSED, PLAIN, envelope
from kratos_grpc._failing import ending, headers_of, sendable, unexpected
from kratos_grpc._inward import StreamedRequests
from kratos_grpc._peer_call import PeerCall
from kratos_grpc._sizes import reply_not_sent
from kratos_grpc._terms import Terms
from kratos_grpc._turns import MANY

__all__ = ["RefusalEndpoint", "StreamedEndpoint"]

_log = logging.getLogger("kratos.grpc")


class StreamedEndpoint:
    """A ``Streamed`` endpoint for one head.

    Args:
        operation: What is called.
        asked: What the head asks for.
        terms: Of the server.
    """

    __slots__ = ("_asked", "_metadata", "_operation", "_seconds", "_terms")

    def __init__(self, operation: Operation, asked: Asked, terms: Terms) -> None:
        self._operation = operation
        self._asked = asked
        self._seconds = asked.seconds
        self._metadata = asked.metadata
        self._terms = terms

    def varied(self, fields: WireHeaders, /) -> StreamedEndpoint | None:
        """Return one for a head with further fields; see ``HttpProtocol.route``."""
        varied = self._asked.varied(fields)
        if varied is None:
            return None
        made = StreamedEndpoint(self._operation, self._asked, self._terms)
        made._seconds, made._metadata = varied
        return made

    async def converse(self, head: Head, wire: Wire, /) -> None:
        """Call, send what the call sends, and tell how it ended."""
        method = self._operation.method
        replies = _Replies(wire, self._asked, self._terms)
        streams = method.arity.server_streams
        replies.call = call = PeerCall(
            method,
            Side.SERVER,
            "grpc",
            Header(self._metadata),
            head.peer,
            self._terms.endpoint,
            sink=replies.send if streams else None,
        )
        call.certificate = head.certificate
        head.running = call  # to the end of the answer: an engine would cancel the task instead
        try:
            await replies.end(await self._failure(call, wire, replies))
        except Error as error:
            _log.debug("%s: nobody is left to answer: %s", method.operation, error)
        finally:
            head.running = None
            del replies, call  # each holds the other

    async def _failure(self, call: Call, wire: Wire, replies: _Replies) -> Error | None:
        """Run the call and return what failed."""
        asked, operation = self._asked, self._operation
        method = operation.method
        if self._seconds is not None:
            call.deadline = get_running_loop().time() + self._seconds
        body = asked.framing.reader(wire)
        requests = StreamedRequests(method, asked, body, self._terms.max_receive)
        try:
            request: Any = requests
            if not method.arity.client_streams:
                request = await requests.only(call.deadline)
            reply = await operation.run(call, request)
            if not method.arity.server_streams:
                await replies.send(reply)
        except Error as error:
            return error
        except Exception as error:
            return unexpected(method.operation, error)
        return None


class RefusalEndpoint:
    """A ``Streamed`` endpoint that refuses a call without reading it.

    Args:
        asked: What the head asks for.
        error: What is told.
        terms: Of the server.
    """

    __slots__ = ("_asked", "_error", "_terms")

    def __init__(self, asked: Asked, error: Error, terms: Terms) -> None:
        self._asked = asked
        self._error = error
        self._terms = terms

    async def converse(self, _head: Head, wire: Wire, /) -> None:
        """Refuse the call."""
        asked = self._asked
        trailers = ending(None, self._error, leaving=self._terms.leaving)
        try:
            wire.start(200, asked.headers)
            await asked.framing.finish(wire, trailers)
        except Error as error:
            _log.debug("nobody is left to refuse: %s", error)


class _Replies:
    """The answer to one call."""

    __slots__ = (
        "_asked",
        "_encode",
        "_sending",
        "_sent",
        "_started",
        "_terms",
        "_wire",
        "call",
    )

    call: Call

    def __init__(self, wire: Wire, asked: Asked, terms: Terms) -> None:
        self._wire = wire
        self._asked = asked
        self._terms = terms
        self._encode = asked.format.encode
        self._started = False
        self._sent = 0
        self._sending = asyncio.Lock()  # a handler may send from several tasks

    async def send(self, message: Any) -> None:
        """Send a message; what ``Call.send`` ends in.

        Raises:
            TypeError: It is no reply of the method.
            ValueError: gRPC cannot carry one of the headers.
            Error: It exceeds the limit, or the peer has gone.
        """
        data = await self._enveloped(message)
        # Not "async with", which awaits twice more.
        await self._sending.acquire()
        try:
            if not self._started:
                self._start(headers_of(self.call, self._asked.compressed_headers))
            await self._wire.write(data)
        finally:
            self._sending.release()
        self._sent += 1
        if self._sent % MANY == 0:
            await asyncio.sleep(0)

    async def end(self, error: Error | None) -> None:
        """Tell how the call ended.

        Raises:
            Error: The peer has gone.
        """
        call = self.call
        leaving = self._terms.leaving
        headers: WireHeaders = ()
        trailers: WireHeaders = ()
        if error is None:
            try:
                headers = self._headers()
                trailers = ending(call, None, leaving=leaving)
            except ValueError as failure:
                error = unexpected(call.method.operation, failure)
        if error is not None:
            own = sendable(call.method.operation, call.reply_headers)
            headers = (*self._asked.headers, *own)
            trailers = ending(call, error, leaving=leaving)
        if not self._started:
            self._start(headers)
        await self._asked.framing.finish(self._wire, trailers)

    def _headers(self) -> WireHeaders:
        return () if self._started else headers_of(self.call, self._asked.headers)

    def _start(self, headers: WireHeaders) -> None:
        self._started = True
        self.call.reply_headers.freeze()
        self._wire.start(200, headers)

    async def _enveloped(self, message: Message) -> bytes:
        method, asked, most = self.call.method, self._asked, self._terms.max_send
        data = self._encode(method, method.reply, message)
        if most is not None and len(data) > most:
            raise reply_not_sent(method.operation, len(data), most)
        flags = PLAIN
        if asked.compression is not None and len(data) >= self._terms.plain_below:
            flags = COMPRESSED
            data = await compressed(data, asked.compression)
        return asked.framing.piece(envelope(data, flags))
