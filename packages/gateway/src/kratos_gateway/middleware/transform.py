"""Change bodies of JSON on their way."""

from __future__ import annotations

from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.errors import ConfigError, Error
from kratos.log import Level, Logger
from kratos.offload import offload
from kratos.transport.http import WireHeaders
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.transform_pb2 import Transform
from kratos_gateway.exchange import Answer, Handler, Middleware, Request
from kratos_gateway.headers import first
from kratos_gateway.middleware.bodies import read_whole, too_large
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.documents import is_json, read_json, write_json
from kratos_gateway.middleware.options import options_of
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.refusal import hears_grpc, refuse
from kratos_gateway.middleware.requests import with_body, with_headers
from kratos_gateway.middleware.steps import Steps, TooMuch
from kratos_gateway.middleware.tags import weakened

__all__ = ["build"]

_MOST: Final = 1024 * 1024
_LONG: Final = 32 * 1024  # bytes that take more than a millisecond, so that a thread has to
_IDENTITY: Final = (b"", b"identity")
_BODILESS: Final = (101, 204, 304)
# What a body's bytes are told by, which are others now.
_OF_BYTES: Final = frozenset(
    (
        *(b"content-length", b"content-md5", b"digest", b"content-digest", b"repr-digest"),
        b"accept-ranges",
    )
)
# Parts and other codings of an answer cannot be changed, so nobody asks for them.
_NOT_ASKED: Final = frozenset((b"accept-encoding", b"range", b"if-range"))


def build(options: AnyMessage | None, context: Context, /) -> Middleware:
    """Make what changes bodies of JSON: of requests, of answers, or of both.

    Bodies of other types pass as they are, and so do empty ones, and calls of gRPC to endpoints of
    gRPC. A
    request that says it is JSON and is not is answered 400, one that is too large 413, and one
    in another coding 415. An answer of a back end that cannot be changed is never passed on as it
    is: the client gets 502.

    Raises:
        ConfigError: A step cannot be done, or there is none.
    """
    changing = _Changing(options_of(options, Transform), context.logger)

    def wrap(handler: Handler, _endpoint: Endpoint) -> Handler:
        async def handle(request: Request, /) -> Answer:
            if hears_grpc(request):
                return await handler(request)
            return await changing.handle(request, handler)

        return handle

    return Plain(wrap)


class _Unchangeable(Exception):
    """An answer that is not passed on."""


class _Changing:
    """What is changed."""

    def __init__(self, told: Transform, logger: Logger) -> None:
        self._logger: Final = logger
        self._request: Final = Steps(told.request, name="request")
        self._answer: Final = Steps(told.response, name="response", answers=True)
        self._most: Final = told.max_bytes or _MOST
        self._errors: Final = told.errors
        self._json_only: Final = told.json_only
        if not (self._request or self._answer or self._json_only):
            raise ConfigError("there is nothing to do: write steps in request or response")

    async def handle(self, request: Request, handler: Handler) -> Answer:
        if self._request or self._json_only:
            try:
                changed = await self._asked(request)
            except Error as error:
                return refuse(request, error.code, reason=error.reason, message=error.message)
        else:
            changed = request
        if not self._answer:
            return await handler(changed)
        kept = [pair for pair in changed.headers if pair[0] not in _NOT_ASKED]
        answer = await handler(with_headers(changed, kept))
        try:
            return await self._answered(request, answer)
        except BaseException as error:
            if not isinstance(answer.body, bytes):
                answer.body.close()
            if isinstance(error, (_Unchangeable, TooMuch)):
                self._logger.log(Level.ERROR, "an answer cannot be changed", {"error": str(error)})
                return refuse(request, 502, reason="BAD_GATEWAY", message=str(error))
            raise

    async def _asked(self, request: Request) -> Request:
        body = request.body
        if body == b"" or not self._is_meant(request):
            return request
        if _is_encoded(request.headers):
            raise Error(415, "BODY_ENCODED", "the body must not be compressed")
        if _length(request.headers) > self._most:
            raise too_large(self._most)
        data = await read_whole(body, self._most)
        if not data:
            return with_body(request, b"")
        try:
            new = await self._changed(self._request, data, request, None)
        except TooMuch as error:
            raise too_large(self._most) from error
        except ValueError as error:
            raise Error(400, "BODY_NOT_JSON", f"the body is no JSON: {error}") from error
        if len(new) > self._most:
            raise too_large(self._most)
        kept = [pair for pair in request.headers if pair[0] not in _OF_BYTES]
        return with_body(with_headers(request, kept), new)

    def _is_meant(self, request: Request) -> bool:
        """Tell whether a body is to be changed."""
        kinds = [is_json(kind) for name, kind in request.headers if name == b"content-type"]
        if self._json_only and not (kinds and all(kinds)):  # back ends may read the other one
            raise Error(415, "BODY_NOT_JSON", "the body has to be application/json")
        return any(kinds) and bool(self._request)

    async def _answered(self, request: Request, answer: Answer) -> Answer:
        if answer.status >= 400 and not self._errors:
            return answer
        if answer.status in _BODILESS or request.method == "HEAD":
            if answer.status == 304 or is_json(answer.header(b"content-type")):
                answer.headers = _renewed(answer.headers)
            return answer
        if answer.body == b"" or not is_json(answer.header(b"content-type")):
            return answer
        if answer.status == 206:
            raise _Unchangeable("the back end answered with a part, which nobody asked for")
        if _is_encoded(answer.headers):
            raise _Unchangeable("the back end compressed its answer, which nobody asked for")
        data = await self._whole(answer)
        if data:
            try:
                data = await self._changed(self._answer, data, request, answer)
            except ValueError as error:
                raise _Unchangeable(f"the back end's answer is no JSON: {error}") from error
        if len(data) > self._most:
            raise _Unchangeable(f"the answer would have more than {self._most} bytes")
        return Answer(answer.status, _renewed(answer.headers), data)

    async def _whole(self, answer: Answer) -> bytes:
        message = f"the back end's answer has more than {self._most} bytes"
        if _length(answer.headers) > self._most:
            raise _Unchangeable(message)
        try:
            return await read_whole(answer.body, self._most)
        except Error as error:
            if error.reason == too_large(0).reason:
                raise _Unchangeable(message) from error
            raise

    async def _changed(
        self, steps: Steps, data: bytes, request: Request, answer: Answer | None
    ) -> bytes:
        if len(data) > _LONG:
            return await offload(_change, steps, data, request, answer)
        return _change(steps, data, request, answer)


def _change(steps: Steps, data: bytes, request: Request, answer: Answer | None) -> bytes:
    return write_json(steps.change(read_json(data), request, answer))


def _renewed(headers: WireHeaders) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer whose body is another one now."""
    return weakened([pair for pair in headers if pair[0] not in _OF_BYTES])


def _length(headers: WireHeaders) -> int:
    text = first(headers, b"content-length")
    return int(text) if text.isdigit() and len(text) < 20 else 0


def _is_encoded(headers: WireHeaders) -> bool:
    return any(
        name == b"content-encoding" and value.strip().lower() not in _IDENTITY
        for name, value in headers
    )
