"""Configuration as it may be shown."""

from __future__ import annotations

from typing import Any, Final, cast

from google.protobuf.message import Message

from kratos.redact import HIDDEN, is_secret, redacted
from kratos_protojson import to_dict

__all__ = ["is_secret_header", "shown"]

_KEYS: Final = ("key", "scrypt", "sha256")  # of TLS, and what lets clients in
_PROVING: Final = "verify"  # as headers end by which a CDN shows that it is the one
_TESTS: Final = {"exact", "prefix", "regex", "suffix"}  # what conditions compare with
_OF_HEADER: Final = {"key", "value"}  # of answers that are written in the configuration


def shown(config: Message) -> Any:
    """Return a configuration as JSON has it, without its secrets."""
    return _without_keys(redacted(to_dict(config, emit_unset=False)))


def _without_keys(found: Any) -> Any:
    if isinstance(found, list):
        return [_without_keys(each) for each in cast("list[Any]", found)]  # type: ignore[redundant-cast]
    if not isinstance(found, dict):
        return found
    members = cast("dict[str, Any]", found)
    if members.keys() == _OF_HEADER:
        return {**members, "value": HIDDEN} if is_secret_header(str(members["key"])) else members
    if not _TESTS.isdisjoint(members) and _is_of_a_secret(members):
        return {name: HIDDEN if name in _TESTS else each for name, each in members.items()}
    return {
        name: HIDDEN if _is_key(name) else _without_keys(each) for name, each in members.items()
    }


def _is_of_a_secret(match: dict[str, Any]) -> bool:
    # Of a cookie the name itself is hidden by now.
    named = str(match.get("header") or match.get("query"))
    return "cookie" in match or is_secret_header(named)


def _is_key(name: str) -> bool:
    # Headers that rewrite sets are often what lets the gateway in: ``x-inner-key``.
    return name.lower().rpartition("-")[2] in _KEYS


def is_secret_header(name: str, /) -> bool:
    """Tell whether the values of a header, cookie or parameter are likely to be secrets."""
    return _is_key(name) or is_secret(name) or name.lower().rpartition("-")[2] == _PROVING
