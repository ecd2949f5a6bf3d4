"""The state of a line that can be disturbed, whatever goes over it."""

from __future__ import annotations

import asyncio

from kratos.clock import Clock

__all__ = ["Line"]


class Line:
    """Lets things through unless told otherwise; a base of ``Faults``, which add ``reset``.

    Args:
        clock: Time for ``delay``.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open = asyncio.Event()
        self._open.set()
        self._is_cut = False
        self._delay = 0.0

    def stall(self) -> None:
        """Let nothing through and say nothing until ``restore``."""
        self._open.clear()

    def delay(self, seconds: float, /) -> None:
        """Hold up everything for so long until ``restore``."""
        self._delay = seconds

    def restore(self) -> None:
        """Be a good line again: what was held up comes first."""
        self._is_cut = False
        self._delay = 0.0
        self._open.set()
