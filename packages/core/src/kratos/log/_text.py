"""Fields of a record as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

__all__ = ["OneLine", "Rendered", "described", "indented", "quoted", "text_of"]

_DELIMITERS: Final = frozenset(' ="')


class Rendered:
    """Fields as ``key=value key=value``, made when the text is needed.

    Names and values with white space or unprintable characters are quoted, so that nobody can
    forge a field or a line.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._fields = fields

    def __str__(self) -> str:
        return " ".join(f"{quoted(key)}={quoted(value)}" for key, value in self._fields.items())


class OneLine:
    """A message with unprintable characters, whose text is one line all the same.

    Attributes:
        message: As it was given.
    """

    __slots__ = ("message",)

    def __init__(self, message: str) -> None:
        self.message: Final = message

    def __str__(self) -> str:
        return quoted(self.message)


def quoted(value: object) -> str:
    """Return a value as text that nobody can mistake for more than one."""
    text = described(value) if isinstance(value, BaseException) else text_of(value)
    printable = text.isprintable()
    if text and printable and _DELIMITERS.isdisjoint(text):
        return text
    return json.dumps(text, ensure_ascii=not printable)


def described(error: BaseException) -> str:
    """Return the kind of an exception and its text."""
    text = text_of(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def text_of(value: object) -> str:
    """Return the text of any value; never raises, as a line of the log is worth no failed call."""
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__}, whose text fails: {type(error).__name__}>"


def indented(stack: str) -> str:
    """Return a trace for people; the text of an exception in it looks like no line of the log."""
    lines = stack.rstrip().split("\n")
    return "\n".join(f"  {line if line.isprintable() else ascii(line)[1:-1]}" for line in lines)
