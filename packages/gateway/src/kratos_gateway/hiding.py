"""Configuration as it may be shown."""

from __future__ import annotations

from typing import Any, Final, cast

from google.protobuf.message import Message

from kratos.redact import HIDDEN, redacted
from kratos_protojson import to_dict

__all__ = ["shown"]

_KEYS: Final = ("key", "scrypt", "sha256")  # of TLS, and what lets clients in


def shown(config: Message) -> Any:
    """Return a configuration as JSON has it, without its secrets."""
    return _without_keys(redacted(to_dict(config, emit_unset=False)))


def _without_keys(found: Any) -> Any:
    if isinstance(found, list):
        return [_without_keys(each) for each in cast("list[Any]", found)]  # type: ignore[redundant-cast]
    if not isinstance(found, dict):
        return found
    pairs = cast("dict[str, Any]", found).items()
    return {name: HIDDEN if name in _KEYS else _without_keys(each) for name, each in pairs}
