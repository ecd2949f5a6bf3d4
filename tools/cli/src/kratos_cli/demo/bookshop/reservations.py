"""Copies that are laid aside."""

from __future__ import annotations

from kratos.clock import SYSTEM_CLOCK, Clock

__all__ = ["Reservations"]

_HOLD = 15 * 60.0  # seconds


class Reservations:
    """Remembers for whom a copy of a book is laid aside, and until when.

    Args:
        hold: Seconds that a customer has to come and buy.
        clock: Tells when they are over.
    """

    def __init__(self, *, hold: float = _HOLD, clock: Clock = SYSTEM_CLOCK) -> None:
        self._hold = hold
        self._clock = clock
        self._until: dict[tuple[str, str], float] = {}

    def holds(self, book: str, customer: str) -> bool:
        """Tell whether a copy is laid aside for somebody."""
        return (book, customer) in self._until

    def extend(self, book: str, customer: str) -> float:
        """Hold a copy from now on, and return until when, in seconds since the epoch."""
        until = self._until[book, customer] = self._clock.wall() + self._hold
        return until

    def release(self, book: str, customer: str) -> None:
        """Hold a copy no longer."""
        del self._until[book, customer]

    def drop(self, book: str) -> None:
        """Hold no copy of a book any longer."""
        for key in [key for key in self._until if key[0] == book]:
            del self._until[key]

    def expired(self) -> list[str]:
        """Return the book of each copy whose time is over, and hold those no longer."""
        now = self._clock.wall()
        over = [key for key, until in self._until.items() if until <= now]
        for key in over:
            del self._until[key]
        return [book for book, _ in over]
