"""What the statistics of guards and limiters have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field
from types import MappingProxyType
from typing import Any, Final

__all__ = ["SUM", "is_sum"]

SUM: Final[Mapping[str, bool]] = MappingProxyType({"sum": True})
"""Metadata of a field that only grows, as ``refused: int = field(metadata=SUM)``.

Whoever exports statistics makes a counter of it, where other fields become gauges."""


def is_sum(field: Field[Any], /) -> bool:
    """Tell whether a field of statistics only grows."""
    return bool(field.metadata.get("sum"))
