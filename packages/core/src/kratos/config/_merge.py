"""Laying one tree over another (Go v3: ``config.defaultMerge``)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

__all__ = ["lay", "merge"]


def merge(
    base: Mapping[str, Any],
    over: Mapping[str, Any],
    *,
    append: Collection[str] = (),
) -> dict[str, Any]:
    """Return ``base`` with ``over`` laid on top of it; neither is changed.

    Mappings are merged key by key. Anything else replaces what was there, also a list, ``None``,
    an empty text or a zero, and a mapping where there was none.

    Args:
        base: What is below.
        over: What wins.
        append: Dotted keys whose lists are joined instead, those of ``over`` after the others.
    """
    tree: dict[str, Any] = {}
    lay(tree, base)
    lay(tree, over, append=append)
    return tree


def lay(tree: dict[str, Any], over: Mapping[str, Any], *, append: Collection[str] = ()) -> None:
    """Lay ``over`` on a tree that was made by this alone, as ``merge`` does.

    Many layers one after another cost what they hold, and not each of them what is below it.
    """
    if append:
        _lay_and_join(tree, over, frozenset(append), "")
    else:
        _lay(tree, over)


def _lay(tree: dict[str, Any], over: Mapping[str, Any]) -> None:
    for key, value in over.items():
        # By the exact type first: this is done for each value of each source.
        if type(value) is dict or isinstance(value, Mapping):
            _lay(_below(tree, key), cast("Mapping[str, Any]", value))
        else:
            tree[key] = value


def _lay_and_join(
    tree: dict[str, Any], over: Mapping[str, Any], append: frozenset[str], prefix: str
) -> None:
    for key, value in over.items():
        if isinstance(value, Mapping):
            inner = cast("Mapping[str, Any]", value)
            _lay_and_join(_below(tree, key), inner, append, f"{prefix}{key}.")
            continue
        below = tree.get(key)
        joined = isinstance(value, list) and isinstance(below, list) and f"{prefix}{key}" in append
        tree[key] = [*cast("list[Any]", below), *value] if joined else value


def _below(tree: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the mapping under a key, an empty one in place of anything else."""
    found = tree.get(key)
    if type(found) is not dict:
        found = tree[key] = {}
    return cast("dict[str, Any]", found)
