"""What plain scalars mean in the core schema of YAML 1.2."""

from __future__ import annotations

import re
from typing import Any, Final

__all__ = ["FLOAT", "OTHER_BASE", "plain"]

_MOST_DIGITS: Final = 2048  # what Python converts at least, into both directions
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"true", "True", "TRUE"})
_FALSE: Final = frozenset({"false", "False", "FALSE"})
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
OTHER_BASE: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT: Final = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_DOTTED: Final = re.compile(r"\.([iInN])")


def plain(text: str) -> Any:
    """Return what a scalar without quotes means.

    Raises:
        ValueError: It is a number of more digits than anybody reads.
    """
    if text in _NULLS:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if _INTEGER.fullmatch(text):
        return _integer(text, 10)
    if OTHER_BASE.fullmatch(text):
        return _integer(text, 0)
    if FLOAT.fullmatch(text):
        return float(_DOTTED.sub(r"\1", text))
    return text


def _integer(text: str, base: int) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} characters is longer than anybody reads")
    return int(text, base)
