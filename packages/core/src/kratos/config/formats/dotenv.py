r"""Files of environment variables, as shells and container tools read them.

``NAME=value``, perhaps after ``export``. Within single quotes everything is as it stands; within
double quotes ``\n``, ``\t``, ``\"`` and ``\\`` mean what they mean in shells; without quotes a
``#`` after a blank begins a comment. ``$NAME`` is left alone: placeholders are the way to refer
to other values.
"""

from __future__ import annotations

import re
from typing import Any, Final

from kratos.config._dotted import nest

__all__ = ["decode"]

# All that repeats is possessive: by going back, a line of blanks would take a time of its square.
_LINE: Final = re.compile(
    r"""
    [ \t]*+
    (?: (?:export[ \t]++)? (?P<name>[A-Za-z_][A-Za-z0-9_.\-]*+) [ \t]*+ = [ \t]*+
        (?: '(?P<single>[^']*+)'
          | "(?P<double>(?:[^"\\]|\\.)*+)"
          | (?P<bare>(?:[^ \t\r\n'"][^ \t\r\n]*+(?:[ \t]++(?!\#)[^ \t\r\n]*+)*+)?+)
        )
    )?
    [ \t]*+ (?:\#[^\r\n]*+)?+ (?:\r?\n|\Z)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_MEANINGS: Final = {"n": "\n", "r": "\r", "t": "\t"}


def decode(data: bytes) -> Any:
    """Return the variables; names with dots nest.

    Raises:
        ValueError: A line is none of the above; the message holds its number.
    """
    text = data.decode("utf-8-sig")
    entries: list[tuple[str, object]] = []
    at = 0
    while at < len(text):
        line = _LINE.match(text, at)
        if line is None:
            raise ValueError(f"line {text.count(chr(10), 0, at) + 1} is no NAME=value")
        if line["name"] is not None:
            entries.append((line["name"], _value(line)))
        at = line.end()
    return nest(entries)


def _value(line: re.Match[str]) -> str:
    if line["double"] is not None:
        return _ESCAPE.sub(lambda found: _MEANINGS.get(found[1], found[1]), line["double"])
    return line["single"] if line["single"] is not None else (line["bare"] or "").rstrip()
