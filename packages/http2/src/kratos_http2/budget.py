"""What a peer may do in bursts, and a little all the time."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Budget"]


class Budget:
    """A number of events that refills with time.

    Args:
        burst: How many at once.
        per_second: Part of the burst that comes back each second.
        clock: Seconds, monotonic.

    Attributes:
        spent: Events in all.
    """

    __slots__ = ("_burst", "_clock", "_left", "_per_second", "_since", "spent")

    def __init__(self, burst: int, *, per_second: float, clock: Callable[[], float]) -> None:
        self.spent = 0
        self._burst = float(burst)
        self._left = float(burst)
        self._per_second = burst * per_second
        self._clock = clock
        self._since = clock()

    def spend(self) -> bool:
        """Note an event, and tell whether there was something left for it."""
        self.spent += 1
        now = self._clock()
        left = self._left + (now - self._since) * self._per_second
        self._since = now
        self._left = min(self._burst, left) - 1
        return self._left >= 0

    def give(self, events: int) -> None:
        """Allow some more, up to the burst."""
        self._left = min(self._burst, self._left + events)
