"""Long work in the loop that serves, in pieces between which requests are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Final

__all__ = ["SLICE", "in_slices"]

SLICE: Final = 0.002
"""Seconds after which others get their turn: less than what a request notices."""


async def in_slices(
    steps: Iterable[object], *, seconds: float = SLICE, time: Callable[[], float] = perf_counter
) -> None:
    """Go through steps, and let the loop do other things each time that some seconds are over.

    Args:
        steps: Work that is done as it is iterated; each step should be short.
        seconds: How long others wait at most, and one step more.
        time: Seconds of a monotonic clock.

    Cancellation: stops between two steps.
    """
    until = time() + seconds
    for _ in steps:
        if time() >= until:
            await asyncio.sleep(0)
            until = time() + seconds
