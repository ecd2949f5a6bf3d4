"""Replies that are kept for a while, so that not each call has to make its own."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeAlias, cast

from google.protobuf.message import DecodeError, Message

from kratos._fingerprint import fingerprint
from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError, Error, StartupError, StoreFull, StoreUnavailable
from kratos.flight import Flights
from kratos.metrics import Meter
from kratos.middleware._kept import chosen, headers_in, pack, put, unpack
from kratos.middleware._results import Results
from kratos.middleware._whose import everything_shown
from kratos.options import require_methods, require_number
from kratos.store import Store
from kratos.transport.call import Call, Handler, Side
from kratos.transport.chain import Middleware, PerMethod
from kratos.transport.header import Header
from kratos.transport.method import Arity, Method
from kratos.transport.safe import is_safe

__all__ = ["cache"]

_log = logging.getLogger("kratos.middleware.cache")

_MIB: Final = 1024 * 1024
_KEPT_HEADERS: Final = (
    "cache-control",
    "content-language",
    "content-location",
    "etag",
    "last-modified",
    "link",
    "location",
)
_STATUS: Final = "cache-status"
_SERVER_FAILURES: Final = 500
_LATEST: Final = 253_402_300_799  # the end of the year 9999, in seconds since the epoch
_OF_ONE: Final = frozenset({401, 403, 429})  # errors of who calls, not of what is asked for


def cache(
    store: Store,
    /,
    *,
    ttl: float = 60.0,
    operations: Mapping[str, float] | None = None,
    applies: Callable[[Method[Any, Any]], bool] = is_safe,
    vary: Sequence[str] = (),
    shared: bool = False,
    scope: Callable[[Call], str] | None = None,
    stale: float = 0.0,
    obeys_requests: bool = False,
    reply_headers: Collection[str] = _KEPT_HEADERS,
    max_reply: int = _MIB,
    prefix: str = "cache:",
    clock: Clock = SYSTEM_CLOCK,
    meter: Meter | None = None,
) -> PerMethod:
    """Answer unary calls that change nothing with replies that were made before.

    On servers and on clients. On a server it stands inside of what authenticates, authorises and
    limits, so that these still see each call. A reply belongs to an operation, a request, the
    headers in ``vary`` and, unless it is ``shared``, a caller. Of calls for the same one at the
    same time, in one process, one runs and the others get its reply, or its error; if it is
    cancelled, the next one runs.

    Errors are not kept, nor replies that say ``cache-control: no-store``. A reply from the cache
    has ``age`` and ``cache-status: kratos; hit``. When the store does not answer, calls run as if
    there was nothing in it.

    Args:
        store: Where replies are kept.
        ttl: Seconds for which a reply is kept.
        operations: Seconds by operation, in place of ``ttl`` and ``applies``.
        applies: Tells of which methods replies are kept; by default of those that change nothing
            by their definition: ``NO_SIDE_EFFECTS``, GET, HEAD.
        vary: Request headers on which replies depend, such as ``accept-language``.
        shared: Whether one caller gets what was made for another. By default replies are kept
            apart by ``Principal``, client certificate and the headers ``authorization``,
            ``cookie``, ``x-api-key`` and ``x-md-*``; on a client also by those of the inbound
            call and the client's metadata. Who tells callers apart by another header has to name
            it in ``vary``.
        scope: Returns on whose account a call is, in place of all that.
        stale: Seconds after ``ttl`` for which a reply still serves while one call renews it, and
            that call, too, if it fails with 5xx.
        obeys_requests: Whether ``cache-control: no-cache`` and ``no-store`` of requests count.
            Not where strangers call: they could get around the cache.
        reply_headers: Headers of the reply that are kept with it.
        max_reply: Bytes of a reply that is kept.
        prefix: What keys in the store begin with.
        clock: Time.
        meter: Makes ``server_cache_total`` and ``client_cache_total``, by kind of transport,
            operation and result: ``hit``, ``stale``, ``miss``, ``joined``, ``bypass``,
            ``unavailable``.

    Raises:
        ConfigError: A number is out of its range, or options contradict each other.
    """
    require_methods("store", store, "a store", "get", "set")
    require_number("stale", stale)
    for name, seconds in (("ttl", ttl), *(operations or {}).items()):
        require_number(name, seconds)
        if not 0 < seconds < math.inf:
            raise ConfigError(f"cache: {name}={seconds} must be finite and more than 0 seconds")
    if not 0 <= stale < math.inf:
        raise ConfigError(f"cache: stale={stale} must be finite and not negative")
    if max_reply < 0:
        raise ConfigError(f"cache: max_reply={max_reply} must not be negative")
    if shared and scope is not None:
        raise ConfigError("cache: shared=True and scope=... contradict each other")
    if isinstance(vary, str):
        raise ConfigError(f"cache: vary is a list of headers, not the text {vary!r}")
    return _Cache(
        store=store,
        ttl=ttl,
        operations=dict(operations or {}),
        applies=applies,
        vary=tuple(name.lower() for name in vary),
        whose=_nobody if shared else _scoped(scope) if scope else everything_shown,
        stale=stale,
        obeys_requests=obeys_requests,
        reply_headers=tuple(name.lower() for name in reply_headers),
        max_reply=max_reply,
        prefix=prefix,
        clock=clock,
        results=Results("cache", "Calls that a cache may answer.", meter),
    )


@dataclass(frozen=True, slots=True)
class _Reply:
    """A reply as it is kept."""

    made: float  # seconds since the epoch
    fresh: float  # seconds for which it is
    headers: Sequence[tuple[str, str]]
    body: bytes


class _Then(Enum):
    """What those that wait for a call do if it has neither reply nor error for them."""

    NEXT = "next"  # one of them runs, the others wait for it
    ALL = "all"  # each one runs


_Outcome: TypeAlias = "_Reply | Error | _Then"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cache:
    store: Store
    ttl: float
    operations: Mapping[str, float]
    applies: Callable[[Method[Any, Any]], bool]
    vary: tuple[str, ...]
    whose: Callable[[Call], bytes]
    stale: float
    obeys_requests: bool
    reply_headers: tuple[str, ...]
    max_reply: int
    prefix: str
    clock: Clock
    results: Results
    flights: Flights[str, _Outcome] = field(default_factory=Flights[str, "_Outcome"])

    @property
    def operation_names(self) -> Collection[str]:
        """See ``NamesOperations``."""
        return self.operations.keys()

    def bind(self, method: Method[Any, Any], /) -> Middleware | None:
        named = method.operation in self.operations
        if method.arity is not Arity.UNARY:
            if named:
                raise StartupError(f"cache(operations=...) names {method.operation}, a stream")
            return None
        if not named and not self.applies(method):
            return None
        ttl = self.operations.get(method.operation, self.ttl)

        async def cached(call: Call, request: Any, next: Handler, /) -> Any:
            if not isinstance(request, Message):
                return await next(call, request)
            return await self._answer(call, request, next, ttl)

        return cached

    async def _answer(self, call: Call, request: Message, next: Handler, ttl: float) -> Any:
        name = self._name(call, request)
        wishes = _directives(call.headers.get("cache-control")) if self.obeys_requests else ()
        if "no-store" in wishes:
            self.results.count(call, "bypass")
            return await next(call, request)
        if "no-cache" in wishes:
            return await self._lead(call, request, next, name, ttl, None)
        outcome: _Outcome | None = _Then.NEXT
        old: _Reply | None = None
        while outcome is _Then.NEXT:  # of those that have waited, one may have been faster still
            old = await self._load(call, name)
            if old is not None and (self._age(old) < old.fresh or name in self.flights):
                return self._serve(call, old, "hit" if self._age(old) < old.fresh else "stale")
            outcome = await self.flights.join(name)
        if isinstance(outcome, _Reply):
            return self._serve(call, outcome, "joined")
        if isinstance(outcome, Error):
            self.results.count(call, "joined")
            raise outcome.clone()
        return await self._lead(call, request, next, name, ttl, old)

    async def _lead(
        self,
        call: Call,
        request: Message,
        next: Handler,
        name: str,
        ttl: float,
        old: _Reply | None,
    ) -> Any:
        """Run a call, keep its reply, and tell those that wait for it."""
        # One that must not read the cache goes beside the present one, and nobody waits for it.
        with self.flights.lead(name, _Then.NEXT) as flight:
            try:
                reply = await next(call, request)
            except Exception as error:
                if old is not None and _is_failure(error) and call.cause is None:
                    flight.outcome = old
                    _log.warning("%s is answered from the cache: %s", call.method.operation, error)
                    return self._serve(call, old, "stale")
                self.results.count(call, "miss")
                if call.cause is None and call.remaining() != 0:
                    # Else its time was over, and that of the next is not.
                    flight.outcome = _for_others(error)
                raise
            self.results.count(call, "miss")
            outcome = flight.outcome = self._reply(call, reply, ttl)
            if isinstance(outcome, _Reply):
                await self._save(call, name, outcome)
            if call.side is Side.SERVER:  # a client has them as they came
                call.reply_headers.set(_STATUS, "kratos; fwd=miss")
            return reply

    def _name(self, call: Call, request: Message) -> str:
        parts = [
            call.method.operation.encode(),
            request.SerializeToString(deterministic=True),
            self.whose(call),
        ]
        for name in self.vary:
            parts += [name.encode(), b"%d" % len(values := call.headers.values(name))]
            parts += [value.encode("utf-8", "surrogatepass") for value in values]
        return f"{self.prefix}{fingerprint(*parts).hex()}"

    def _age(self, reply: _Reply) -> float:
        return max(0.0, self.clock.wall() - reply.made)

    def _reply(self, call: Call, reply: object, ttl: float) -> _Reply | _Then:
        """Return a reply as it is kept, if it is not for this call alone."""
        if not isinstance(reply, call.method.reply):
            return _Then.ALL
        said = _directives(call.reply_headers.get("cache-control"))
        if "no-store" in said or ("private" in said and self.whose is _nobody):
            return _Then.ALL
        body = cast("Message", reply).SerializeToString()
        headers = chosen(call.reply_headers, self.reply_headers)
        return _Reply(self.clock.wall(), ttl, headers, body)

    async def _load(self, call: Call, name: str) -> _Reply | None:
        try:
            data = await self.store.get(name)
        except StoreUnavailable as error:
            self._away(call, error)
            return None
        found = None if data is None else unpack(data)
        if found is None:
            return None
        try:
            return self._kept(call, *found)
        # By a release whose reply was another message, or by who knows whom.
        except (ValueError, DecodeError) as error:
            _log.debug("what is kept for %s is passed over: %s", call.method.operation, error)
            return None

    def _kept(self, call: Call, head: Mapping[str, Any], body: bytes) -> _Reply:
        """Return a reply of the store.

        Raises:
            ValueError: It is none.
            DecodeError: Nor is its message.
        """
        match head:
            case {"made": int() | float() as made, "fresh": int() | float() as fresh}:
                if not (0 <= made <= _LATEST and 0 <= fresh <= _LATEST):
                    raise ValueError("a time is none")
            case _:
                raise ValueError("it does not say when it was made")
        call.method.reply.FromString(body)
        return _Reply(made, fresh, headers_in(head, self.reply_headers), body)

    async def _save(self, call: Call, name: str, reply: _Reply) -> None:
        if len(reply.body) > self.max_reply:
            return
        head = {"made": reply.made, "fresh": reply.fresh, "headers": reply.headers}
        try:
            await self.store.set(name, pack(head, reply.body), ttl=reply.fresh + self.stale)
        except StoreFull:
            _log.debug("no room for a reply of %s", call.method.operation)
        except StoreUnavailable as error:
            self._away(call, error)

    def _away(self, call: Call, error: StoreUnavailable) -> None:
        self.results.count(call, "unavailable")
        _log.debug("%s goes on without the cache: %s", call.method.operation, error)

    def _serve(self, call: Call, reply: _Reply, result: str) -> Any:
        """Answer with a reply of another call; each gets a message of its own."""
        message = call.method.reply.FromString(reply.body)
        self.results.count(call, result)
        if call.reply_headers.frozen:  # a client's, of an attempt that failed
            call.reply_headers = Header()
        put(call.reply_headers, reply.headers)
        call.reply_headers.set("age", str(int(self._age(reply))))
        call.reply_headers.set(_STATUS, "kratos; hit")
        return message


def _for_others(error: Exception) -> Error | _Then:
    """Return what an error of one call is to those that wait for it."""
    if isinstance(error, Error) and error.code not in _OF_ONE:
        return error.clone()
    return _Then.ALL


def _is_failure(error: Exception) -> bool:
    """Tell whether an error says nothing of the request."""
    return isinstance(error, OSError) or (
        isinstance(error, Error) and error.code >= _SERVER_FAILURES
    )


def _nobody(_call: Call) -> bytes:
    return b""


def _scoped(scope: Callable[[Call], str]) -> Callable[[Call], bytes]:
    def whose(call: Call) -> bytes:
        return scope(call).encode("utf-8", "surrogatepass")

    return whose


def _directives(text: str) -> Collection[str]:
    """Return the names of the directives of a ``cache-control``."""
    return [part.partition("=")[0].strip().lower() for part in text.split(",")] if text else ()
