"""Basic types as text, as other languages read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kratos.errors import ConfigError

__all__ = ["raw"]

_BOOLEANS: Final = {b"true": True, b"false": False}


def raw(kind: Any) -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    """Return how a basic type is written and read.

    Raises:
        ConfigError: It is no basic type.
    """
    if kind is bytes:
        return bytes, bytes
    if kind is str:
        return str.encode, bytes.decode
    if kind is bool:
        return (lambda value: b"true" if value else b"false"), _boolean
    if kind in (int, float):
        return (lambda value: repr(value).encode()), kind
    raise ConfigError(f"encode='raw' is for texts, bytes and numbers, not for {kind!r}")


def _boolean(data: bytes) -> bool:
    if data not in _BOOLEANS:
        raise ValueError("it is neither true nor false")
    return _BOOLEANS[data]
