"""A limit that stays what it is."""

from __future__ import annotations

from typing import ClassVar, Final

from aegis import _check
from aegis._locked import Lockable
from aegis.concurrency._limit import LimitStats
from aegis.guard import Guarded
from aegis.outcome import Outcome
from aegis.refusal import Overloaded

__all__ = ["FixedLimit"]

_SUCCESS: Final = Outcome.SUCCESS
_OVERLOAD: Final = Outcome.OVERLOAD


class FixedLimit(Lockable, Guarded):
    """Lets at most ``limit`` calls run at a time, whatever they say. It reads no clock.

    For calls that may wait for a slot, see ``Bulkhead``.

    Args:
        limit: Calls at a time, at least 1.
        threadsafe: Hold a lock in each method; without, the object belongs to one loop or thread.

    Raises:
        ValueError: ``limit`` is less than 1.
    """

    __slots__ = ("_dropped", "_ended", "_inflight", "_limit", "_refused")

    LOCKED: ClassVar[tuple[str, ...]] = ("allow", "done", "stats")

    def __init__(self, limit: int, *, threadsafe: bool = False) -> None:
        _check.at_least("limit", limit, 1)
        self._limit = limit
        self._inflight = self._ended = self._refused = self._dropped = 0

    @property
    def limit(self) -> int:
        """Calls that may be in flight at present."""
        return self._limit

    def allow(self) -> int | None:
        """Return 0, or ``None``: the limit is reached."""
        if self._inflight >= self._limit:
            self._refused += 1
            return None
        self._inflight += 1
        return 0

    def done(self, token: int, outcome: Outcome = _SUCCESS, /) -> None:
        """Free the slot."""
        self._inflight -= 1
        self._ended += 1
        if outcome is _OVERLOAD:
            self._dropped += 1

    def refusal(self) -> Overloaded:
        """Return the exception that tells a caller of the refusal."""
        return Overloaded(f"limit of {self._limit} calls at a time is reached")

    def stats(self) -> LimitStats:
        """Return the limit and the counts."""
        return LimitStats(
            limit=self._limit,
            estimate=float(self._limit),
            inflight=self._inflight,
            admitted=self._ended + self._inflight,
            refused=self._refused,
            dropped=self._dropped,
            latency=0.0,
            base_latency=0.0,
        )
