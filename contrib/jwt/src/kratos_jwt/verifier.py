"""From the text of a token to claims that somebody vouches for."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError, Error
from kratos.limit import describe
from kratos.options import require_number
from kratos_jwt.claims import ClaimRules, texts
from kratos_jwt.key import Key
from kratos_jwt.keys import Keys, source_of
from kratos_jwt.refusal import INVALID, PARSE_FAIL, WRONG_METHOD, Refused, error
from kratos_jwt.token import TokenHeader, decode_json, decode_segment, parse_header, split

__all__ = ["Verified", "Verifier"]

DEFAULT_MAX_SIZE: Final = 8 * 1024

_KNOWN: Final = frozenset(
    (
        *("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        *("ES256", "ES384", "ES512", "ES256K", "EdDSA"),
    )
)


@dataclass(frozen=True, slots=True)
class Verified:
    """A token that was taken.

    Attributes:
        header: Its header.
        claims: Its claims; a new object for each call.
        ends: When it stops being taken, in seconds since the epoch, with the leeway; ``None`` for
            never.
    """

    header: TokenHeader
    claims: dict[str, Any]
    ends: float | None


class Verifier:
    """Verifies tokens; ``server`` is the middleware around it.

    Args:
        keys: One ``Key``, a mapping of ``kid`` to ``Key``, a ``KeySet``, or a function of the
            token's header, plain or ``async``, that returns a ``Key`` or ``None``. An ``Error`` of
            that function is the answer; any other exception refuses the token.
        issuer: What ``iss`` has to be, or several of which it has to be one.
        audience: What ``aud`` has to have, or several of which it has to have one. Set it wherever
            the issuer signs tokens for other services too.
        subject: What ``sub`` has to be.
        required: Claims that have to be there.
        leeway: Seconds by which the clocks of issuer and service may differ.
        max_age: Seconds after ``iat`` for which a token is taken, however long it is valid.
        max_size: Characters of the longest token.
        cache: How many tokens are remembered as well signed, the last used ones. Their claims
            are read and checked each time nevertheless.
        clock: Time of day for ``exp``, ``nbf`` and ``iat``.

    Raises:
        ConfigError: There are no keys, or an option is out of its range.
    """

    def __init__(
        self,
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
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if isinstance(required, str):
            raise ConfigError(f"required={required!r} has to be a list of claims")
        for name, number in (("leeway", leeway), ("max_size", max_size), ("cache", cache)):
            require_number(name, number)
        require_number("max_age", max_age, optional=True)
        if not 0 <= leeway <= 3600 or (max_age is not None and max_age <= 0):
            raise ConfigError(
                f"leeway={leeway} has to be from 0 to 3600 s, max_age={max_age} positive"
            )
        if max_size <= 0 or cache < 0:
            raise ConfigError(f"max_size={max_size} has to be positive, cache={cache} 0 or more")
        self._keys = source_of(keys)
        self._rules = ClaimRules(
            issuers=texts("issuer", issuer),
            audiences=texts("audience", audience),
            subject=subject,
            required=tuple(required),
            leeway=leeway,
            max_age=max_age,
        )
        self._max_size = max_size
        self._cache = _Signed(cache) if cache else None
        self._clock = clock

    async def verify(self, token: str, /) -> Verified:
        """Verify a token.

        Raises:
            Error: 401 ``UNAUTHORIZED`` with a text of Go Kratos; its cause, which does not leave
                the process, says why.
        """
        try:
            return await self._verify(token)
        except Refused as refused:
            raise error(refused.message, cause=refused) from refused

    async def _verify(self, token: str) -> Verified:
        if len(token) > self._max_size:
            raise Refused(INVALID, f"it is longer than {self._max_size} characters")
        header_text, payload_text, signature_text = split(token)
        header = parse_header(header_text)
        if header.algorithm not in _KNOWN:
            raise Refused(INVALID, "its algorithm is none that is known here")
        key = await self._key(header)
        if header.algorithm not in key.algorithms:
            raise Refused(WRONG_METHOD, f"its algorithm {header.algorithm} is not that of its key")
        signed = token[: len(header_text) + 1 + len(payload_text)].encode()
        signature = decode_segment(signature_text)
        if not self._is_signed(key, header.algorithm, signed, signature):
            raise Refused(PARSE_FAIL, "its signature is not that of its key")
        claims = decode_json(decode_segment(payload_text))
        return Verified(header, claims, self._rules.check(claims, self._clock.wall()))

    async def _key(self, header: TokenHeader) -> Key:
        try:
            key = await self._keys.find_key(header)
        except Error:
            raise
        except Exception as failure:
            raise Refused(INVALID, f"its key could not be found: {describe(failure)}") from failure
        if key is None:
            raise Refused(INVALID, f"there is no key for its kid {header.key_id!r:.80}")
        return key

    def _is_signed(self, key: Key, algorithm: str, signed: bytes, signature: bytes) -> bool:
        if self._cache is None:
            return key.verify(algorithm, signed, signature)
        digest = hashlib.sha256(signed)
        digest.update(b"." + signature)
        name = digest.digest()
        if self._cache.has(name, key):
            return True
        if not key.verify(algorithm, signed, signature):
            return False
        self._cache.keep(name, key)
        return True


class _Signed:
    """Digests of tokens that were well signed, each with the key that said so.

    A key that is no longer in use is another object, so what it said counts no more.
    """

    __slots__ = ("_found", "_most")

    def __init__(self, most: int) -> None:
        self._found: OrderedDict[bytes, Key] = OrderedDict()
        self._most = most

    def has(self, name: bytes, key: Key) -> bool:
        if self._found.get(name) is not key:
            return False
        self._found.move_to_end(name)
        return True

    def keep(self, name: bytes, key: Key) -> None:
        self._found[name] = key
        self._found.move_to_end(name)
        if len(self._found) > self._most:
            self._found.popitem(last=False)
