"""Sign a token for each call (Go: contrib/middleware/jwt, Client)."""

from __future__ import annotations

import binascii
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError
from kratos.middleware import Handler, Middleware
from kratos.transport import Call, Side
from kratos_jwt.key import Key
from kratos_jwt.refusal import CANNOT_GET_KEY, CANNOT_SIGN, WRONG_CONTEXT, error

__all__ = ["client", "sign"]

DEFAULT_LIFETIME: Final = 60.0

_CLIENT: Final = Side.CLIENT
_RESERVED: Final = ("alg", "crit", "b64")

Claims: TypeAlias = "Mapping[str, Any] | Callable[[], Mapping[str, Any]]"
KeyProvider: TypeAlias = "Key | Callable[[], Key | Awaitable[Key]]"


def client(
    key: KeyProvider,
    /,
    *,
    claims: Claims | None = None,
    lifetime: float | None = DEFAULT_LIFETIME,
    token_header: Mapping[str, Any] | None = None,
    renew_before: float | None = None,
    header: str = "authorization",
    clock: Clock = SYSTEM_CLOCK,
) -> Middleware:
    """Make the middleware that puts ``Authorization: Bearer <token>`` into calls.

    Errors are 401 ``UNAUTHORIZED`` with the texts of Go Kratos, and nothing is sent.

    Args:
        key: What to sign with, by the first of its algorithms; or a function that returns it,
            plain or ``async``, which is asked for each token.
        claims: Claims, or a function that returns them, called for each token.
        lifetime: Seconds from ``iat`` to ``exp``, which are added where ``claims`` lack them;
            ``None`` adds neither, as in Go, whose servers ask for none.
        token_header: Further members of the token's header. ``kid`` is that of the key unless
            it is here.
        renew_before: Seconds before its ``exp`` at which a token is replaced; by default each
            call gets its own.
        header: Name of the header of calls.
        clock: Time of day.

    Raises:
        ConfigError: There is no key, or one that cannot sign, or an option is out of its range.
    """
    given: object = key
    if isinstance(given, Key):
        if not given.can_sign:
            raise ConfigError(f"{given!r} is public: it verifies tokens, but cannot sign them")
    elif not callable(given) or isinstance(given, type):
        raise ConfigError(
            f"Token provider is missing: key has to be a Key or a function that returns one, not "
            f"{type(given).__name__}"
        )
    if lifetime is not None and lifetime <= 0:
        raise ConfigError(f"lifetime={lifetime} has to be positive, or None")
    if renew_before is not None and not 0 <= renew_before < (lifetime or float("inf")):
        raise ConfigError(f"renew_before={renew_before} has to be from 0 to less than lifetime")
    for name in _RESERVED:
        if token_header is not None and name in token_header:
            raise ConfigError(f"token_header has {name!r}, which says how a token is signed")
    signer = _Signer(key, claims, lifetime, dict(token_header or {}), renew_before, clock)

    async def signed(call: Call, request: Any, next: Handler, /) -> Any:
        if call.side is not _CLIENT:
            raise error(WRONG_CONTEXT)
        call.headers.set(header, f"Bearer {await signer.token()}")
        return await next(call, request)

    return signed


def sign(key: Key, claims: Mapping[str, Any], /, *, header: Mapping[str, Any] | None = None) -> str:
    """Return a token.

    Args:
        key: A key that can sign.
        claims: What it says; of JSON.
        header: Further members of its header.

    Raises:
        ConfigError: The key is public.
        TypeError: A claim is nothing that JSON has.
        ValueError: A number is none.
    """
    fields: dict[str, Any] = {"alg": key.algorithms[0], "typ": "JWT"}
    if key.key_id is not None:
        fields["kid"] = key.key_id
    fields |= header or {}
    body = f"{_part(_json(fields))}.{_part(_json(claims))}"
    return f"{body}.{_part(key.sign(body.encode()))}"


class _Signer:
    def __init__(
        self,
        key: KeyProvider,
        claims: Claims | None,
        lifetime: float | None,
        header: Mapping[str, Any],
        renew_before: float | None,
        clock: Clock,
    ) -> None:
        self._key = key
        self._claims = claims
        self._lifetime = lifetime
        self._header = header
        self._renew_before = renew_before
        self._clock = clock
        self._token = ""
        self._good_until = float("-inf")

    async def token(self) -> str:
        now = self._clock.wall()
        if now < self._good_until:
            return self._token
        key = await self._get_key()
        try:
            claims = self._stamped(now)
            token = sign(key, claims, header=self._header)
        except Exception as failure:
            raise error(CANNOT_SIGN, cause=failure) from failure
        expires = claims.get("exp")
        if self._renew_before is not None and isinstance(expires, int | float):
            self._token, self._good_until = token, expires - self._renew_before
        return token

    async def _get_key(self) -> Key:
        key: Any = self._key
        if isinstance(key, Key):
            return key
        try:
            found = key()
            found = await found if inspect.isawaitable(found) else found
        except Exception as failure:
            raise error(CANNOT_GET_KEY, cause=failure) from failure
        if not isinstance(found, Key):
            why = TypeError(f"the provider returned {type(found).__name__}, not a Key")
            raise error(CANNOT_GET_KEY, cause=why) from why
        return found

    def _stamped(self, now: float) -> dict[str, Any]:
        given = self._claims() if callable(self._claims) else self._claims
        claims = dict(given or {})
        if self._lifetime is not None:
            issued = claims.setdefault("iat", int(now))
            claims.setdefault("exp", int(issued + self._lifetime))
        return claims


def _json(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()


def _part(data: bytes) -> str:
    text = binascii.b2a_base64(data, newline=False).rstrip(b"=").decode()
    return text.replace("+", "-").replace("/", "_")
