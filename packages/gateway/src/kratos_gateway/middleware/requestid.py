"""One name for a request, in all logs and at all back ends."""

from __future__ import annotations

import re
import secrets
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.log import context_fields
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.requestid_pb2 import RequestId
from kratos_gateway.exchange import Answer, Handler, Middleware, Request
from kratos_gateway.headers import hyphenated
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.names import header_name
from kratos_gateway.middleware.options import options_of
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.requests import with_headers

__all__ = ["build"]

_ID: Final = re.compile(rb"[A-Za-z0-9._~:/+=@-]{1,128}")
_KEY: Final = object()


def build(options: AnyMessage | None, _context: Context, /) -> Middleware:
    """Make what gives each request an id: for back ends, for the client, and in records of logs.

    It is the client's own only with ``trust``, which is for gateways behind another one. All
    attempts of a request have the same.

    Raises:
        ConfigError: The header has no name.
    """
    told = options_of(options, RequestId)
    name = header_name(told.header or "x-request-id")
    spelt, trust = hyphenated(name), told.trust

    def wrap(handler: Handler, _endpoint: Endpoint) -> Handler:
        async def handle(request: Request, /) -> Answer:
            given = _given(request, name, trust=trust)
            headers = [pair for pair in request.headers if hyphenated(pair[0]) != spelt]
            headers.append((name, given))
            request.options.marks.append(lambda answer: _named(answer, name, given))
            with context_fields(request_id=given.decode()):
                answer = await handler(with_headers(request, headers))
            return _named(answer, name, given)

        return handle

    return Plain(wrap)


def _named(answer: Answer, name: bytes, given: bytes) -> Answer:
    answer.headers = [pair for pair in answer.headers if pair[0] != name]
    answer.headers.append((name, given))
    return answer


def _given(request: Request, name: bytes, *, trust: bool) -> bytes:
    found: bytes | None = request.options.values.get(_KEY)
    if found is None:
        sent = request.header(name) if trust else b""
        found = sent if _ID.fullmatch(sent) else secrets.token_hex(16).encode()
        request.options.values[_KEY] = found
    return found
