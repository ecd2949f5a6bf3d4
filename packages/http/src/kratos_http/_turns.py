"""Fairness among tasks."""

from __future__ import annotations

import asyncio
from typing import Final

__all__ = ["Turns"]

_MANY: Final = 16


class Turns:
    """Lets other tasks run now and then, while one sends what it has without ever waiting.

    A connection has room for thousands of small messages.
    """

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken = 0

    async def take(self) -> None:
        """Take a turn, after others had theirs if this task had many."""
        self._taken += 1
        if self._taken >= _MANY:
            self._taken = 0
            await asyncio.sleep(0)
