"""Refusals that need no question, because their end is known."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from aegis import Clock, Decision
from aegis.clock import NANOSECONDS

__all__ = ["Memory"]

_CAPACITY: Final = 10_000
_LONGEST: Final = 1.0  # seconds, so that a key that someone deletes on Redis is free that soon


class Memory:
    """The refusals of late, one per key.

    Who has to wait a second for ``n`` permits has to wait no less if others are charged meanwhile:
    until then every answer would be the same. It saves the round trips of a key that one process
    asks for more often than its permits come.

    Args:
        clock: Gives nanoseconds.
    """

    __slots__ = ("_clock", "_refusals", "used")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._refusals: OrderedDict[str, tuple[int, int, Decision]] = OrderedDict()
        self.used = 0

    def keep(self, key: str, n: int, decision: Decision, asked: int) -> None:
        """Remember that ``key`` was refused ``n`` permits by a decision after ``asked``.

        It ends by the time of the question, as the answer was on its way while permits came.
        """
        self._refusals[key] = (n, asked, decision)
        self._refusals.move_to_end(key)
        if len(self._refusals) > _CAPACITY:
            self._refusals.popitem(last=False)

    def refusal(self, key: str, n: int) -> Decision | None:
        """Return the refusal of a call for ``n`` permits, if it is certain."""
        kept = self._refusals.get(key)
        if kept is None:
            return None
        least, begin, decision = kept
        passed = (self._clock() - begin) / NANOSECONDS
        if passed < 0 or passed >= min(decision.retry_after, _LONGEST):
            del self._refusals[key]
            return None
        if n != least:
            return None
        self.used += 1
        return Decision(
            False,
            decision.limit,
            decision.remaining,
            decision.retry_after - passed,
            max(0.0, decision.reset_after - passed),
        )
