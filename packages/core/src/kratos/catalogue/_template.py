"""Texts with places for arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter
from typing import Final

__all__ = ["Template"]

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")


class Template:
    """A text with places such as ``{title}``; ``{{`` and ``}}`` are braces.

    A name is a key of the arguments as it stands, whatever it looks like: there are no
    attributes, no indexes and no formats, so neither translators nor whoever chose an argument
    can reach anything else. Arguments are put in once, and not looked at.

    Attributes:
        names: The names of all places.

    Raises:
        ValueError: The text cannot be read so.
    """

    __slots__ = ("_parts", "names")

    def __init__(self, text: str) -> None:
        parts: list[tuple[str, str | None]] = []
        for literal, name, layout, conversion in Formatter().parse(text):
            if name is not None and (layout or conversion or _NAME.fullmatch(name) is None):
                raise ValueError(f"{text!r}: a place is a name in braces, such as {{title}}")
            parts.append((literal, name))
        self._parts: Final = tuple(parts)
        self.names: Final = frozenset(name for _, name in parts if name is not None)

    def fill(self, arguments: Mapping[str, str]) -> str | None:
        """Return the text with its arguments; ``None`` if one is missing.

        What no message can carry, half of a surrogate pair in a header for instance, is ``?``.
        """
        words: list[str] = []
        for literal, name in self._parts:
            words.append(literal)
            if name is not None:
                argument = arguments.get(name)
                if argument is None:
                    return None
                words.append(argument)
        return "".join(words).encode("utf-8", "replace").decode()
