"""Monotonic nanoseconds, as cheap as the clock allows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

from kratos.clock import SYSTEM_CLOCK, Clock

__all__ = ["Now", "nanoseconds"]

Now: TypeAlias = Callable[[], int]


def nanoseconds(clock: Clock) -> Now:
    """Return what reads a clock in nanoseconds.

    The machine's is read directly: a pick reads it twice, and the detour costs as much as a pick.
    """
    real = clock is SYSTEM_CLOCK and SYSTEM_CLOCK.is_real  # else it follows the loop of a test
    return time.monotonic_ns if real else lambda: int(clock.time() * 1e9)
