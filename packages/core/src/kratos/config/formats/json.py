"""JSON: no comments, no NaN, and no name twice in one object."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NoReturn

__all__ = ["decode"]


def decode(data: bytes) -> Any:
    """Return the value of a JSON text; of white space alone, ``None``.

    Raises:
        ValueError: It is none; the message holds line and column.
    """
    text = data.decode("utf-8-sig")
    if not text.strip():
        return None
    try:
        return json.loads(text, object_pairs_hook=_members, parse_constant=_refused)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise ValueError(f"member {twice!r} is given twice in one object")
    return members


def _refused(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
