"""Fairness among calls: what comes as one piece may be thousands of messages."""

from __future__ import annotations

from typing import Final

__all__ = ["MANY", "Turns"]

MANY: Final = 64
"""Messages in a row, after which others have their turn."""

_COMPRESSED: Final = 16  # what one counts that has to be inflated: to megabytes, it may be


class Turns:
    """Tells whoever takes messages that are there already when others are to have their turn.

    It has no coroutine of its own, which would cost every message more than the counting does.
    Wait, and then take: who is cancelled meanwhile loses no message.
    """

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken = 0

    @property
    def over(self) -> bool:
        """Whether it is the others' turn: let them have it, by ``asyncio.sleep(0)``."""
        if self._taken < MANY:
            return False
        self._taken = 0
        return True

    def note(self, flags: int) -> None:
        """Note that a message was taken."""
        self._taken += _COMPRESSED if flags else 1
