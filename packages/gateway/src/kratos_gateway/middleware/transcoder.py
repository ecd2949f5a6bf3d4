"""Call services of gRPC by ordinary requests (Go: middleware/transcoder).

A request of ``application/json`` becomes a call of ``application/grpc+json``: five bytes are put
in front of its body, and taken off the answer. The service has to know that sub-type, as those of
Kratos do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.errors import ConfigError, Error, to_grpc_code
from kratos_gateway.api.gateway_pb2 import GRPC, Endpoint
from kratos_gateway.api.transcoder_pb2 import Transcoder
from kratos_gateway.exchange import Answer, Handler, Middleware, Request
from kratos_gateway.middleware.bodies import read_whole
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.options import options_of
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.refusal import is_grpc
from kratos_gateway.middleware.statuses import Status, json_of, status_of

__all__ = ["build"]

DEFAULT_MAX_BYTES: Final = 4 * 1024 * 1024

_FRAME: Final = 5  # bytes before a message: whether it is compressed, and its length
_INTERNAL: Final = 13
_UNIMPLEMENTED: Final = 12
_EXHAUSTED: Final = 8
# Of the request: what speaks of the body before it was framed, or asks for compressed messages.
_NOT_SENT: Final = frozenset(
    (
        *(b"content-length", b"content-type", b"content-encoding", b"te"),
        *(b"grpc-encoding", b"grpc-accept-encoding"),
    )
)
_NOT_PASSED_ON: Final = frozenset(
    (b"content-length", b"content-type", b"grpc-encoding", b"trailer")
)


def build(options: AnyMessage | None, _context: Context, /) -> Middleware:
    """Make what lets ordinary requests through to endpoints of protocol GRPC.

    Others, and calls of gRPC, pass as they are. The answer to a call that failed is the status
    as JSON, with the HTTP status that stands for it; what gRPC says in trailers is in headers.

    Raises:
        ConfigError: The options are of another type.
    """
    told = options_of(options, Transcoder)
    most = told.max_bytes or DEFAULT_MAX_BYTES
    if most >= 2**32:
        raise ConfigError(f"maxBytes must be less than {2**32}, which a message of gRPC may have")
    always_ok = told.always_ok

    def wrap(handler: Handler, endpoint: Endpoint) -> Handler:
        if endpoint.protocol != GRPC:
            return handler
        return _Transcoded(handler, most, always_ok=always_ok).handle

    return Plain(wrap)


class _Transcoded:
    """A handler that is asked by gRPC and answers without."""

    def __init__(self, handler: Handler, most: int, *, always_ok: bool) -> None:
        self._handler: Final = handler
        self._most: Final = most
        self._always_ok: Final = always_ok

    async def handle(self, request: Request, /) -> Answer:
        if is_grpc(request):
            return await self._handler(request)
        request.options.on_error = self._without_answer
        kind = request.header(b"content-type") or b"application/json"
        body = await read_whole(request.body, self._most)
        answer = await self._handler(_framed(request, kind, body))
        try:
            whole = await read_whole(answer.body, self._most + _FRAME)
        except Error as error:
            if error.reason != "BODY_TOO_LARGE":
                raise
            told = f"the answer has more than {self._most} bytes"
            return self._failed(Status(_EXHAUSTED, told), answer)
        if not isinstance(answer.body, bytes):
            answer.trailers = answer.body.trailers
        return self._answer(answer, kind, whole)

    def _without_answer(self, status: int, message: str) -> Answer:
        told = Status(to_grpc_code(status), message)
        headers = [(b"content-type", b"application/json"), *told.headers()]
        return Answer(200 if self._always_ok else status, headers, json_of(told))

    def _answer(self, answer: Answer, kind: bytes, whole: bytes) -> Answer:
        status = status_of(answer)
        if status.code:
            return self._failed(status, answer)
        complaint = _complaint(whole)
        if complaint is not None:
            return self._failed(complaint, answer)
        headers = [(b"content-type", kind), *_passed_on(answer)]
        return Answer(200, headers, whole[_FRAME:])

    def _failed(self, status: Status, answer: Answer) -> Answer:
        code = 200 if self._always_ok else status.http
        told = [
            (name, value)
            for name, value in _passed_on(answer)
            if name not in (b"grpc-status", b"grpc-message")
        ]
        headers = [(b"content-type", b"application/json"), *told, *status.headers()]
        return Answer(code, headers, json_of(status))


def _framed(request: Request, kind: bytes, body: bytes) -> Request:
    subtype = kind.partition(b";")[0].strip().rpartition(b"/")[2] or b"json"
    headers = [pair for pair in request.headers if pair[0] not in _NOT_SENT]
    headers.append((b"content-type", b"application/grpc+" + subtype.lower()))
    headers.append((b"te", b"trailers"))
    frame = b"\0" + len(body).to_bytes(4, "big") + body
    return replace(request, headers=headers, body=frame)


def _complaint(whole: bytes) -> Status | None:
    """Return why a body is not one message; ``None`` if it is, or is empty."""
    if not whole:
        return None
    if len(whole) < _FRAME or whole[0] & 0xFE:
        return Status(_INTERNAL, "the answer is no message of gRPC")
    if whole[0]:
        return Status(_INTERNAL, "the answer is compressed, which nobody asked for")
    size = int.from_bytes(whole[1:_FRAME], "big")
    if len(whole) < _FRAME + size:
        return Status(_INTERNAL, "the answer broke off within a message")
    if len(whole) > _FRAME + size:
        return Status(
            _UNIMPLEMENTED, "the answer is a stream of messages, not one: call it by gRPC"
        )
    return None


def _passed_on(answer: Answer) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer, and its trailers, which the client sees as headers."""
    pairs = (*answer.headers, *answer.trailers)
    return [pair for pair in pairs if pair[0] not in _NOT_PASSED_ON]
