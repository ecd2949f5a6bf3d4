"""Java's properties: ``key = value``, ``key: value`` or ``key value``; dots nest.

Lines that begin with ``#`` or ``!`` are comments, and a backslash at the end of a line continues
it. The text is UTF-8. Source: ``java.util.Properties.load``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from kratos.config._dotted import nest

__all__ = ["decode"]

_BLANK: Final = " \t\f"
_KEY: Final = re.compile(r"(?:\\.|[^\\=: \t\f])*", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_MEANINGS: Final = {"f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def decode(data: bytes) -> Any:
    """Return the properties as a tree.

    Raises:
        ValueError: A line has no key; the message holds its number.
    """
    return nest(_entry(number, line) for number, line in _lines(data.decode("utf-8-sig")))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield logical lines and the numbers of their first lines."""
    whole, begin = "", 0
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        stripped = line.lstrip(_BLANK)
        if not whole:
            if not stripped or stripped[0] in "#!":
                continue
            begin = number
        # An even number of backslashes at the end are escaped ones.
        if (len(stripped) - len(stripped.rstrip("\\"))) % 2:
            whole += stripped[:-1]
            continue
        yield begin, whole + stripped
        whole = ""
    if whole:
        yield begin, whole


def _entry(number: int, line: str) -> tuple[str, object]:
    match = _KEY.match(line)
    key = match[0] if match is not None else ""
    if not key:
        raise ValueError(f"line {number} has no key")
    rest = line[len(key) :].lstrip(_BLANK)
    if rest[:1] in ("=", ":"):
        rest = rest[1:].lstrip(_BLANK)
    return _unescaped(key), _unescaped(rest)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_meaning, text)


def _meaning(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else _MEANINGS.get(found[2], found[2])
