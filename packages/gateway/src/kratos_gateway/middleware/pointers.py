"""Places within documents of JSON (RFC 6901), of which one may stand for several."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final, TypeAlias, cast

from kratos.errors import ConfigError

__all__ = ["Pointer"]

Container: TypeAlias = "dict[str, Any] | list[Any]"

_EACH: Final = "*"
_END: Final = "-"
_INDEX: Final = re.compile("0|[1-9][0-9]{0,8}")
_ESCAPE: Final = re.compile("~(?![01])")


class Pointer:
    """A JSON Pointer; ``*`` stands for each element of an array, ``-`` for that after its last.

    Args:
        text: Such as ``/items/*/price``. Empty for the whole document.
        name: Of the option, for errors.
        whole: Whether it may be empty.

    Raises:
        ConfigError: It is none.
    """

    __slots__ = ("_tokens",)

    def __init__(self, text: str, *, name: str, whole: bool = False) -> None:
        if not text and not whole:
            raise ConfigError(f"{name} is empty: write a JSON Pointer such as /user/name")
        if text and not text.startswith("/"):
            raise ConfigError(f"{name} is a JSON Pointer and begins with a slash, not {text!r}")
        if _ESCAPE.search(text):
            raise ConfigError(f"{name}: in {text!r}, ~0 stands for a tilde and ~1 for a slash")
        self._tokens: Final = tuple(
            token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:]
        )

    def find(self, document: Any, /) -> Iterator[Any]:
        """Yield what stands there."""
        if not self._tokens:
            yield document
        for container, key in self._ends(document):
            yield from _at(container, key)

    def count(self, document: Any, /) -> int:
        """Return how many places there are at most, those among them that would be made."""
        holders, most = [document], 1
        for token in self._tokens:
            holders = [inner for each in holders for inner in _at(each, token)]
            most = max(most, len(holders))  # where nothing is, it is put within what was there
        return most

    def remove(self, document: Any, /) -> None:
        """Take away what stands there."""
        for container, key in self._ends(document):
            if isinstance(container, dict):
                container.pop(key, None)
            elif key == _EACH:
                container.clear()
            elif _is_within(container, key):
                del container[int(key)]

    def put(self, document: Any, value: Any, /, *, over: bool) -> Any:
        """Put a copy of a value there, and objects in the way where there is nothing.

        An array is not made longer but by ``-``. What is in the way and no object makes room for
        one if ``over`` says so; in an array it stays.

        Args:
            document: What it is put into.
            value: It.
            over: Whether it takes the place of what is there.

        Returns:
            The document.
        """
        if not self._tokens:
            return deepcopy(value) if over else document
        whole: Any = {} if over and not isinstance(document, dict | list) else document  # pyright: ignore[reportUnknownVariableType]
        for container, key in self._ends(whole, make=True, over=over):
            if isinstance(container, dict):
                if over or key not in container:
                    container[key] = deepcopy(value)
            elif key == _END:
                container.append(deepcopy(value))
            elif over and key == _EACH:
                container[:] = [deepcopy(value) for _ in container]
            elif over and _is_within(container, key):
                container[int(key)] = deepcopy(value)
        return whole

    def rename(self, document: Any, to: str, /) -> None:
        """Give the fields there another name, over those that have it."""
        for container, key in self._ends(document):
            if isinstance(container, dict) and key in container:
                container[to] = container.pop(key)

    def _ends(
        self, document: Any, *, make: bool = False, over: bool = False
    ) -> Iterator[tuple[Container, str]]:
        """Yield what holds the places, and their keys in it.

        Args:
            document: Where.
            make: Whether objects are put where nothing is.
            over: Whether they are put in place of what is no object and no array, too.
        """
        if not self._tokens:
            return
        *way, last = self._tokens
        holders: list[Any] = [document]
        for token in way:
            if make:
                _make(holders, token, over=over)
            holders = [inner for each in holders for inner in _at(each, token)]
        for holder in holders:
            if isinstance(holder, dict | list):
                yield cast("Container", holder), last


def _make(holders: list[Any], token: str, *, over: bool) -> None:
    for holder in holders:
        if isinstance(holder, dict):
            fields = cast("dict[str, Any]", holder)
            if token not in fields or (over and not isinstance(fields[token], dict | list)):
                fields[token] = {}


def _at(holder: Any, token: str) -> Iterator[Any]:
    if isinstance(holder, dict):
        fields = cast("dict[str, Any]", holder)
        if token in fields:
            yield fields[token]
    elif isinstance(holder, list):
        elements: list[Any] = holder  # pyright: ignore[reportUnknownVariableType]
        if token == _EACH:
            yield from elements
        elif _is_within(elements, token):
            yield elements[int(token)]


def _is_within(elements: list[Any], token: str) -> bool:
    return bool(_INDEX.fullmatch(token)) and int(token) < len(elements)
