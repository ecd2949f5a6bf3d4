"""Texts as Go writes them."""

from __future__ import annotations

from typing import Final

__all__ = ["MOST_SHOWN", "cut", "quoted"]

MOST_SHOWN: Final = 256
"""Characters of what a caller has chosen, a key of a map for instance."""

_ESCAPES: Final = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def quoted(text: str) -> str:
    """Return text in quotes, with escapes for what is not printable (Go: ``strconv.Quote``)."""
    return f'"{"".join(map(_escaped, text))}"'


def cut(text: str, most: int = MOST_SHOWN) -> str:
    """Return text that a caller may have chosen, or its beginning."""
    return text if len(text) <= most else f"{text[:most]}..."


def _escaped(character: str) -> str:
    if (known := _ESCAPES.get(character)) is not None:
        return known
    if character.isprintable():
        return character
    number = ord(character)
    if number < 0x80:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
