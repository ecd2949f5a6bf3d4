"""The layout of a set of keys (RFC 7517, 5): from bytes to keys."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from kratos.errors import ConfigError
from kratos_jwt.key import Key
from kratos_jwt.refusal import Refused
from kratos_jwt.token import decode_json

__all__ = ["MOST_KEYS", "KnownKeys", "parse"]

MOST_KEYS: Final = 256

_log = logging.getLogger("kratos.jwt")


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """The keys of a set.

    Attributes:
        named: By ``kid``.
        unnamed: Those without.
        sources: The objects they were made of, to know them again.
    """

    named: Mapping[str, Key] = field(default_factory=dict[str, Key])
    unnamed: tuple[Key, ...] = ()
    sources: tuple[tuple[dict[str, Any], Key], ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.named) + len(self.unnamed)


def parse(
    data: bytes, *, algorithms: Sequence[str], secrets: bool, known: KnownKeys, origin: str
) -> KnownKeys:
    """Read a set of keys. Those that cannot be used are passed over and logged.

    Args:
        data: JSON.
        algorithms: Those that are allowed; empty for the usual one of each kind of key.
        secrets: Whether keys of HMAC are taken.
        known: Of the last time; keys that are still there stay the same objects.
        origin: Where it is from, for errors and logs.

    Raises:
        ConfigError: It is no set, it has no key that can be used, more than ``MOST_KEYS``, or two
            of one ``kid``.
    """
    entries = _entries(data, origin)
    named: dict[str, Key] = {}
    unnamed: list[Key] = []
    sources: list[tuple[dict[str, Any], Key]] = []
    for number, entry in enumerate(entries):
        try:
            key = _same(entry, known) or _made(entry, algorithms, secrets=secrets)
        except ConfigError as error:
            _log.warning("%s: key %d is passed over: %s", origin, number, error)
            continue
        if key.key_id is None:
            unnamed.append(key)
        elif key.key_id in named:
            raise ConfigError(f"{origin}: two keys have the kid {key.key_id!r}")
        else:
            named[key.key_id] = key
        sources.append((entry, key))
    if not sources:
        raise ConfigError(f"{origin}: it has no key that can be used")
    return KnownKeys(named, tuple(unnamed), tuple(sources))


def _entries(data: bytes, origin: str) -> list[dict[str, Any]]:
    try:
        entries: object = decode_json(data).get("keys")
    except Refused as error:
        raise ConfigError(f"{origin}: {error.why}") from None
    if not isinstance(entries, list):
        raise ConfigError(f"{origin}: it has no list 'keys' (RFC 7517, 5)")
    found = cast("list[object]", entries)
    if len(found) > MOST_KEYS:
        raise ConfigError(f"{origin}: it has {len(found)} keys, more than {MOST_KEYS}")
    return [cast("dict[str, Any]", each) if isinstance(each, dict) else {} for each in found]


def _same(entry: dict[str, Any], known: KnownKeys) -> Key | None:
    return next((key for source, key in known.sources if source == entry), None)


def _made(entry: dict[str, Any], algorithms: Sequence[str], *, secrets: bool) -> Key:
    if entry.get("kty") == "oct" and not secrets:
        raise ConfigError("it is a secret, which everybody can read there")
    return Key.from_jwk(entry, algorithms=algorithms)
