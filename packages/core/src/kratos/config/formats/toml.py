"""TOML 1.0; dates and times become their text."""

from __future__ import annotations

import tomllib
from datetime import date, time
from typing import Any, cast

__all__ = ["decode"]


def decode(data: bytes) -> Any:
    """Return the tree of a TOML document.

    Raises:
        ValueError: It is none; the message holds line and column.
    """
    try:
        return _plain(tomllib.loads(data.decode("utf-8-sig")))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _plain(value: object) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return [_plain(part) for part in cast("list[object]", value)]
    return value.isoformat() if isinstance(value, date | time) else value
