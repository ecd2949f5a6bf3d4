"""Let browsers call services of gRPC: gRPC-Web, with its trailers in the body, and as text.

Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
"""

from __future__ import annotations

import base64
import binascii
from binascii import a2b_base64
from dataclasses import replace
from functools import partial
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.errors import ConfigError, bad_request, to_grpc_code
from kratos.transport.http import WireHeaders
from kratos_gateway.api.gateway_pb2 import GRPC, Endpoint
from kratos_gateway.exchange import Answer, Body, Handler, Middleware, Request
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.refusal import grpc_message

__all__ = ["build"]

_WEB: Final = b"application/grpc-web"
_TEXT: Final = b"application/grpc-web-text"
_GRPC: Final = b"application/grpc"
_TRAILERS: Final = b"\x80"  # flag of the frame that they are in
_NOT_SENT: Final = frozenset((b"content-length", b"content-type", b"te", b"x-grpc-web", b"accept"))


def build(options: AnyMessage | None, _context: Context, /) -> Middleware:
    """Make what turns calls of gRPC-Web into calls of gRPC, and their answers back.

    For endpoints of protocol GRPC; everything else passes as it is. Messages pass as they come,
    both ways, so streams of answers are streams in browsers. It has no options.

    Raises:
        ConfigError: There are options.
    """
    if options is not None and options.type_url:
        raise ConfigError("grpcweb has no options: leave them out")

    def wrap(handler: Handler, endpoint: Endpoint) -> Handler:
        if endpoint.protocol != GRPC:
            return handler

        async def handle(request: Request, /) -> Answer:
            kind = request.header(b"content-type")
            if not kind.startswith(_WEB):
                return await handler(request)
            text = kind.startswith(_TEXT)
            request.options.on_error = partial(_without_answer, kind)
            return _to_web(await handler(_to_grpc(request, kind, text=text)), text=text)

        return handle

    return Plain(wrap)


def _to_grpc(request: Request, kind: bytes, *, text: bool) -> Request:
    subtype = kind[len(_TEXT if text else _WEB) :]
    headers = [pair for pair in request.headers if pair[0] not in _NOT_SENT]
    headers += [(b"content-type", _GRPC + subtype), (b"te", b"trailers")]
    body = request.body
    if text:
        body = _decoded(body) if isinstance(body, bytes) else _Decoded(body)
    return replace(request, headers=headers, body=body)


def _to_web(answer: Answer, *, text: bool) -> Answer:
    kind = answer.header(b"content-type")
    if not kind.startswith(_GRPC):
        return answer  # of something else than a service; the client makes a status of it
    name = _TEXT if text else _WEB
    headers = [
        (b"content-type", name + kind[len(_GRPC) :]),
        *(pair for pair in answer.headers if pair[0] not in (b"content-type", b"content-length")),
    ]
    body = answer.body
    if isinstance(body, bytes):
        whole = body + (_frame(answer.trailers) if answer.trailers else b"")
        return Answer(answer.status, headers, base64.b64encode(whole) if text else whole)
    return Answer(answer.status, headers, _Web(body, text=text))


def _without_answer(kind: bytes, status: int, message: str) -> Answer:
    told = [
        (b"grpc-status", b"%d" % to_grpc_code(status)),
        (b"grpc-message", grpc_message(message)),
    ]
    return Answer(200, [(b"content-type", kind), *told])


class _Web:
    """The body of an answer, with its trailers as its last frame."""

    __slots__ = ("_body", "_over", "_text")

    def __init__(self, body: Body, *, text: bool) -> None:
        self._body: Final = body
        self._text: Final = text
        self._over = False

    @property
    def trailers(self) -> WireHeaders:
        return ()

    async def read(self) -> bytes:
        if self._over:
            return b""
        piece = await self._body.read()
        if not piece:
            self._over = True
            if not self._body.trailers:
                return b""  # its status came in the headers
            piece = _frame(self._body.trailers)
        return base64.b64encode(piece) if self._text else piece

    def close(self) -> None:
        self._over = True
        self._body.close()


class _Decoded:
    """The body of a request that is text."""

    __slots__ = ("_body", "_rest")

    def __init__(self, body: Body) -> None:
        self._body: Final = body
        self._rest = b""

    @property
    def trailers(self) -> WireHeaders:
        return self._body.trailers

    async def read(self) -> bytes:
        while True:
            piece = await self._body.read()
            if not piece:
                if self._rest:
                    raise _malformed()
                return b""
            text = self._rest + piece
            whole = len(text) - len(text) % 4
            self._rest = text[whole:]
            if whole:
                return _decoded(text[:whole])

    def close(self) -> None:
        self._body.close()


def _decoded(text: bytes) -> bytes:
    """Return the bytes of base64, which may be padded within: then pieces were encoded alone."""
    try:
        if b"=" not in text[:-2]:
            return a2b_base64(text, strict_mode=True)
        # There may be thousands of pieces: nothing but this one call for each.
        parts = [text[at : at + 4] for at in range(0, len(text), 4)]
        return b"".join([a2b_base64(part, strict_mode=True) for part in parts])
    except binascii.Error:
        raise _malformed() from None


def _malformed() -> Exception:
    return bad_request("MALFORMED", "a body of application/grpc-web-text is base64")


def _frame(trailers: WireHeaders) -> bytes:
    block = b"".join(b"%b: %b\r\n" % (name, value) for name, value in trailers)
    return _TRAILERS + len(block).to_bytes(4, "big") + block
