"""Let in who has a token (RFC 7519)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.errors import ConfigError, Error, MissingDependency
from kratos.log import Level, Logger
from kratos.principal import Principal
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.jwt_pb2 import Jwt
from kratos_gateway.exchange import Answer, Handler, Middleware, Request
from kratos_gateway.headers import hyphenated
from kratos_gateway.middleware.callers import (
    UNSEEN,
    called_by,
    not_for_others,
    parameter,
    sendable,
    without_cookie,
    without_header,
    without_parameter,
)
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.names import header_name
from kratos_gateway.middleware.options import options_of, seconds_of
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.refusal import refuse
from kratos_gateway.middleware.requests import with_headers

if TYPE_CHECKING:
    from kratos_jwt import Key, KeySet, Verifier

__all__ = ["build"]

_OF_OTHERS: Final = ("jwks", "openid")  # who sign for other services, too
_NO_AUDIENCE: Final = (
    "jwt takes tokens that were made for any service, as it has no audiences: name this one"
)
_REFRESH: Final = 300.0  # seconds
_LARGEST: Final = 256 * 1024  # bytes of a file of keys, as KeySet has it
_HEADER: Final = b"authorization"
_REMEMBERED: Final = 4096  # tokens that were well signed
_CHALLENGE: Final = (b"www-authenticate", b"Bearer")
_INVALID: Final = (b"www-authenticate", b'Bearer error="invalid_token"')
_SCOPES: Final = (b"www-authenticate", b'Bearer error="insufficient_scope"')


def build(options: AnyMessage | None, context: Context, /) -> Middleware:
    """Make what answers 401 to requests without a good token, and 403 to those without a scope.

    A token is where ``Authorization: Bearer`` has it, or in the cookie or the parameter of the
    query that the options name. Headers that tell claims are dropped from what clients send.

    Raises:
        ConfigError: There is no key, also in the file that ``jwks`` names, or an option is wrong.
        MissingDependency: ``kratos-jwt`` is not installed.
    """
    told = options_of(options, Jwt)
    if find_spec("kratos_jwt") is None:
        raise MissingDependency("jwt", "kratos-jwt")
    from kratos_jwt import KeySet

    keys = _keys(told, context)
    checks = _Checks(told, _verifier(told, keys, context), context.logger)
    if told.WhichOneof("keys") in _OF_OTHERS and not told.audiences:
        context.logger.log(Level.WARN, _NO_AUDIENCE)

    def wrap(handler: Handler, _endpoint: Endpoint) -> Handler:
        async def handle(request: Request, /) -> Answer:
            return await checks.handle(request, handler)

        return handle

    async def close() -> None:
        if isinstance(keys, KeySet):
            await keys.stop()

    return Plain(wrap, close=close)


class _Checks:
    """What is asked of tokens."""

    def __init__(self, told: Jwt, verifier: Verifier, logger: Logger) -> None:
        from kratos_jwt.claims import principal_of

        self._verifier: Final = verifier
        self._principal: Final = principal_of
        self._logger: Final = logger
        self._cookie: Final = told.cookie.encode()
        self._query: Final = told.query
        self._optional: Final = told.optional
        self._strip: Final = told.strip
        self._scopes: Final = frozenset(told.scopes)
        self._tell: Final = [
            (claim, header_name(told.claim_headers[claim])) for claim in sorted(told.claim_headers)
        ]
        self._dropped: Final = frozenset(hyphenated(header) for _, header in self._tell)

    async def handle(self, request: Request, handler: Handler) -> Answer:
        not_for_others(request)
        sent = self._sent(request)
        if not sent and self._optional:
            return await handler(self._passed_on(request, None, {}))
        if len(sent) != 1:
            return _refused(request, "JWT token is missing", _CHALLENGE)
        try:
            verified = await self._verifier.verify(sent[0])
        except Error as error:
            return self._bad(request, error)
        claims = verified.claims
        who = self._principal(claims, verified.ends)
        if not self._scopes <= who.scopes:
            message = f"the token lacks the scopes {sorted(self._scopes - who.scopes)}"
            return refuse(request, 403, reason="FORBIDDEN", message=message, headers=(_SCOPES,))
        return await handler(self._passed_on(request, who, claims))

    def _bad(self, request: Request, error: Error) -> Answer:
        # The client hears a text of Go Kratos; what was wrong is for those who run the gateway.
        fields = {"code": error.code, "error": str(error.cause or error.message)}
        self._logger.log(Level.INFO, "a token is refused", fields)
        if error.code == 401:
            return _refused(request, error.message, _INVALID)
        return refuse(request, error.code, reason=error.reason, message=error.message)

    def _sent(self, request: Request) -> list[str]:
        found = [
            value[7:].strip().decode("latin-1")
            for name, value in request.headers
            if name == _HEADER and value[:7].lower() == b"bearer "
        ]
        if not found and self._cookie:
            found = _cookies(request, self._cookie)
        return found or parameter(request, self._query)

    def _passed_on(
        self, request: Request, who: Principal | None, claims: Mapping[str, Any]
    ) -> Request:
        if self._strip and who is not None:
            request = without_parameter(without_header(request, _HEADER), self._query)
            request = without_cookie(request, self._cookie)
        request = called_by(request, who)
        if not self._tell:
            return request
        headers = [pair for pair in request.headers if hyphenated(pair[0]) not in self._dropped]
        headers += [(name, _text(claims[claim])) for claim, name in self._tell if claim in claims]
        return with_headers(request, headers)


def _verifier(told: Jwt, keys: Key | KeySet, context: Context) -> Verifier:
    from kratos_jwt import Verifier

    try:
        return Verifier(
            keys,
            issuer=list(told.issuers) or ([told.openid] if told.openid else []),
            audience=list(told.audiences),
            required=list(told.required) or ("exp",),
            leeway=seconds_of(told.leeway, name="leeway"),
            cache=_REMEMBERED,
            clock=context.clock,
        )
    except ConfigError as error:
        raise ConfigError(f"jwt: {error}") from error


def _keys(told: Jwt, context: Context) -> Key | KeySet:
    from kratos_jwt import Key, KeySet

    kind = told.WhichOneof("keys")
    every = _REFRESH
    if told.HasField("refresh"):
        every = seconds_of(told.refresh, name="refresh", least=1.0)
        if kind not in _OF_OTHERS:
            raise ConfigError("refresh is how often jwks or openid is read, and there is neither")
    try:
        if kind == "jwks":
            if "://" not in told.jwks:
                _require_keys(told.jwks)
            return KeySet(told.jwks, interval=every, clock=context.clock)
        if kind == "openid":
            return _discovered(told.openid, every, context)
        if kind == "public_key":
            return Key.from_pem(told.public_key)
        if kind == "secret":
            return Key.from_secret(told.secret)
    except ConfigError as error:
        raise ConfigError(f"jwt: {error}") from error
    raise ConfigError("there is no key: write jwks, openid, publicKey or secret")


def _require_keys(path: str) -> None:
    """Refuse a file without keys now: else each token would be, and nobody be told before."""
    from kratos_jwt.jwks import KnownKeys, parse

    try:
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST)
    except (OSError, ValueError) as error:
        raise ConfigError(f"jwks cannot be read: {error}") from error
    parse(data, algorithms=(), secrets=True, known=KnownKeys(), origin=f"jwks {path}")


def _discovered(issuer: str, every: float, context: Context) -> KeySet:
    from kratos_gateway.middleware.openid import Discovered, discovery_url
    from kratos_jwt import KeySet

    return KeySet(
        discovery_url(issuer), interval=every, fetch=Discovered(issuer), clock=context.clock
    )


def _refused(request: Request, message: str, challenge: tuple[bytes, bytes]) -> Answer:
    return refuse(request, 401, reason="UNAUTHORIZED", message=message, headers=(challenge,))


def _cookies(request: Request, wanted: bytes) -> list[str]:
    return [
        value.strip().strip(b'"').decode("latin-1")
        for name, line in request.headers
        if name == b"cookie"
        for key, found, value in (part.partition(b"=") for part in line.split(b";"))
        if found and key.strip() == wanted
    ]


def _text(value: Any) -> bytes:
    if isinstance(value, list | tuple):
        parts = (str(each).replace(",", UNSEEN) for each in cast("list[object]", value))
        return sendable(",".join(parts))
    if isinstance(value, bool):
        return b"true" if value else b"false"
    return sendable(str(value))
