"""What every meter checks of what it is asked to make."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import isfinite
from typing import Final, get_args

from kratos.metrics._interface import Across

__all__ = ["SECONDS_BUCKETS", "bounds_of", "require_across"]

SECONDS_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Upper bounds of the histogram of seconds, as Go Kratos has them."""

_RULES: Final = get_args(Across)


def bounds_of(name: str, buckets: Sequence[float]) -> tuple[float, ...]:
    """Return the upper bounds of a histogram's buckets: those given, else ``SECONDS_BUCKETS``.

    Args:
        name: Of the histogram, for errors.
        buckets: The bounds, or none.

    Raises:
        ValueError: They do not rise, or one is not finite.
    """
    bounds = tuple(map(float, buckets)) or SECONDS_BUCKETS
    if not all(map(isfinite, bounds)) or any(low >= high for low, high in pairwise(bounds)):
        raise ValueError(
            f"buckets of {name} must be finite and rise, not {bounds}; one without a bound "
            "follows by itself"
        )
    return bounds


def require_across(name: str, across: object) -> None:
    """Refuse what is no way to combine the gauges of workers.

    Args:
        name: Of the gauge, for errors.
        across: The way.

    Raises:
        ValueError: It is none; the text names those that there are.
    """
    if across not in _RULES:
        raise ValueError(f"across of {name} is one of {', '.join(_RULES)}, not {across!r}")
