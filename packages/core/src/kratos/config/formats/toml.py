"""TOML 1.0; dates and times become their text."""

from __future__ import annotations

import re
import tomllib
from datetime import date, time
from typing import Any, Final, cast

__all__ = ["decode"]

# tomllib takes time and memory that grow with the square of the parts of a key.
_ENDLESS_KEY: Final = re.compile(
    rb"""(?<![\w"'.-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){100}"""
)


def decode(data: bytes) -> Any:
    """Return the tree of a TOML document.

    Raises:
        ValueError: It is none; the message holds line and column.
    """
    if _ENDLESS_KEY.search(data):
        raise ValueError("a key has more than 100 parts")
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
