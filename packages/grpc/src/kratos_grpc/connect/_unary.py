"""Calls with one request and one reply: an ordinary POST and its answer, or a GET."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kratos.errors import Error
from kratos.transport import Call, Operation
from kratos.transport.http import Head, Reply, WireHeaders
from kratos_grpc._codings import MINIMUM, compressed, decompressed
from kratos_grpc._failing import unexpected
from kratos_grpc._sizes import reply_not_sent, request_not_taken
from kratos_grpc.connect._asked import Asked, request_coding, require_version
from kratos_grpc.connect._errors import dumped, error_object
from kratos_grpc.connect._formats import Format
from kratos_grpc.connect._metadata import leading, trailing
from kratos_grpc.connect._terms import Terms
from kratos_http.connect_codes import status_of
from kratos_http.connect_query import Query

__all__ = ["GetEndpoint", "UnaryEndpoint", "error_reply"]

_JSON: Final = ((b"content-type", b"application/json"),)
_VARY: Final = (b"vary", b"accept-encoding")
_NO_BODY: Final = 0


class _Unary:
    """What both have in common.

    Args:
        operation: What is called.
        asked: What the head asks for.
        terms: What all calls have in common.
    """

    __slots__ = ("_asked", "_operation", "_terms")

    def __init__(self, operation: Operation, asked: Asked, terms: Terms) -> None:
        self._operation = operation
        self._asked = asked
        self._terms = terms

    def overflow(self, _head: Head, _error: Error, /) -> Reply:
        """Answer a body that is too large; see ``Buffered``."""
        return error_reply(request_not_taken(None, self._terms.max_receive))

    async def _inflated(self, body: bytes, name: bytes) -> bytes:
        """Return a message as it was before it was compressed."""
        coding = request_coding(name)
        if coding is None or not body:
            return body
        return await decompressed(body, coding, self._terms.max_receive)

    async def _called(self, head: Head, call: Call, form: Format, body: bytes) -> bytes:
        """Return the reply's bytes."""
        request = form.read(body)
        head.running = call
        message = await self._operation.run(call, request)
        head.running = None
        data = form.write(message)
        most = self._terms.max_send
        if most is not None and len(data) > most:
            raise reply_not_sent(call.method.operation, len(data), most)
        return data

    async def _told(self, call: Call, form: Format, data: bytes, used: bytes) -> Reply:
        """Return the answer of a call that has headers, trailers, or perhaps a coding."""
        call.reply_headers.freeze()
        headers = [*form.content_type, *leading(call.reply_headers), *trailing(call.trailers)]
        if self._terms.codings:
            headers.append(_VARY)
            coding = self._terms.reply_coding(self._asked.accept, used)
            if coding is not None and len(data) >= MINIMUM:
                data = await compressed(data, coding)
                headers.append((b"content-encoding", coding.name))
        return Reply(200, headers, data)


class UnaryEndpoint(_Unary):
    """A ``Buffered`` endpoint: one unary method in one format, for one head.

    Args:
        operation: What is called.
        form: How its messages are read and written.
        asked: What the head asks for.
        terms: What all calls have in common.

    Attributes:
        max_body: Bytes of the largest request.
    """

    __slots__ = ("_form", "max_body")

    def __init__(self, operation: Operation, form: Format, asked: Asked, terms: Terms) -> None:
        super().__init__(operation, asked, terms)
        self._form = form
        self.max_body = terms.max_receive

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        """Read, call, write."""
        asked, form, terms = self._asked, self._form, self._terms
        call = asked.call(self._operation, head, terms, None)
        try:
            if asked.failure is not None:
                raise asked.failure.clone()
            require_version(asked.version, terms)
            if asked.coding:
                body = await self._inflated(body, asked.coding)
            data = await self._called(head, call, form, body)
            if call.is_bare and not terms.codings:
                return Reply(200, form.content_type, data)
            return await self._told(call, form, data, asked.coding)
        except Error as error:
            return _failed(call, error)
        except Exception as failure:
            return _failed(call, unexpected(call.method.operation, failure))


class GetEndpoint(_Unary):
    """A ``Buffered`` endpoint: one unary method without side effects, its request in the query.

    Args:
        operation: What is called.
        forms: How its messages are read and written, by the names that a query may give.
        asked: What the head asks for.
        terms: What all calls have in common.

    Attributes:
        max_body: Bytes of the largest body: none.
    """

    __slots__ = ("_forms", "max_body")

    def __init__(
        self, operation: Operation, forms: Mapping[bytes, Format], asked: Asked, terms: Terms
    ) -> None:
        super().__init__(operation, asked, terms)
        self._forms = forms
        self.max_body = _NO_BODY

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        """Read the query, call, write."""
        asked, terms = self._asked, self._terms
        call = asked.call(self._operation, head, terms, None)
        try:
            if asked.failure is not None:
                raise asked.failure.clone()
            query = Query(head.query)
            form = self._forms.get(query.encoding)
            if form is None:
                return _unreadable(self._forms, query)
            require_version(query.version or asked.version, terms)
            message = query.message()
            if len(message) > terms.max_receive:
                raise request_not_taken(len(message), terms.max_receive)
            message = await self._inflated(message, query.compression)
            data = await self._called(head, call, form, message)
            return await self._told(call, form, data, query.compression)
        except Error as error:
            return _failed(call, error)
        except Exception as failure:
            return _failed(call, unexpected(call.method.operation, failure))


def error_reply(error: Error, headers: WireHeaders = ()) -> Reply:
    """Return the answer of a call that failed."""
    code, told = error_object(error)
    return Reply(status_of(code), (*_JSON, *headers), dumped(told))


def _failed(call: Call, error: Error) -> Reply:
    if call.is_bare:
        return error_reply(error)
    try:
        return error_reply(error, (*leading(call.reply_headers), *trailing(call.trailers)))
    except ValueError as failure:
        unexpected(call.method.operation, failure)  # the error has to get through without them
        return error_reply(error)


def _unreadable(forms: Mapping[bytes, Format], query: Query) -> Reply:
    names = ", ".join(name.decode() for name in forms)
    shown = query.encoding[:32].decode("latin-1")
    text = f"the encoding {shown!r} is none of those that are read here: {names}\n"
    return Reply(415, ((b"content-type", b"text/plain; charset=utf-8"),), text.encode())
