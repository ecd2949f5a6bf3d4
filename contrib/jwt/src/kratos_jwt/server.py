"""Verify the token of each call (Go: contrib/middleware/jwt, Server)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError, Error
from kratos.limit import Limit
from kratos.middleware import Handler, Middleware, PerMethod
from kratos.principal import Principal, acting_as
from kratos.transport import Arity, Call, Method, Side, server_call
from kratos_jwt.claims import builder, principal_of
from kratos_jwt.context import CURRENT, Current
from kratos_jwt.keys import Keys
from kratos_jwt.refusal import EXPIRED, MISSING, PARSE_FAIL, WRONG_CONTEXT, Refused, error
from kratos_jwt.sources import Source, bearer
from kratos_jwt.verifier import DEFAULT_MAX_SIZE, Verified, Verifier

__all__ = ["server"]

_SERVER: Final = Side.SERVER
_HTTP: Final = "http"

_log = logging.getLogger("kratos.jwt")


def server(
    keys: Keys,
    /,
    *,
    issuer: str | Iterable[str] = (),
    audience: str | Iterable[str] = (),
    subject: str | None = None,
    required: Iterable[str] = ("exp",),
    leeway: float = 0.0,
    max_age: float | None = None,
    max_size: int = DEFAULT_MAX_SIZE,
    cache: int = 0,
    claims_type: Any = None,
    principal: Callable[[Verified], Principal] | None = None,
    sources: Sequence[Source] | None = None,
    optional: bool = False,
    end_streams: bool = False,
    clock: Clock = SYSTEM_CLOCK,
) -> PerMethod:
    """Make the middleware that lets calls through whose token is good.

    A call of any arity is refused before its handler runs: 401 ``UNAUTHORIZED`` with the text
    that Go Kratos has for the case. What was really wrong is logged, at INFO by ``kratos.jwt``,
    without the token.

    The claims are then to be had from ``current_claims()``, and the caller from
    ``kratos.principal.current_principal()``.

    Args:
        keys: See ``Verifier``, as for all options up to ``cache``.
        issuer: See ``Verifier``.
        audience: See ``Verifier``.
        subject: See ``Verifier``.
        required: See ``Verifier``.
        leeway: See ``Verifier``.
        max_age: See ``Verifier``.
        max_size: See ``Verifier``.
        cache: See ``Verifier``.
        claims_type: What ``current_claims(claims_type)`` returns: a dataclass, a model of
            pydantic, or a function that makes an object of the claims. Claims of which none can
            be made refuse the call.
        principal: Makes the caller, in place of the usual claims.
        sources: Where the token may be; the first that has one counts. The header
            ``Authorization`` by default.
        optional: Let calls without a token through, as nobody's; a bad one is refused.
        end_streams: End a stream with 401 when its token expires; else, as in Go, the token has
            to be valid when the stream opens.
        clock: Time of day.

    Raises:
        ConfigError: There are no keys, or an option is out of its range.
    """
    verifier = Verifier(
        keys,
        issuer=issuer,
        audience=audience,
        subject=subject,
        required=required,
        leeway=leeway,
        max_age=max_age,
        max_size=max_size,
        cache=cache,
        clock=clock,
    )
    found = (bearer(),) if sources is None else tuple(sources)
    if not found:
        raise ConfigError("sources=() has no place for a token: bearer(), for instance")
    return _Server(
        verifier,
        found,
        build=None if claims_type is None else builder(claims_type),
        principal=principal or _usual,
        optional=optional,
        clock=clock if end_streams else None,
    )


class _Server:
    def __init__(
        self,
        verifier: Verifier,
        sources: tuple[Source, ...],
        *,
        build: Callable[[dict[str, Any]], Any] | None,
        principal: Callable[[Verified], Principal],
        optional: bool,
        clock: Clock | None,
    ) -> None:
        self._verifier = verifier
        self._sources = sources
        self._build = build
        self._principal = principal
        self._optional = optional
        self._clock = clock

    def bind(self, method: Method[Any, Any], /) -> Middleware | None:
        """Return the middleware of a method; see ``PerMethod``."""
        clock = None if method.arity is Arity.UNARY else self._clock

        async def authenticated(call: Call, request: Any, next: Handler, /) -> Any:
            if call.side is not _SERVER:
                raise error(WRONG_CONTEXT)
            verified = await self._authenticate(call)
            if verified is None:
                return await next(call, request)
            current, caller = self._made(call, verified)
            token = CURRENT.set(current)
            try:
                with acting_as(caller):
                    if clock is None or verified.ends is None:
                        return await next(call, request)
                    return await _until(verified.ends, clock, next, call, request)
            finally:
                CURRENT.reset(token)

        return authenticated

    async def _authenticate(self, call: Call) -> Verified | None:
        try:
            token = self._token(call)
            if token is not None:
                return await self._verifier.verify(token)
        except Refused as refused:
            raise _refuse(call, error(refused.message, cause=refused), refused.why) from refused
        except Error as failure:
            raise _refuse(call, failure, str(failure.cause or failure.message)) from failure.cause
        if self._optional:
            return None
        raise _refuse(call, error(MISSING), "there is no token")

    def _token(self, call: Call) -> str | None:
        for source in self._sources:
            token = source(call)
            if token is not None:
                return token
        return None

    def _made(self, call: Call, verified: Verified) -> tuple[Current, Principal]:
        claims = verified.claims
        try:
            typed = claims if self._build is None else self._build(claims)
            caller = self._principal(verified)
        except Error:
            raise
        except Exception as failure:
            # By its kind alone: the text of a validation may quote claims.
            why = f"claims_type or principal: {type(failure).__name__}"
            raise _refuse(call, error(PARSE_FAIL, cause=failure), why) from failure
        return Current(server_call(), verified.header, claims, typed), caller


def _usual(verified: Verified) -> Principal:
    return principal_of(verified.claims, verified.ends)


def _refuse(call: Call, failure: Error, why: str) -> Error:
    _log.info("%s from %s is refused: %s", call.method.operation, call.peer or "nowhere", why)
    if failure.code == 401 and call.transport == _HTTP and not call.reply_headers.frozen:
        call.reply_headers.set("www-authenticate", "Bearer")  # RFC 9110, 15.5.2
    return failure


async def _until(ends: float, clock: Clock, next: Handler, call: Call, request: Any) -> Any:
    limit = Limit(clock, ends - clock.wall())
    try:
        async with limit:
            return await next(call, request)
    except TimeoutError as failure:
        if not limit.expired:
            raise
        # Nobody else cancelled it, or this were no TimeoutError; a transport that sees
        # cancellations without a cause may have taken the limit's own for the peer's.
        call.cause = None
        _log.info("%s from %s is ended: its token expired", call.method.operation, call.peer)
        raise error(EXPIRED, cause=failure) from failure
