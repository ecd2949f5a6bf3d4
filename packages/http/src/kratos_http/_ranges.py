"""Parts of a representation (RFC 9110, 14)."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["parse_ranges"]

_MOST: Final = 16
_RANGE: Final = re.compile(r"(\d{0,18})-(\d{0,18})\Z")


def parse_ranges(header: str, size: int) -> list[range] | None:
    """Return the parts that a ``Range`` header asks for, empty if none of them exists.

    ``None`` means that the header is to be ignored: it is malformed, of another unit, or asks for
    more parts than 16 or more bytes than there are, which only an attacker does.

    Args:
        header: Its value.
        size: Bytes of the whole.
    """
    unit, _, text = header.partition("=")
    specs = [spec.strip() for spec in text.split(",", _MOST + 1)]
    if unit.strip().lower() != "bytes" or len(specs) > _MOST:
        return None
    parts: list[range] = []
    for spec in specs:
        found = _RANGE.match(spec)
        if found is None or spec == "-":
            return None
        first, last = found[1], found[2]
        if first and last and int(last) < int(first):
            return None
        part = _part(first, last, size)
        if part:
            parts.append(part)
    if sum(len(part) for part in parts) > size:
        return None
    return parts


def _part(first: str, last: str, size: int) -> range:
    if not first:
        return range(max(0, size - int(last)), size)
    return range(int(first), min(int(last) + 1, size) if last else size)
