"""How many calls are reported while everything fails."""

from __future__ import annotations

from typing import Final

from kratos.clock import Clock

__all__ = ["Budget"]


class Budget:
    """Tokens that come back at a rate, as many as there are in a second, and at least one.

    Args:
        rate: Tokens a second.
        clock: Tells the time.
    """

    def __init__(self, rate: float, clock: Clock) -> None:
        self._rate: Final = rate
        self._most: Final = max(1.0, rate)
        self._clock: Final = clock
        self._left = self._most
        self._asked: float | None = None
        self._missed = 0

    def allows(self) -> bool:
        """Take a token if there is one."""
        now = self._clock.time()
        since = 0.0 if self._asked is None else now - self._asked
        self._asked = now
        self._left = min(self._most, self._left + since * self._rate)
        if self._left < 1:
            self._missed += 1
            return False
        self._left -= 1
        return True

    def missed(self) -> int:
        """Return how often there was none since this was asked last."""
        missed, self._missed = self._missed, 0
        return missed
