"""Values that OTLP can carry: one that it cannot would cost a whole batch of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast

from kratos.log import text_of

__all__ = ["Carried", "carried", "clean"]

Carried: TypeAlias = (
    "str | bool | int | float | bytes | Sequence[Carried] | Mapping[str, Carried] | None"
)

_DEEPEST = 8  # levels; what is further down, or goes round in circles, is text
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


def clean(text: str) -> str:
    """Return a text that UTF-8 can carry: half a surrogate pair becomes ``?``."""
    if text.isascii():
        return text
    return text.encode(errors="replace").decode()


def carried(value: object, depth: int = _DEEPEST) -> Carried:
    """Return a value as it is if OTLP has it, else its text; never raises."""
    kind = type(value)
    if kind is str:
        return clean(cast("str", value))
    if value is None or kind is bool or kind is float:
        return cast("Carried", value)
    if kind is int and _LEAST <= cast("int", value) <= _MOST:
        return cast("int", value)
    if depth:
        if kind is dict:
            parts = cast("dict[object, object]", value)
            return {clean(text_of(key)): carried(part, depth - 1) for key, part in parts.items()}
        if kind is list or kind is tuple:
            return [carried(part, depth - 1) for part in cast("Sequence[object]", value)]
    try:
        return clean(text_of(value))
    except RecursionError:
        return f"<{kind.__name__}>"
