"""Values of snapshots that whoever gets them may change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

__all__ = ["thawed"]


def thawed(value: object) -> Any:
    """Return a copy of a value whose mappings are dictionaries and whose tuples are lists."""
    if isinstance(value, Mapping):
        return {name: thawed(part) for name, part in cast("Mapping[str, object]", value).items()}
    if isinstance(value, list | tuple):
        return [thawed(part) for part in cast("Sequence[object]", value)]
    return value
