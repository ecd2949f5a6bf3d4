"""What a token has to say, and when: the rules of RFC 7519, 4.1, as pure functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from kratos.errors import ConfigError
from kratos.principal import Principal
from kratos_jwt.refusal import EXPIRED, PARSE_FAIL, Refused

__all__ = ["ClaimRules", "builder", "names_of", "principal_of", "texts"]

_LATEST: Final = 253_402_300_799  # the end of the year 9999, in seconds since the epoch
_TEXTS: Final = ("iss", "sub", "jti")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRules:
    """Which claims are taken.

    Attributes:
        issuers: Of which ``iss`` has to be one; empty for any.
        audiences: Of which ``aud`` has to have one; empty for any.
        subject: What ``sub`` has to be; ``None`` for any.
        required: Claims that have to be there.
        leeway: Seconds by which clocks may differ.
        max_age: Seconds after ``iat`` for which a token is taken; ``None`` for no limit.
    """

    issuers: frozenset[str] = frozenset()
    audiences: frozenset[str] = frozenset()
    subject: str | None = None
    required: tuple[str, ...] = ("exp",)
    leeway: float = 0.0
    max_age: float | None = None

    def check(self, claims: Mapping[str, Any], now: float) -> float | None:
        """Check the claims of a verified token.

        Args:
            claims: Those.
            now: Seconds since the epoch.

        Returns:
            When the token ends, with the leeway; ``None`` for never.

        Raises:
            Refused: They break a rule.
        """
        ends = self._check_times(claims, now)
        for name in self.required:
            if claims.get(name) is None:
                raise Refused(PARSE_FAIL, f"it has no claim {name!r}")
        for name in _TEXTS:
            if name in claims and not isinstance(claims[name], str):
                raise Refused(PARSE_FAIL, f"its claim {name!r} is no text")
        if self.issuers and claims.get("iss") not in self.issuers:
            raise Refused(PARSE_FAIL, "it is of another issuer")
        if self.subject is not None and claims.get("sub") != self.subject:
            raise Refused(PARSE_FAIL, "it has another subject")
        audiences = _audiences(claims)
        if self.audiences and self.audiences.isdisjoint(audiences):
            raise Refused(PARSE_FAIL, "it is for another audience")
        return ends

    def _check_times(self, claims: Mapping[str, Any], now: float) -> float | None:
        expires, begins, issued = (_date(claims, name) for name in ("exp", "nbf", "iat"))
        leeway = self.leeway
        if expires is not None and now >= expires + leeway:
            raise Refused(EXPIRED, "it has expired")
        if begins is not None and now < begins - leeway:
            raise Refused(EXPIRED, "it is not valid yet")
        ends = None if expires is None else expires + leeway
        if issued is not None and now < issued - leeway:
            raise Refused(PARSE_FAIL, "it was issued in the future")
        if self.max_age is not None:
            if issued is None:
                raise Refused(PARSE_FAIL, "it has no claim 'iat', which max_age needs")
            oldest = issued + self.max_age + leeway
            if now >= oldest:
                raise Refused(EXPIRED, "it is older than max_age")
            ends = oldest if ends is None else min(ends, oldest)
        return ends


def principal_of(claims: Mapping[str, Any], ends: float | None) -> Principal:
    """Return the caller as the usual claims describe it.

    Scopes are those of ``scope`` (a text of words, RFC 8693) and ``scp``, roles those of
    ``roles``; a list or one text each.
    """
    return Principal(
        subject=claims.get("sub", ""),
        scheme="jwt",
        issuer=claims.get("iss", ""),
        scopes=names_of(claims.get("scope")) | names_of(claims.get("scp")),
        roles=names_of(claims.get("roles")),
        claims=claims,
        expires_at=ends,
    )


def names_of(value: object) -> frozenset[str]:
    """Return the names in a claim that is a text of words or a list of texts; others have none."""
    if isinstance(value, str):
        return frozenset(value.split())
    if isinstance(value, list):
        return frozenset(item for item in cast("list[object]", value) if isinstance(item, str))
    return frozenset()


def builder(kind: Any) -> Callable[[dict[str, Any]], Any]:
    """Return what makes the claims' object of an option ``claims_type``.

    Raises:
        ConfigError: It is neither a dataclass, nor a model of pydantic, nor a function.
    """
    if hasattr(kind, "model_validate"):
        made: Callable[[dict[str, Any]], Any] = kind.model_validate
        return made
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return lambda claims: _dataclass(kind, claims)
    if callable(kind):
        found: Callable[[dict[str, Any]], Any] = kind
        return found
    raise ConfigError(
        f"claims_type={kind!r} is neither a dataclass nor a pydantic model nor a function of claims"
    )


def texts(option: str, value: str | Iterable[str]) -> frozenset[str]:
    """Return one text or several as a set.

    Raises:
        ConfigError: One is empty, or none.
    """
    found = (value,) if isinstance(value, str) else tuple(value)
    for item in cast("tuple[object, ...]", found):
        if not isinstance(item, str) or not item:
            raise ConfigError(f"{option}={value!r} has to be a text, or several")
    return frozenset(found)


def _dataclass(kind: type[Any], claims: dict[str, Any]) -> Any:
    from kratos.config import Snapshot
    from kratos.config.scan import scan

    made: Any = scan(Snapshot(claims), kind)
    return made


def _date(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        if name in claims:
            raise Refused(PARSE_FAIL, f"its claim {name!r} is null")
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LATEST:
        raise Refused(PARSE_FAIL, f"its claim {name!r} is no time in seconds")
    return value


def _audiences(claims: Mapping[str, Any]) -> frozenset[str]:
    value = claims.get("aud")
    if value is None:
        return frozenset()
    if isinstance(value, str):
        return frozenset((value,))
    if isinstance(value, list):
        items = cast("list[object]", value)
        found = frozenset(item for item in items if isinstance(item, str))
        if all(isinstance(item, str) for item in items):
            return found
    raise Refused(PARSE_FAIL, "its claim 'aud' is neither a text nor a list of texts")
