"""Placeholders in texts: ``${key}`` and ``${key:default}`` stand for other values.

As in Go Kratos: a key is a dotted path through the merged tree, the default is all after the
first colon and is used only where there is no such key, and an unknown key without a default
is the empty text. Unlike there, what a placeholder stands for may have placeholders itself, in
any order, and lists within lists are searched too.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, Final, cast

from kratos.config._dotted import MISSING, find
from kratos.errors import ConfigError

__all__ = ["resolve"]

_PLACEHOLDER: Final = re.compile(r"\$\{(.*?)\}", re.DOTALL)
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,100}")
_FRACTION: Final = re.compile(r"[+-]?[0-9]*\.[0-9]*(?:[eE][+-]?[0-9]+)?")

# Placeholders of placeholders grow by powers: a few lines could stand for gigabytes.
_MOST_VALUES: Final = 100_000
_MOST_TEXT: Final = 16 * 1024 * 1024  # characters
_DEEPEST: Final = 100
_LEAVES: Final = frozenset({bool, float, int, type(None)})

_log = logging.getLogger("kratos.config")


def resolve(
    tree: Mapping[str, Any], *, actual_types: bool = False, required: bool = False
) -> dict[str, Any]:
    """Return the tree with all placeholders replaced.

    Args:
        tree: Merged values.
        actual_types: A text that is one placeholder and nothing else becomes the value itself,
            of any type; a default then is read as a number or boolean if it looks like one, and
            quotes around it keep it a text. Without it, all results are texts.
        required: An unknown key without a default is an error. Without it, the result is the
            empty text, as in Go, and the log says so.

    Raises:
        ConfigError: Placeholders refer to each other in a circle; one within a longer text, or
            without ``actual_types``, names a mapping or a list; a key is missing; the tree is
            nested more than 100 deep; or placeholders stand for more than 100,000 values or
            16 Mi characters.
    """
    resolver = _Resolver(tree, actual_types=actual_types, required=required)
    return {
        key: value if _is_plain(value) else resolver.value(value, key)
        for key, value in tree.items()
    }


class _Resolver:
    def __init__(self, tree: Mapping[str, Any], *, actual_types: bool, required: bool) -> None:
        self._tree = tree
        self._actual_types = actual_types
        self._required = required
        self._under_way: list[str] = []
        self._depth = 0
        self._values = 0
        self._characters = 0

    def value(self, value: Any, path: str) -> Any:
        """Return a value of the tree, which is under ``path``."""
        if self._under_way:
            self._count(1, path)
        if isinstance(value, str):
            return self._text(value, path) if "${" in value else value
        if isinstance(value, Mapping | list | tuple):
            return self._parts(cast("Mapping[str, Any] | list[Any]", value), path)
        return value

    def _parts(self, value: Mapping[str, Any] | list[Any], path: str) -> Any:
        if self._depth == _DEEPEST:
            place = f"{path[:100]}..." if len(path) > 100 else path
            raise ConfigError(f"configuration value {place!r} is nested more than {_DEEPEST} deep")
        self._depth += 1
        if self._under_way:
            self._count(len(value), path)
        try:
            # Most values have no placeholder, and need neither a call nor a path.
            if isinstance(value, Mapping):
                return {
                    key: part if _is_plain(part) else self.value(part, f"{path}.{key}")
                    for key, part in value.items()
                }
            return [
                part if _is_plain(part) else self.value(part, f"{path}[{at}]")
                for at, part in enumerate(value)
            ]
        finally:
            self._depth -= 1

    def _count(self, values: int, path: str) -> None:
        self._values += values
        if self._values > _MOST_VALUES:
            raise _too_much(path, f"{_MOST_VALUES} values")

    def _text(self, text: str, path: str) -> Any:
        if self._actual_types:
            whole = _PLACEHOLDER.fullmatch(text)
            # Not `${a} and ${b}`, which also begins and ends like one.
            if whole is not None and "}" not in whole[1]:
                return self._meaning(whole[1], path)
        # No further: what is not closed would be searched to its end from each beginning.
        end = text.rfind("}") + 1
        return _PLACEHOLDER.sub(lambda found: self._piece(found[1], path), text[:end]) + text[end:]

    def _piece(self, content: str, path: str) -> str:
        text = self._written(content, path)
        self._characters += len(text)
        if self._characters > _MOST_TEXT:
            raise _too_much(path, f"{_MOST_TEXT} characters")
        return text

    def _written(self, content: str, path: str) -> str:
        key, value, default = self._look_up(content, path)
        if value is MISSING:
            return default
        if isinstance(value, Mapping | list):
            kind = "a mapping" if isinstance(value, Mapping) else "a list"
            raise ConfigError(
                f"configuration value {path!r} refers to {key!r}, which is {kind} and no text"
            )
        if isinstance(value, bool):
            return str(value).lower()
        return "" if value is None else str(value)

    def _meaning(self, content: str, path: str) -> Any:
        _, value, default = self._look_up(content, path)
        return _typed(default) if value is MISSING else value

    def _look_up(self, content: str, path: str) -> tuple[str, Any, str]:
        """Return the key, its value or ``MISSING``, and the default for that case."""
        name, colon, default = content.strip().partition(":")
        key = name.strip()
        value = find(self._tree, key)
        if value is not MISSING:
            return key, self._followed(key, value, path), ""
        if not colon:
            self._miss(key, path)
        return key, MISSING, default.strip()

    def _followed(self, key: str, value: Any, path: str) -> Any:
        if key in self._under_way:
            circle = " -> ".join([*self._under_way[self._under_way.index(key) :], key])
            raise ConfigError(f"configuration value {path!r} refers to itself: {circle}")
        self._under_way.append(key)
        try:
            return self.value(value, key)
        except RecursionError:
            raise ConfigError(f"configuration value {path!r} refers on too often") from None
        finally:
            self._under_way.pop()

    def _miss(self, key: str, path: str) -> None:
        problem = f"configuration value {path!r} refers to {key!r}, which nothing sets"
        if self._required:
            raise ConfigError(f"{problem}; set it, or write ${{{key}:default}}")
        _log.warning("%s; it is left empty", problem)


def _is_plain(value: object) -> bool:
    return "${" not in value if isinstance(value, str) else type(value) in _LEAVES


def _too_much(path: str, what: str) -> ConfigError:
    return ConfigError(f"configuration value {path!r}: placeholders stand for more than {what}")


def _typed(text: str) -> Any:
    """Return what a default means where types count (Go: ``config.convertToType``)."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FRACTION.fullmatch(text) and any(map(str.isdigit, text)):
        return float(text)
    return text
