"""Fields of a record as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

__all__ = ["Rendered", "quoted"]

_DELIMITERS: Final = frozenset(' ="')


class Rendered:
    """Fields as ``key=value key=value``, made when the text is needed.

    Values with white space or unprintable characters are quoted, so that nobody can forge a
    field or a line.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._fields = fields

    def __str__(self) -> str:
        return " ".join(f"{key}={quoted(value)}" for key, value in self._fields.items())


def quoted(value: object) -> str:
    """Return a value as text that nobody can mistake for more than one."""
    if isinstance(value, BaseException):
        text = str(value)
        value = f"{type(value).__name__}: {text}" if text else type(value).__name__
    text = str(value)
    printable = text.isprintable()
    if text and printable and _DELIMITERS.isdisjoint(text):
        return text
    return json.dumps(text, ensure_ascii=not printable)
