"""Answers kept for others who ask the same (RFC 9111)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.clock import Clock
from kratos.errors import ConfigError
from kratos.transport.http import WireHeaders
from kratos_gateway.api.cache_pb2 import Cache
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.exchange import Answer, Body, Handler, Middleware, Request
from kratos_gateway.middleware.callers import caller_of, times_not_for_others
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.freshness import Lifetimes, directives, may_be_kept
from kratos_gateway.middleware.kept import Kept, Shelf
from kratos_gateway.middleware.options import options_of, seconds_of
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.refusal import is_grpc

__all__ = ["build"]

_MAX_BYTES: Final = 64 * 1024 * 1024
_MAX_ANSWER: Final = 1024 * 1024
_DAY: Final = 86_400.0
_UNSAFE: Final = frozenset(("POST", "PUT", "PATCH", "DELETE"))
# Requests that say so are between a client and its back end.
_PERSONAL: Final = (
    *(b"authorization", b"x-api-key", b"range", b"sec-websocket-key"),
    *(b"if-match", b"if-modified-since", b"if-range", b"if-unmodified-since"),
)


def build(options: AnyMessage | None, context: Context, /) -> Middleware:
    """Make what keeps answers in memory, for as long as they allow shared caches to.

    Answers to GET are kept, if they are whole, small enough, and neither private nor with
    cookies. Requests with ``Authorization``, ``X-Api-Key`` or a range are never answered from
    here, nor those with a body, and those with cookies, or of a caller whom a middleware further
    out has found, only by what says ``public`` or ``s-maxage``. What middleware further in lets
    only some have is not kept. A change by POST, PUT, PATCH or
    DELETE lets go what is kept of its path and query. Of all answers the least recently used go
    first. ``Cache-Status`` tells what was done (RFC 9211).

    Raises:
        ConfigError: A limit is out of its range.
    """
    told = options_of(options, Cache)
    most, largest = told.max_bytes or _MAX_BYTES, told.max_answer_bytes or _MAX_ANSWER
    if largest > most:
        raise ConfigError(f"maxAnswerBytes of {largest} must not be more than maxBytes of {most}")
    lifetimes = Lifetimes(
        default=seconds_of(told.default_ttl, name="defaultTtl"),
        longest=seconds_of(told.max_ttl, name="maxTtl") or _DAY,
    )
    shelf = Shelf(most)

    def wrap(handler: Handler, _endpoint: Endpoint) -> Handler:
        return _Cached(handler, shelf, largest, lifetimes, context.clock).handle

    return Plain(wrap)


class _Cached:
    """A handler that is not asked where an answer is kept."""

    def __init__(
        self, handler: Handler, shelf: Shelf, largest: int, lifetimes: Lifetimes, clock: Clock
    ) -> None:
        self._handler: Final = handler
        self._shelf: Final = shelf
        self._largest: Final = largest
        self._lifetimes: Final = lifetimes
        self._clock: Final = clock

    async def handle(self, request: Request, /) -> Answer:
        if request.method != "GET":
            answer = await self._handler(request)
            if request.method in _UNSAFE and answer.status < 400:
                self._shelf.drop(_key(request))
            return answer
        asked = directives(request.headers)
        if "no-store" in asked or is_grpc(request) or _is_personal(request):
            return _marked(await self._handler(request), b"gateway; fwd=bypass")
        key = _key(request)
        if "no-cache" not in asked and asked.get("max-age") != "0":
            found = self._shelf.find(key, request.headers, self._clock.time(), by=self)
            if found is not None and (found.public or not _is_of_somebody(request)):
                return self._answer(request, found)
        if "only-if-cached" in asked:
            return Answer(504, [(b"cache-status", b"gateway; fwd=miss")])
        before = times_not_for_others(request)
        answer = await self._handler(request)
        if times_not_for_others(request) > before:
            return _marked(answer, b"gateway; fwd=bypass")
        return self._keep(request, key, answer)

    def _answer(self, request: Request, found: Kept) -> Answer:
        now = self._clock.time()
        status = f"gateway; hit; ttl={int(found.until - now)}".encode()
        age = (b"age", str(int(found.age + now - found.since)).encode())
        headers = [*found.headers, age, (b"cache-status", status)]
        if _is_known(request, found.headers):
            return Answer(304, headers)
        return Answer(found.status, headers, found.body)

    def _keep(self, request: Request, key: str, answer: Answer) -> Answer:
        shared = not _is_of_somebody(request)
        lifetime = self._lifetimes.of(answer, self._clock.wall())
        if lifetime is None or not may_be_kept(answer, shared=shared):
            return _marked(answer, b"gateway; fwd=miss")
        kept = Kept.of(request, answer, lifetime, self._clock.time(), by=self)
        if isinstance(answer.body, bytes):
            if len(answer.body) <= self._largest and not answer.trailers:
                self._shelf.put(key, kept.with_body(answer.body))
        elif _announced(answer) <= self._largest:

            def put(body: bytes) -> None:
                self._shelf.put(key, kept.with_body(body))

            answer.body = _Recorder(answer.body, self._largest, put)
        return _marked(answer, b"gateway; fwd=miss; stored")


class _Recorder:
    """A body that is kept as it passes, if it is not too large.

    Args:
        body: It.
        most: Bytes that are kept.
        put: Takes it, once it has ended well and without trailers.
    """

    __slots__ = ("_body", "_left", "_pieces", "_put")

    def __init__(self, body: Body, most: int, put: Callable[[bytes], None]) -> None:
        self._body: Final = body
        self._put: Final = put
        self._left = most
        self._pieces: list[bytes] | None = []

    @property
    def trailers(self) -> WireHeaders:
        return self._body.trailers

    async def read(self) -> bytes:
        piece = await self._body.read()
        pieces = self._pieces
        if pieces is None:
            return piece
        if not piece:
            self._pieces = None
            if not self._body.trailers:
                self._put(b"".join(pieces))
            return piece
        self._left -= len(piece)
        if self._left < 0:
            self._pieces = None
        else:
            pieces.append(piece)
        return piece

    def close(self) -> None:
        self._pieces = None
        self._body.close()


def _key(request: Request) -> str:
    return f"{request.scheme}://{request.host.lower()}{request.path}?{request.query}"


def _is_personal(request: Request) -> bool:
    if request.body != b"":
        return True  # the answer may be to the body, which is not compared
    return any(name in _PERSONAL for name, _ in request.headers)


def _is_of_somebody(request: Request) -> bool:
    return bool(request.header(b"cookie")) or caller_of(request) is not None


def _is_known(request: Request, headers: WireHeaders) -> bool:
    """Tell whether a client has the very answer already."""
    asked = request.header(b"if-none-match")
    tag = next((value for name, value in headers if name == b"etag"), b"")
    if not (asked and tag):
        return False
    known = {part.strip().removeprefix(b"W/") for part in asked.split(b",")}
    return b"*" in known or tag.removeprefix(b"W/") in known


def _announced(answer: Answer) -> int:
    text = answer.header(b"content-length")
    return int(text) if text.isdigit() and len(text) < 20 else 0


def _marked(answer: Answer, status: bytes) -> Answer:
    answer.headers = [*answer.headers, (b"cache-status", status)]
    return answer
