"""Let clients of Connect call services of gRPC.

Source: https://connectrpc.com/docs/protocol
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.errors import ConfigError, Error
from kratos_gateway.api.connect_pb2 import Connect
from kratos_gateway.api.gateway_pb2 import GRPC, Endpoint
from kratos_gateway.exchange import Answer, Body, Handler, Middleware, Request
from kratos_gateway.middleware.bodies import made_of, read_whole
from kratos_gateway.middleware.connect.errors import end, failure, of_http
from kratos_gateway.middleware.connect.formats import (
    AS_JSON,
    AS_PROTO,
    Format,
    Known,
    inflated,
    known_of,
)
from kratos_gateway.middleware.connect.requests import (
    STREAM,
    UNARY,
    asked,
    check_version,
    kind_of,
)
from kratos_gateway.middleware.connect.streams import Replies, Requests, trailers_of
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.definitions import Defined, Source
from kratos_gateway.middleware.frames import Frames, framed
from kratos_gateway.middleware.options import options_of
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.statuses import UNIMPLEMENTED, Status, status_of
from kratos_http.connect_query import Query

__all__ = ["build"]

_MAX_BYTES: Final = 4 * 1024 * 1024
_NOT_PASSED_ON: Final = (b"content-type", b"content-length", b"trailer")

_Methods = Mapping[str, Known]


def build(options: AnyMessage | None, context: Context, /) -> Middleware:
    """Make what turns calls of Connect into calls of gRPC, and their answers back.

    For endpoints of protocol GRPC; everything else passes as it is. Messages in protobuf pass as
    they are, compressed ones too. JSON is read and written by the definitions; without any it
    passes to services that know the codec ``json``, as those of Kratos do. Calls by GET need
    definitions: they say which methods have no side effects.

    Raises:
        ConfigError: The definitions cannot be read, or services are named without any.
    """
    told = options_of(options, Connect)
    most = told.max_bytes or _MAX_BYTES
    if told.WhichOneof("definitions") is None:
        if told.services:
            text = "give descriptorSet, descriptors or reflection, or leave it out"
            raise ConfigError(f"services: nothing reads it without definitions: {text}")
        return Plain(partial(_wrapped, source=None, most=most))
    source: Source[_Methods] = Source(told, list(told.services), known_of, context)
    return Plain(partial(_wrapped, source=source, most=most), close=source.aclose)


def _wrapped(
    handler: Handler, endpoint: Endpoint, *, source: Source[_Methods] | None, most: int
) -> Handler:
    if endpoint.protocol != GRPC:
        return handler
    return _Served(handler, None if source is None else source.of(endpoint), most).handle


class _Served:
    """A handler of gRPC that is asked by Connect."""

    def __init__(self, handler: Handler, defined: Defined[_Methods] | None, most: int) -> None:
        self._handler: Final = handler
        self._defined: Final = defined
        self._most: Final = most

    async def handle(self, request: Request, /) -> Answer:
        kind = kind_of(request)
        if kind is None or (request.method == "GET" and self._defined is None):
            return await self._handler(request)
        begin, name = kind
        request.options.on_error = _unanswered if begin == UNARY else partial(_ended, name)
        try:
            if request.method == "GET":
                return await self._get(request)
            check_version(request.header(b"connect-protocol-version"))
            form = AS_PROTO if name == b"proto" else await self._json(request.path, begin)
        except Error as error:
            return request.options.on_error(error.code, error.message)
        if begin == STREAM:
            return await self._stream(request, form)
        coding = request.header(b"content-encoding").strip().lower()
        return await self._unary(request, form, request.body, coding)

    async def _json(self, path: str, begin: bytes) -> Format:
        """Return how JSON is passed on to a method.

        Raises:
            Error: 501: there is no such method, or one of the other kind. 503: nobody has told
                definitions.
        """
        if self._defined is None:
            return AS_JSON
        known = (self._defined.current or await self._defined.first()).get(path)
        if known is None:
            raise Error(501, "UNIMPLEMENTED", f"there is no method {path}")
        if known.streams is not (begin == STREAM):
            kind = "streams" if known.streams else "does not stream"
            raise Error(
                501, "UNIMPLEMENTED", f"{path} {kind}, and is called as if it did otherwise"
            )
        return known.json

    async def _get(self, request: Request) -> Answer:
        """Call a method without side effects, whose request is in the query.

        Raises:
            Error: The query holds no request, or nobody has told definitions.
        """
        assert self._defined is not None, "looked at before"
        known = (self._defined.current or await self._defined.first()).get(request.path)
        if known is None:
            raise Error(501, "UNIMPLEMENTED", f"there is no method {request.path}")
        if known.streams or not known.safe:
            return Answer(405, [(b"allow", b"POST")])
        query = Query(request.query.encode())
        check_version(query.version)
        form = {b"proto": AS_PROTO, b"json": known.json}.get(query.encoding)
        if form is None:
            return Answer(415, [(b"content-type", b"text/plain")], b"encoding is proto or json\n")
        answer = await self._unary(request, form, query.message(), query.compression)
        if form.write is None:  # messages pass as they are, compressed ones, too
            answer.headers.append((b"vary", b"Accept-Encoding"))
        return answer

    async def _unary(
        self, request: Request, form: Format, body: bytes | Body, coding: bytes
    ) -> Answer:
        try:
            call = await self._call(request, form, body, coding)
        except Error as error:
            return _unanswered(error.code, error.message)
        answer = await self._handler(call)
        try:
            return await self._whole(form, answer)
        except Error as error:
            return _unanswered(error.code, error.message)

    async def _call(
        self, request: Request, form: Format, body: bytes | Body, coding: bytes
    ) -> Request:
        data = await read_whole(body, self._most)
        compressed = bool(data) and coding not in (b"", b"identity")
        if form.read is not None:
            data = await made_of(
                data, partial(_read, form.read, coding, self._most), long=compressed
            )
            compressed = False
        return asked(
            request,
            form,
            framed(data, 1 if compressed else 0),
            coding=coding if compressed else b"",
            accepted=request.header(b"accept-encoding"),
        )

    async def _whole(self, form: Format, answer: Answer) -> Answer:
        """Return the answer to a call that has one message."""
        frames = Frames(answer.body, self._most, compressed=form.write is None)
        try:
            first = await frames.next() if _is_call(answer) else None
            compressed = frames.flag
            second = None if first is None else await frames.next()
        finally:
            if not isinstance(answer.body, bytes):
                answer.trailers = answer.body.trailers
                answer.body.close()
        headers = _passed_on(answer)
        headers += [(b"trailer-" + name, value) for name, value in trailers_of(answer)]
        status = self._noted(status_of(answer))
        if not status.code and (first is None or second is not None):
            told = "no message" if first is None else "more than one message"
            status = Status(UNIMPLEMENTED, f"the back end answered {told}")
        if status.code or first is None:
            code, body = failure(status)
            return Answer(code, [(b"content-type", b"application/json"), *headers], body)
        if compressed:
            headers.append((b"content-encoding", answer.header(b"grpc-encoding")))
        data = first if form.write is None else await made_of(first, form.write)
        return Answer(200, [(b"content-type", UNARY + form.name), *headers], data)

    async def _stream(self, request: Request, form: Format) -> Answer:
        coding = request.header(b"connect-content-encoding").strip().lower()
        body = request.body
        if form.read is not None:
            body, coding = Requests(body, form.read, coding, self._most), b""
        accepted = request.header(b"connect-accept-encoding")
        try:
            call = asked(request, form, body, coding=coding, accepted=accepted)
        except Error as error:
            return _ended(form.name, error.code, error.message)
        try:
            answer = await self._handler(call)
        except Error as error:
            if isinstance(body, Requests) and body.failure is error:
                return _ended(form.name, error.code, error.message)
            raise
        headers = [(b"content-type", STREAM + form.name), *_passed_on(answer)]
        used = answer.header(b"grpc-encoding")
        if form.write is None and used:
            headers.append((b"connect-content-encoding", used))
        if _is_call(answer) and not answer.header(b"grpc-status"):
            return Answer(200, headers, Replies(answer, form, self._most, self._noted))
        if not isinstance(answer.body, bytes):
            answer.body.close()
        return Answer(200, headers, end(self._noted(status_of(answer))))

    def _noted(self, status: Status) -> Status:
        """Return a status, after a look at whether it puts definitions in doubt."""
        if status.code == UNIMPLEMENTED and self._defined is not None:
            self._defined.doubt()
        return status


def _read(read: Callable[[bytes], bytes], coding: bytes, most: int, data: bytes) -> bytes:
    return read(inflated(data, coding, most))


def _is_call(answer: Answer) -> bool:
    kind = answer.header(b"content-type")
    return answer.status == 200 and kind.startswith(b"application/grpc")


def _passed_on(answer: Answer) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer that are not of gRPC."""
    return [
        pair
        for pair in answer.headers
        if not pair[0].startswith(b"grpc-") and pair[0] not in _NOT_PASSED_ON
    ]


def _unanswered(status: int, message: str) -> Answer:
    code, body = failure(of_http(Error(status, "", message)))
    return Answer(code, [(b"content-type", b"application/json")], body)


def _ended(name: bytes, status: int, message: str) -> Answer:
    told = end(of_http(Error(status, "", message)))
    return Answer(200, [(b"content-type", STREAM + name)], told)
