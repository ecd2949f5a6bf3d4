"""Answers compressed as clients ask for (RFC 9110, 8.4 and 12.5.3)."""

from __future__ import annotations

from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.offload import offload
from kratos.transport.http import WireHeaders
from kratos_gateway.api.compression_pb2 import Compression as Options
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.exchange import Answer, Body, Handler, Middleware, Request
from kratos_gateway.middleware.codings import Encoder, chosen
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.options import options_of
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.tags import weakened
from kratos_http.compression import Compression

__all__ = ["build"]

_LONG: Final = 32 * 1024  # bytes that take more than a millisecond, so that a thread has to
# What is of the bytes that are sent, which are others now.
_DROPPED: Final = frozenset(
    (
        *(b"content-length", b"accept-ranges", b"content-md5", b"digest"),
        *(b"content-digest", b"repr-digest"),
    )
)


def build(options: AnyMessage | None, _context: Context, /) -> Middleware:
    """Make what compresses answers of types that gain by it.

    An answer stays as it is that is compressed already, is a part of another, or forbids it by
    ``Cache-Control: no-transform``, which those should say that hold a secret beside what a
    stranger chose. Pieces whose end is not known are each sent for itself.

    Raises:
        ConfigError: A coding is unknown.
    """
    told = options_of(options, Options)
    given = Compression(
        minimum=told.minimum if told.HasField("minimum") else 1024,
        codings=tuple(told.codings) or ("zstd", "br", "gzip"),
        types=tuple(told.types),
    )

    def wrap(handler: Handler, _endpoint: Endpoint) -> Handler:
        async def handle(request: Request, /) -> Answer:
            accepted = request.header(b"accept-encoding")
            coding = chosen(accepted, tuple(given.codings)) if accepted else ""
            answer = await handler(request)
            if request.method == "HEAD":
                return answer
            return await _packed(answer, coding, given)

        return handle

    return Plain(wrap)


async def _packed(answer: Answer, coding: str, given: Compression) -> Answer:
    if answer.status == 304:
        answer.headers = _varied(weakened(answer.headers) if coding else answer.headers)
        return answer
    if not given.may_change(answer.status, answer.headers):
        return answer
    answer.headers = _varied(answer.headers)
    if not coding:
        return answer
    new = given.codings[coding]
    body = answer.body
    if isinstance(body, bytes):
        if len(body) < given.minimum:
            return answer
        whole = await offload(_whole, new(), body) if len(body) > _LONG else _whole(new(), body)
        if len(whole) >= len(body):
            return answer
        answer.body = whole
    else:
        length = answer.header(b"content-length")
        if length.isdigit() and int(length) < given.minimum:
            return answer
        answer.body = _Packed(body, new(), eager=not length)
    kept = [pair for pair in answer.headers if pair[0] not in _DROPPED]
    answer.headers = [*weakened(kept), (b"content-encoding", coding.encode())]
    return answer


class _Packed:
    """A body that is compressed as it passes."""

    __slots__ = ("_body", "_eager", "_encoder")

    def __init__(self, body: Body, encoder: Encoder, *, eager: bool) -> None:
        self._body: Final = body
        self._encoder: Encoder | None = encoder
        self._eager: Final = eager

    @property
    def trailers(self) -> WireHeaders:
        return self._body.trailers

    async def read(self) -> bytes:
        while self._encoder is not None:
            piece = await self._body.read()
            encoder = self._encoder
            if not piece:
                self._encoder = None
                return encoder.finish()
            packed = encoder.compress(piece)
            if self._eager:
                packed += encoder.flush()
            if packed:
                return packed
        return b""

    def close(self) -> None:
        self._body.close()


def _whole(encoder: Encoder, body: bytes) -> bytes:
    return encoder.compress(body) + encoder.finish()


def _varied(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    said = b",".join(value for name, value in headers if name == b"vary").lower()
    parts = {part.strip() for part in said.split(b",")}
    if b"*" in parts or b"accept-encoding" in parts:
        return headers
    return [*headers, (b"vary", b"accept-encoding")]
