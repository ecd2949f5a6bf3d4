"""Laying one tree over another (Go v3: ``config.defaultMerge``)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

__all__ = ["merge"]


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
    return _merged(base, over, frozenset(append), "")


def _merged(
    base: Mapping[str, Any], over: Mapping[str, Any], append: frozenset[str], prefix: str
) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(value, Mapping):
            upper = cast("Mapping[str, Any]", value)
            lower: Mapping[str, Any] = {}
            if isinstance(below, Mapping):
                lower = cast("Mapping[str, Any]", below)
            result[key] = _merged(lower, upper, append, f"{prefix}{key}.")
        elif isinstance(value, list) and isinstance(below, list) and f"{prefix}{key}" in append:
            result[key] = [*below, *value]
        else:
            result[key] = value
    return result
