"""A guard that does what it is told and keeps a book, for tests of what asks it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from aegis.guard import Guard
from aegis.outcome import Outcome
from aegis.refusal import Overloaded, Refused
from aegis.stats import SUM

__all__ = ["Ledger", "LedgerStats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerStats:
    """What a ledger counts: calls inside, and refusals."""

    inflight: int
    refused: int = field(metadata=SUM)


class Ledger:
    """Asks another guard, or admits everything while ``open``, and notes what it is told.

    Telling it of the end of a call that it did not admit, or twice, is an ``AssertionError``.

    Args:
        guard: Which guard decides; ``None`` for none.
        retry_after: Seconds that its own refusals name.

    Attributes:
        open: Whether it admits calls; set it.
        outcomes: How the calls ended, in their order.
        refused: How many calls were refused.
    """

    def __init__(self, guard: Guard | None = None, *, retry_after: float | None = None) -> None:
        self.open = True
        self.outcomes: list[Outcome] = []
        self.refused = 0
        self._guard = guard
        self._retry_after = retry_after
        self._inside: dict[int, int | None] = {}
        self._tokens = 0

    @property
    def inside(self) -> int:
        """How many calls have been admitted and not ended."""
        return len(self._inside)

    @property
    def limit(self) -> int:
        """The limit of the guard that decides, or one that is never reached."""
        found: int = getattr(self._guard, "limit", sys.maxsize)
        return found

    def allow(self) -> int | None:
        """Admit a call, or refuse it."""
        inner = None if self._guard is None else self._guard.allow()
        if not self.open or (self._guard is not None and inner is None):
            self.refused += 1
            return None
        token = self._tokens
        self._tokens += 1
        self._inside[token] = inner
        return token

    def done(self, token: int, outcome: Outcome = Outcome.SUCCESS, /) -> None:
        """Note the end of a call."""
        assert token in self._inside, f"{token} ended before, or never began"
        inner = self._inside.pop(token)
        self.outcomes.append(outcome)
        if self._guard is not None and inner is not None:
            self._guard.done(inner, outcome)

    def refusal(self) -> Refused:
        """Return what the refusal is."""
        if self.open and self._guard is not None:
            return self._guard.refusal()
        return Overloaded("closed by the test", retry_after=self._retry_after)

    def stats(self) -> LedgerStats:
        """Return the counts."""
        return LedgerStats(inflight=self.inside, refused=self.refused)
