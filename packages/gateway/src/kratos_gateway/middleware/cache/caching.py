"""Answers kept for others who ask the same (RFC 9111)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.clock import Clock
from kratos.errors import ConfigError
from kratos_gateway.api.cache_pb2 import Cache
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.backend import WEBSOCKET
from kratos_gateway.exchange import Answer, Handler, Middleware, Request, RequestOptions
from kratos_gateway.middleware.bodies import read_whole
from kratos_gateway.middleware.cache.freshness import Lifetimes, directives
from kratos_gateway.middleware.cache.keeping import Keeper, announced, is_of_somebody
from kratos_gateway.middleware.cache.kept import Kept, Shelf
from kratos_gateway.middleware.cache.refreshing import Refreshing
from kratos_gateway.middleware.cache.revalidation import Revalidation, marked
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.loads import Load, Loads, Verdict
from kratos_gateway.middleware.options import options_of, seconds_of
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.refusal import is_grpc
from kratos_gateway.times import in_seconds

__all__ = ["build"]

_MAX_BYTES: Final = 64 * 1024 * 1024
_MAX_ANSWER: Final = 1024 * 1024
_DAY: Final = 86_400.0
_UNSAFE: Final = frozenset(("POST", "PUT", "PATCH", "DELETE"))
# Requests that say so are between a client and its back end, or say what their key does not.
_PERSONAL: Final = (
    *(b"authorization", b"x-api-key", b"range", b"if-match"),
    *(b"if-modified-since", b"if-range", b"if-unmodified-since"),
    *(b"x-http-method-override", b"x-http-method", b"x-method-override"),
)

_TOLD: Final = frozenset((b"x-forwarded-host", b"x-forwarded-proto"))


def build(options: AnyMessage | None, context: Context, /) -> Middleware:
    """Make what keeps answers in memory, for as long as they allow shared caches to.

    Answers to GET are kept, if they are whole, small enough, and neither private nor with
    cookies. Requests with ``Authorization``, ``X-Api-Key``, a body or a range are never answered
    from here, and those with cookies, or of a caller whom a middleware further out has found, only
    by what says ``public`` or ``s-maxage``. What middleware further in lets only some have is not
    kept. A change by POST, PUT, PATCH or DELETE lets go what is
    kept of its path and query, and what is on its way. Of all answers the least recently used go
    first. ``Cache-Status`` tells what was done (RFC 9211).

    Of several who ask the same at once, one asks the back end. What is no longer fresh and has a
    tag or a date is asked about, not asked for. Where it may, it serves meanwhile, or where the
    back end fails (RFC 5861).

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
        revalidating=seconds_of(told.stale_while_revalidate, name="staleWhileRevalidate"),
        failing=seconds_of(told.stale_if_error, name="staleIfError"),
    )
    shelf = Shelf(most)
    keeper = Keeper(shelf, largest, lifetimes, context.clock)
    refreshing = Refreshing(context.clock)

    def wrap(handler: Handler, endpoint: Endpoint) -> Handler:
        return _Cached(handler, endpoint, shelf, keeper, refreshing, context.clock).handle

    return Plain(wrap, close=refreshing.aclose)


class _Cached:
    """A handler that is not asked where an answer is kept."""

    def __init__(
        self,
        handler: Handler,
        endpoint: Endpoint,
        shelf: Shelf,
        keeper: Keeper,
        refreshing: Refreshing,
        clock: Clock,
    ) -> None:
        self._handler: Final = handler
        self._endpoint: Final = endpoint
        self._shelf: Final = shelf
        self._keeper: Final = keeper
        self._revalidation: Final = Revalidation(handler, shelf, keeper, clock)
        self._refreshing: Final = refreshing
        self._clock: Final = clock
        self._loads: Final = Loads()

    async def handle(self, request: Request, /) -> Answer:
        if request.method != "GET":
            answer = await self._handler(request)
            if request.method in _UNSAFE and answer.status < 400:
                self._shelf.drop(_key(request))
            return answer
        asked = directives(request.headers)
        if "no-store" in asked or is_grpc(request) or _is_personal(request):
            return marked(await self._handler(request), "fwd=bypass")
        key = _key(request)
        if "no-cache" in asked or asked.get("max-age") == "0":
            if "only-if-cached" in asked:
                return _nothing()
            return (await self._revalidation.ask(request, key, None))[0]
        found, now = self._found(request, key), self._clock.time()
        if found is not None and (found.until > now or found.revalidating > now):
            if found.until <= now:
                self._refresh(request, key, found)
            return self._revalidation.answer(request, found)
        if "only-if-cached" in asked:
            return _nothing()
        return await self._loaded(request, key, found)

    def _found(self, request: Request, key: str) -> Kept | None:
        found = self._shelf.find(key, request.headers, self._clock.time(), by=self._revalidation)
        if found is None or found.public or not is_of_somebody(request):
            return found
        return None

    async def _loaded(self, request: Request, key: str, found: Kept | None) -> Answer:
        """Ask, or wait for whoever asks the same just now."""
        name = (key, is_of_somebody(request))
        if found is None and request.header(b"if-none-match"):
            return (await self._revalidation.ask(request, key, None))[0]
        while not self._loads.passes_by(name, self._clock.time()):
            load = self._loads.find(name)
            if load is None:
                return await self._led(request, key, found, name)
            verdict = await load.wait()
            if verdict is Verdict.LEFT:
                continue
            found = self._found(request, key)
            if verdict is Verdict.KEPT and found is not None and found.until > self._clock.time():
                return self._revalidation.answer(request, found, "fwd=miss; collapsed")
            break
        return (await self._revalidation.ask(request, key, found))[0]

    async def _led(
        self, request: Request, key: str, found: Kept | None, name: tuple[str, bool]
    ) -> Answer:
        """Ask for all who ask the same meanwhile."""
        load = self._loads.begin(name)
        verdict = Verdict.LEFT
        try:
            answer, keeps = await self._revalidation.ask(request, key, found)
            verdict = Verdict.OWN
            if keeps:
                await self._hurry(answer, load)
                verdict = Verdict.KEPT if isinstance(answer.body, bytes) else Verdict.OWN
            elif answer.status < 500 and answer.status != 304:
                self._loads.pass_by(name, self._clock.time())
            return answer
        except Exception:
            verdict = Verdict.OWN
            raise
        finally:
            self._loads.end(name, load, verdict)

    async def _hurry(self, answer: Answer, load: Load) -> None:
        """Read an answer for which others wait: its client may be slow."""
        body = answer.body
        if not isinstance(body, bytes) and load.waiting and announced(answer):
            answer.body = await read_whole(body, self._keeper.largest)
            answer.trailers = body.trailers

    def _refresh(self, request: Request, key: str, found: Kept) -> None:
        """Ask for an answer anew, behind the one that serves meanwhile."""
        copy = replace(
            request,
            headers=list(request.headers),
            # With what is known of the caller, for whom alone the new one may be.
            options=RequestOptions(
                self._endpoint, last_attempt=True, values=dict(request.options.values)
            ),
        )

        async def refresh() -> None:
            answer, _ = await self._revalidation.ask(copy, key, found)
            await read_whole(answer.body, self._keeper.largest)

        self._refreshing.begin((key, found.vary, self), refresh, in_seconds(self._endpoint.timeout))


def _key(request: Request) -> str:
    asked = f"{request.scheme}://{request.host.lower()}{request.path}?{request.query}"
    # What a trusted proxy says of whom the client asked, and how: back ends answer by that.
    told = b" ".join(value for name, value in request.headers if name in _TOLD)
    return f"{asked} {told.decode('latin-1').lower()}"


def _is_personal(request: Request) -> bool:
    if request.body != b"" or WEBSOCKET in request.options.values:
        return True
    return any(name in _PERSONAL for name, _ in request.headers)


def _nothing() -> Answer:
    return marked(Answer(504), "fwd=miss")
