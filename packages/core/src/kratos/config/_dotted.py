"""Dotted keys: from a list of them to a tree, and through a tree by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final, cast

__all__ = ["MISSING", "find", "nearest", "nest"]

MISSING: Final[Any] = object()


def nest(entries: Iterable[tuple[str, object]]) -> dict[str, Any]:
    """Return the tree of dotted keys; a later entry replaces what is in its way."""
    tree: dict[str, Any] = {}
    for key, value in entries:
        *parents, leaf = key.split(".")
        place = tree
        for parent in parents:
            inner = place.get(parent)
            if not isinstance(inner, dict):
                inner = place[parent] = {}
            place = cast("dict[str, Any]", inner)
        place[leaf] = value
    return tree


def find(tree: Mapping[str, Any], key: str) -> Any:
    """Return what is under a dotted key; ``MISSING`` if there is nothing."""
    value: Any = tree
    for part in key.split("."):
        if not isinstance(value, Mapping):
            return MISSING
        value = cast("Mapping[str, object]", value).get(part, MISSING)
    return value


def nearest(tree: Mapping[str, Any], key: str) -> str:
    """Return the end of an error about a key that is not there: the one like it, if there is."""
    close = get_close_matches(key, _keys(tree, ""), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _keys(tree: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, value in tree.items():
        yield f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _keys(cast("Mapping[str, Any]", value), f"{prefix}{name}.")
