"""Refuse requests whose bodies are too large."""

from __future__ import annotations

from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.errors import ConfigError
from kratos.transport.http import WireHeaders
from kratos_gateway.api.bodylimit_pb2 import BodyLimit
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.exchange import Answer, Body, Handler, Middleware, Request
from kratos_gateway.middleware.bodies import too_large
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.options import options_of
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.refusal import refuse
from kratos_gateway.middleware.requests import with_body

__all__ = ["build"]


def build(options: AnyMessage | None, _context: Context, /) -> Middleware:
    """Make what answers 413 to a request that says its body is too large, or turns out to be.

    A body in pieces is counted as it passes; nothing is kept. What of it is over the limit is not
    passed on, and the back end's request is broken off.

    Raises:
        ConfigError: There is no limit.
    """
    most = options_of(options, BodyLimit).max_bytes
    if not most:
        raise ConfigError("bodylimit needs maxBytes, such as 1048576")

    def wrap(handler: Handler, _endpoint: Endpoint) -> Handler:
        async def handle(request: Request, /) -> Answer:
            body = request.body
            size = _announced(request) if not isinstance(body, bytes) else len(body)
            if size > most:
                error = too_large(most)
                return refuse(request, 413, reason=error.reason, message=error.message)
            if isinstance(body, bytes):
                return await handler(request)
            return await handler(with_body(request, _Counted(body, most)))

        return handle

    return Plain(wrap)


def _announced(request: Request) -> int:
    text = request.header(b"content-length")
    return int(text) if text.isdigit() and len(text) < 20 else 0


class _Counted:
    """A body that ends with an error once it is too large."""

    __slots__ = ("_body", "_left", "_most")

    def __init__(self, body: Body, most: int) -> None:
        self._body: Final = body
        self._most: Final = most
        self._left = most

    @property
    def trailers(self) -> WireHeaders:
        return self._body.trailers

    async def read(self) -> bytes:
        if self._left < 0:
            raise too_large(self._most)
        piece = await self._body.read()
        self._left -= len(piece)
        if self._left < 0:
            self._body.close()
            raise too_large(self._most)
        return piece

    def close(self) -> None:
        self._body.close()
