"""Rewrite paths, the host, and headers (Go: middleware/rewrite)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.rewrite_pb2 import HeadersPolicy, Rewrite
from kratos_gateway.exchange import Answer, Handler, Middleware, Request
from kratos_gateway.headers import hyphenated
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.names import header_name, header_value
from kratos_gateway.middleware.options import options_of
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.replacing import (
    Replace,
    after,
    encoded,
    prefix_replaced,
    regex_replaced,
)

__all__ = ["build"]

Pairs: TypeAlias = "list[tuple[bytes, bytes]]"
Change: TypeAlias = Callable[[Pairs], Pairs]

# They say where a message ends, or are of one hop alone: the gateway writes them itself.
_FRAMING: Final = frozenset(
    (
        *(b"connection", b"content-length", b"keep-alive", b"proxy-connection", b"te"),
        *(b"trailer", b"transfer-encoding", b"upgrade"),
    )
)


def build(options: AnyMessage | None, _context: Context, /) -> Middleware:
    """Make what rewrites requests and answers.

    In this order: the whole path, the host, a prefix that is taken off, one that is replaced, what
    an expression fits; headers of the request that are set, added, removed; and those of the
    answer likewise.

    Raises:
        ConfigError: A name or value of a header cannot be sent, or decides where a message ends;
            or a path has no slash in front; or an expression is none.
    """
    rewriting = _Rewriting(options_of(options, Rewrite))

    def wrap(handler: Handler, _endpoint: Endpoint) -> Handler:
        async def handle(request: Request, /) -> Answer:
            return rewriting.answer(await handler(rewriting.request(request)))

        return handle

    return Plain(wrap)


class _Rewriting:
    """What is rewritten, worked out beforehand."""

    def __init__(self, told: Rewrite) -> None:
        self._path: Final = _path("pathRewrite", told.path_rewrite) if told.path_rewrite else ""
        self._prefix: Final = encoded(told.strip_prefix)
        self._replacing: Final = _replacing(told)
        self._host: Final = told.host_rewrite
        self._to_request = _changes("requestHeadersRewrite", told.request_headers_rewrite)
        self._to_answer = _changes("responseHeadersRewrite", told.response_headers_rewrite)

    def request(self, request: Request) -> Request:
        """Return another request, as the one that came is that of the next attempt, too."""
        path, prefix, change = self._path or request.path, self._prefix, self._to_request
        if prefix and (rest := after(prefix, path)) is not None:
            path = rest if rest.startswith("/") else f"/{rest}"
        for replace in self._replacing:
            path = replace(path)
        return Request(
            request.method,
            request.scheme,
            self._host or request.host,
            path,
            request.query,
            request.headers if change is None else change(request.headers),
            request.body,
            request.peer,
            request.version,
            request.options,
        )

    def answer(self, answer: Answer) -> Answer:
        if self._to_answer is not None:
            answer.headers = self._to_answer(answer.headers)
        return answer


def _path(name: str, text: str) -> str:
    if not text.startswith("/"):
        raise ConfigError(f"{name} must begin with a slash, as in '/v1/items', not {text!r}")
    return encoded(text)


def _replacing(told: Rewrite) -> Sequence[Replace]:
    found: list[Replace] = []
    if told.HasField("prefix_rewrite"):
        found.append(prefix_replaced(told.prefix_rewrite))
    if told.HasField("regex_rewrite"):
        found.append(regex_replaced(told.regex_rewrite))
    return found


def _changes(where: str, policy: HeadersPolicy) -> Change | None:
    try:
        set_to = _pairs(policy.set)
        added = _pairs(policy.add)
        removed = frozenset(_changeable(name) for name in policy.remove)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    if not (set_to or added or removed):
        return None
    dropped = frozenset(map(hyphenated, removed.union(name for name, _ in set_to)))
    # What is added may be removed at once: Go does one after the other.
    put = [pair for pair in (*set_to, *added) if pair[0] not in removed]

    def change(headers: Pairs) -> Pairs:
        return [*(pair for pair in headers if hyphenated(pair[0]) not in dropped), *put]

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
