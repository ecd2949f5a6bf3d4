"""Time as a dependency: every algorithm reads integer nanoseconds from a clock that it is given.

Integers, because they are exact, cheap to compare, and never lose the small next to the large.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from typing import Final, TypeAlias

__all__ = ["NANOSECONDS", "SYSTEM_CLOCK", "Clock", "ManualClock"]

Clock: TypeAlias = Callable[[], int]
"""Returns monotonic nanoseconds; only differences mean anything."""

NANOSECONDS: Final = 1_000_000_000
"""Nanoseconds in a second."""

SYSTEM_CLOCK: Final[Clock] = monotonic_ns


class ManualClock:
    """A clock that moves only when it is told to, for tests and simulations.

    Args:
        start: First reading, in nanoseconds.
    """

    __slots__ = ("now",)

    def __init__(self, start: int = NANOSECONDS) -> None:
        self.now = start

    def __call__(self) -> int:
        """Return the present reading, in nanoseconds."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on by ``seconds``, which may be a fraction; a negative number moves back."""
        self.now += round(seconds * NANOSECONDS)
