"""Rewrite paths, the host, and headers (Go: middleware/rewrite)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias
from urllib.parse import quote

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.rewrite_pb2 import HeadersPolicy, Rewrite
from kratos_gateway.exchange import Answer, Handler, Middleware, Request
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.names import header_name, header_value
from kratos_gateway.middleware.options import options_of
from kratos_gateway.middleware.plain import Plain

__all__ = ["build"]

Pairs: TypeAlias = "list[tuple[bytes, bytes]]"
Change: TypeAlias = Callable[[Pairs], Pairs]

_ESCAPE: Final = re.compile("%(?![0-9a-fA-F]{2})")
_PATH: Final = "/%:@!$&'()*+,;=-._~"
# They say where a message ends, or are of one hop alone: the gateway writes them itself.
_FRAMING: Final = frozenset(
    (
        *(b"connection", b"content-length", b"keep-alive", b"proxy-connection", b"te"),
        *(b"trailer", b"transfer-encoding", b"upgrade"),
    )
)


def build(options: AnyMessage | None, _context: Context, /) -> Middleware:
    """Make what rewrites requests and answers.

    In this order: the whole path, the host, a prefix that is taken off; headers of the request
    that are set, added, removed; and those of the answer likewise.

    Raises:
        ConfigError: A name or value of a header cannot be sent, or decides where a message ends;
            or a path has no slash in front.
    """
    told = options_of(options, Rewrite)
    path = _path("pathRewrite", told.path_rewrite) if told.path_rewrite else ""
    prefix = _encoded(told.strip_prefix)
    host = told.host_rewrite
    to_request = _changes("requestHeadersRewrite", told.request_headers_rewrite)
    to_answer = _changes("responseHeadersRewrite", told.response_headers_rewrite)

    def rewritten(request: Request) -> Request:
        now = path or request.path
        if prefix and now.startswith(prefix):
            now = now[len(prefix) :]
            now = now if now.startswith("/") else f"/{now}"
        headers = request.headers if to_request is None else to_request(request.headers)
        return Request(
            request.method,
            request.scheme,
            host or request.host,
            now,
            request.query,
            headers,
            request.body,
            request.peer,
            request.version,
            request.options,
        )

    def wrap(handler: Handler, _endpoint: Endpoint) -> Handler:
        async def handle(request: Request, /) -> Answer:
            answer = await handler(rewritten(request))
            if to_answer is not None:
                answer.headers = to_answer(answer.headers)
            return answer

        return handle

    return Plain(wrap)


def _path(name: str, text: str) -> str:
    if not text.startswith("/"):
        raise ConfigError(f"{name} must begin with a slash, as in '/v1/items', not {text!r}")
    return _encoded(text)


def _encoded(text: str) -> str:
    """Return a path as it is sent; what is encoded already stays."""
    return quote(_ESCAPE.sub("%25", text), safe=_PATH)


def _changes(where: str, policy: HeadersPolicy) -> Change | None:
    try:
        set_to = _pairs(policy.set)
        added = _pairs(policy.add)
        removed = frozenset(_changeable(name) for name in policy.remove)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    if not (set_to or added or removed):
        return None
    dropped = removed.union(name for name, _ in set_to)
    # What is added may be removed at once: Go does one after the other.
    put = [pair for pair in (*set_to, *added) if pair[0] not in removed]

    def change(headers: Pairs) -> Pairs:
        return [*(pair for pair in headers if pair[0] not in dropped), *put]

    return change


def _pairs(given: Mapping[str, str]) -> Pairs:
    return [(_changeable(name), header_value(name, given[name])) for name in sorted(given)]


def _changeable(name: str) -> bytes:
    found = header_name(name)
    if found == b"host":
        raise ConfigError("the host is changed by hostRewrite, not as a header")
    if found in _FRAMING:
        raise ConfigError(f"{name!r} is written by the gateway itself and cannot be changed")
    return found
