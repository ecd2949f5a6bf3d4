"""Header blocks that are written once, for all connections (RFC 7541)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hpack.table import HeaderTable

__all__ = ["encode_fields"]

_STATIC: Final = HeaderTable.STATIC_TABLE
_PAIRS: Final = {(name, value): place for place, (name, value) in enumerate(_STATIC, 1) if value}
_NAMES: Final = {name: place for place, (name, _) in reversed(list(enumerate(_STATIC, 1)))}
_SECRET: Final = frozenset((b"authorization", b"cookie", b"set-cookie", b"proxy-authorization"))


def encode_fields(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a header block that every peer reads alike, whatever came before it.

    Nothing is added to a table, so a block may be kept and sent again, on any connection. Values
    that are secrets are marked as such (RFC 7541, 7.1.3).

    Args:
        fields: Lower-case names and values; pseudo-header fields first.
    """
    parts: list[bytes] = []
    for name, value in fields:
        place = _PAIRS.get((name, value))
        if place is not None:
            parts.append(_integer(place, 0x7F, 0x80))
            continue
        kind = 0x10 if name in _SECRET else 0x00
        place = _NAMES.get(name)
        if place is None:
            parts += (bytes((kind,)), _integer(len(name), 0x7F, 0), name)
        else:
            parts.append(_integer(place, 0x0F, kind))
        parts += (_integer(len(value), 0x7F, 0), value)
    return b"".join(parts)


def _integer(number: int, mask: int, first: int) -> bytes:
    """Encode an integer (RFC 7541, 5.1)."""
    if number < mask:
        return bytes((first | number,))
    found = bytearray((first | mask,))
    number -= mask
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
