"""A call with one request and one reply, on the HTTP seam: the fast path."""

from __future__ import annotations

from asyncio import get_running_loop
from typing import Final

from google.protobuf.message import Message

from kratos.errors import Error
from kratos.transport import Call, Header, Operation, Side
from kratos.transport.http import Head, Reply, WireHeaders
from kratos_grpc._asked import Asked
from kratos_grpc._codings import compressed
from kratos_grpc._envelopes import COMPRESSED, OVERHEAD, PREFIX, whole
from kratos_grpc._failing import ending, headers_of, sendable, unexpected
from kratos_grpc._inward import message_of, wrong_requests
from kratos_grpc._peer_call import PeerCall
from kratos_grpc._sizes import reply_not_sent, request_not_taken
from kratos_grpc._terms import Terms
from kratos_grpc._trailers import FINE

__all__ = ["UnaryEndpoint"]

_SERVER: Final = Side.SERVER  # members of enumerations are slow to look up


class UnaryEndpoint:
    """A ``Buffered`` endpoint for one head.

    Args:
        operation: What is called.
        asked: What the head asks for.
        terms: Of the server.

    Attributes:
        max_body: Bytes of the largest body.
    """

    __slots__ = (
        "_asked",
        "_decode",
        "_encode",
        "_kind",
        "_max_send",
        "_metadata",
        "_method",
        "_place",
        "_plain",
        "_reply",
        "_run",
        "_seconds",
        "_terms",
        "max_body",
    )

    def __init__(self, operation: Operation, asked: Asked, terms: Terms) -> None:
        # All that a call needs by itself: each step to another object takes its time.
        self._run = operation.run
        self._method = operation.method
        self._kind: type[Message] = operation.method.reply
        self._asked = asked
        self._decode = asked.format.decode
        self._encode = asked.format.encode
        self._metadata = asked.metadata
        self._seconds = asked.seconds
        self._reply = asked.framing.reply
        self._terms = terms
        self._place = terms.place
        self._max_send = terms.max_send
        self._plain = asked.compression is None
        self.max_body = asked.framing.room(terms.max_receive + OVERHEAD)

    def varied(self, fields: WireHeaders, /) -> UnaryEndpoint | None:
        """Return one for a head with further fields; see ``HttpProtocol.route``."""
        varied = self._asked.varied(fields)
        if varied is None:
            return None
        made: UnaryEndpoint = UnaryEndpoint.__new__(UnaryEndpoint)
        made._seconds, made._metadata = varied
        made._run = self._run
        made._method = self._method
        made._kind = self._kind
        made._asked = self._asked
        made._decode = self._decode
        made._encode = self._encode
        made._reply = self._reply
        made._terms = self._terms
        made._place = self._place
        made._max_send = self._max_send
        made._plain = self._plain
        made.max_body = self.max_body
        return made

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        """Decode, call, encode."""
        method = self._method
        call = PeerCall(
            method, _SERVER, "grpc", Header(self._metadata), head.peer, self._place.endpoint
        )
        call.certificate = head.certificate
        try:
            if self._seconds is not None:
                call.deadline = get_running_loop().time() + self._seconds
            size = len(body) - OVERHEAD
            if size >= 0 and PREFIX.unpack_from(body) == (0, size):
                request = self._decode(method, body[OVERHEAD:])
            else:
                request = await self._read(body)
            head.running = call
            message = await self._run(call, request)
            head.running = None
            data = self._encode(method, self._kind, message)
            if self._max_send is not None and len(data) > self._max_send:
                raise reply_not_sent(method.operation, len(data), self._max_send)
            if self._plain and call.is_bare and not self._terms.leaving:
                return self._reply(self._asked.headers, PREFIX.pack(0, len(data)) + data, FINE)
            return await self._told(call, data)
        except Error as error:
            return self._failed(call, error)
        except Exception as error:
            return self._failed(call, unexpected(method.operation, error))

    def overflow(self, _head: Head, _error: Error, /) -> Reply:
        """Answer a body that is too large; see ``Buffered``."""
        return self._failed(None, request_not_taken(None, self._terms.max_receive))

    async def _read(self, body: bytes) -> Message:
        """Return the request of a body that is not as most are."""
        asked = self._asked
        messages = whole(asked.framing.whole(body), self._terms.max_receive)
        if len(messages) != 1:
            raise wrong_requests(self._method, len(messages))
        flags, data = messages[0]
        most = self._terms.max_receive
        return self._decode(self._method, await message_of(flags, data, asked.coding, most))

    async def _told(self, call: Call, data: bytes) -> Reply:
        """Return the answer of a call that has headers, trailers, or a coding."""
        asked = self._asked
        flags, headers = 0, asked.headers
        if asked.compression is not None and len(data) >= self._terms.plain_below:
            flags, headers = COMPRESSED, asked.compressed_headers
            data = await compressed(data, asked.compression)
        headers = headers_of(call, headers)
        trailers = ending(call, None, leaving=self._terms.leaving)
        return self._reply(headers, PREFIX.pack(flags, len(data)) + data, trailers)

    def _failed(self, call: Call | None, error: Error) -> Reply:
        asked = self._asked
        trailers = ending(call, error, leaving=self._terms.leaving)
        headers: WireHeaders = asked.headers
        if call is None or not call.reply_headers:
            return asked.framing.refusal(headers, trailers)
        own = sendable(self._method.operation, call.reply_headers)
        return self._reply([*headers, *own], b"", trailers)
