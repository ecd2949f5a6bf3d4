"""Who calls, by a key that it was given: for machines that can do no better."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias, cast

from kratos.errors import ConfigError
from kratos.middleware._proving import proving, unauthorized
from kratos.principal import Principal
from kratos.transport.call import Call
from kratos.transport.chain import Middleware

__all__ = ["api_key", "hashed_api_key"]

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_LONGEST: Final = 512

Find: TypeAlias = "Callable[[str], Principal | Awaitable[Principal | None] | None]"


def hashed_api_key(key: str, /) -> str:
    """Return the SHA-256 of a key in hexadecimal, as ``api_key`` takes it.

    A fast hash suffices because keys are random: make them with ``secrets.token_urlsafe(32)``.
    """
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def api_key(
    keys: Mapping[str, str | Principal] | Find,
    /,
    *,
    header: str = "x-api-key",
    optional: bool = False,
) -> Middleware:
    """Make the middleware that takes the caller from a key in a header.

    Keys are looked up by their hash, so neither this process nor its configuration holds them,
    and the time of an answer says nothing about how near a guess was. The principal's ``scheme``
    is ``api_key``.

    Args:
        keys: Names of callers, or principals, by ``hashed_api_key`` of their keys; or a function,
            plain or ``async``, that returns the principal of a hash, ``None`` if there is none.
        header: Name of the header.
        optional: Let callers without the header through, as nobody; a wrong key is refused.

    Raises:
        ConfigError: There are no keys, or one stands there itself in place of its hash.
    """
    find = _finder(keys)

    async def prove(call: Call) -> Principal | None:
        values = call.headers.values(header)
        if not values and optional:
            return None
        if not values:
            raise unauthorized("an API key is needed")
        if len(values) > 1 or len(values[0]) > _LONGEST:
            raise unauthorized("the API key is not valid")
        found = find(hashed_api_key(values[0]))
        principal = await found if inspect.isawaitable(found) else found
        if principal is None:
            raise unauthorized("the API key is not valid")
        return principal

    return proving(prove)


def _finder(keys: Mapping[str, str | Principal] | Find) -> Find:
    if not isinstance(keys, Mapping):
        given: object = keys
        if not callable(given):
            raise ConfigError(f"api_key takes a mapping or a function, not {type(given).__name__}")
        return keys
    table = cast("Mapping[Any, Any]", keys)
    if not table:
        raise ConfigError("api_key({}) would refuse everybody: give it hashes of keys")
    principals: dict[str, Principal] = {}
    for digest, who in table.items():
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            # Without it: it may be a key.
            raise ConfigError("api_key takes hashes of keys: use hashed_api_key()")
        if not isinstance(who, str | Principal) or not who:
            raise ConfigError("api_key maps hashes to names of callers or to principals")
        made = Principal(subject=who, scheme="api_key") if isinstance(who, str) else who
        principals[digest] = made
    return principals.get
