"""How long to wait before trying again, as a value without state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Backoff", "Jitter"]

Jitter: TypeAlias = Literal["full", "equal", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential back-off with a cap and jitter.

    Attempt ``n``, counted from 0, waits at most ``min(cap, base * factor ** n)``. Full jitter
    draws the wait evenly from zero to that ceiling: of the strategies compared there it needs
    the fewest calls to get many competing clients through, because it spreads them most.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Args:
        base: Ceiling of the first wait, in seconds; more than 0.
        cap: Ceiling of every wait, in seconds; at least ``base``.
        factor: Growth from one ceiling to the next; at least 1.
        jitter: ``full`` draws from [0, ceiling], ``equal`` from [ceiling / 2, ceiling],
            ``none`` waits the ceiling itself.

    Raises:
        ValueError: A value is out of its range.
    """

    base: float = 0.5
    cap: float = 30.0
    factor: float = 2.0
    jitter: Jitter = "full"

    def __post_init__(self) -> None:
        if not 0 < self.base <= self.cap < float("inf"):
            msg = f"back-off needs 0 < base <= cap, both finite; got {self.base} and {self.cap}"
            raise ValueError(msg)
        if not 1 <= self.factor < float("inf"):
            msg = f"back-off factor must be finite and at least 1, got {self.factor}"
            raise ValueError(msg)
        if self.jitter not in ("full", "equal", "none"):
            msg = f"back-off jitter must be full, equal or none, got {self.jitter!r}"
            raise ValueError(msg)

    def ceiling(self, attempt: int) -> float:
        """Return the longest wait, in seconds, after attempt ``attempt`` (from 0) failed."""
        if attempt < 0:
            msg = f"attempts count from 0, got {attempt}"
            raise ValueError(msg)
        try:
            return min(self.cap, self.base * self.factor**attempt)
        except OverflowError:
            return self.cap

    def delay(self, attempt: int, random: Callable[[], float]) -> float:
        """Return the seconds to wait after attempt ``attempt`` (from 0) failed.

        Args:
            attempt: Number of failures before this one.
            random: Gives a number of [0, 1), for example ``random.random``.
        """
        ceiling = self.ceiling(attempt)
        if self.jitter == "full":
            return ceiling * random()
        if self.jitter == "equal":
            return ceiling * (0.5 + 0.5 * random())
        return ceiling
