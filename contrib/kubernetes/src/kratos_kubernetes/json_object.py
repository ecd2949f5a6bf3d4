"""Objects of Kubernetes, as JSON has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

__all__ = ["Object", "part", "parts"]

Object: TypeAlias = Mapping[str, Any]
"""An object of Kubernetes, or a part of one."""


def part(found: Object, name: str) -> Object:
    """Return a part of an object; nothing if it is missing or null."""
    members: Object | None = found.get(name)
    return members or {}


def parts(found: Object, name: str) -> Sequence[Object]:
    """Return a list of parts; an empty one if it is missing or null."""
    listed: Sequence[Object] | None = found.get(name)
    return listed or ()
