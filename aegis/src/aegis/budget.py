"""How many retries a client may make, so that retries do not keep a failing service down.

A budget belongs to one client of one service and is shared by all its calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Protocol, runtime_checkable

from aegis._check import above, at_least, between
from aegis._locked import Lockable
from aegis.clock import NANOSECONDS, SYSTEM_CLOCK, Clock

__all__ = ["Budget", "RetryBudget", "RetryBudgetStats", "TokenRetryBudget"]

_SLOTS: Final = 10


@runtime_checkable
class Budget(Protocol):
    """Earned by calls that were answered, spent by attempts beyond the first."""

    def deposit(self) -> None:
        """Note a call that was answered, whatever it took."""
        ...

    def withdraw(self) -> bool:
        """Ask for one more attempt; ``False`` refuses it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudgetStats:
    """What a budget holds and has done.

    Attributes:
        balance: Attempts that it would grant now, one after the other.
        granted: Attempts that it has granted, ever.
        refused: Attempts that it has refused, ever.
    """

    balance: float
    granted: int
    refused: int


class RetryBudget(Lockable):
    """Grants retries as a share of the calls answered of late, and a few a second besides.

    Within the last ``ttl`` seconds it grants ``ratio`` retries for each call that was answered, and
    ``min_per_second * ttl`` more, for clients that call rarely. While everything fails only those
    are left, so an outage is met with hardly more than the calls themselves. Time is cut into ten
    slots: what is older than ``ttl`` is forgotten a tenth of it at a time.

    Source: Finagle's ``RetryBudget`` and its restatement in tower (``TpsBudget``). Like tower and
    unlike Finagle it earns by answers and not by attempts, so that failing calls earn nothing.

    Args:
        ratio: Retries for each answered call; between 0 and 1000.
        min_per_second: Retries a second that are granted in any case; at least 0.
        ttl: Seconds for which answers and retries count; more than 0.
        clock: Gives monotonic nanoseconds.
        threadsafe: Whether to hold a lock in each method.

    Raises:
        ValueError: An option is out of its range.
    """

    __slots__ = (
        "_answered",
        "_clock",
        "_end",
        "_granted",
        "_newest",
        "_ratio",
        "_refused",
        "_reserve",
        "_slot",
        "_spent",
        "_sum_answered",
        "_sum_spent",
    )

    LOCKED: ClassVar[tuple[str, ...]] = ("deposit", "stats", "withdraw")

    def __init__(
        self,
        *,
        ratio: float = 0.2,
        min_per_second: float = 10.0,
        ttl: float = 10.0,
        clock: Clock = SYSTEM_CLOCK,
        threadsafe: bool = False,
    ) -> None:
        between("ratio", ratio, 0, 1000)
        at_least("min_per_second", min_per_second, 0)
        above("ttl", ttl)
        self._ratio = ratio
        self._reserve = min_per_second * ttl
        self._slot = max(1, round(ttl * NANOSECONDS / _SLOTS))
        self._clock = clock
        self._end = clock() + self._slot  # of the newest slot
        self._newest = 0
        self._answered = [0] * _SLOTS  # whole numbers, so that the sums never drift
        self._spent = [0] * _SLOTS
        self._sum_answered = 0
        self._sum_spent = 0
        self._granted = 0
        self._refused = 0

    def deposit(self) -> None:
        """Note a call that was answered, whatever it took."""
        now = self._clock()
        if now >= self._end:
            self._roll(now)
        self._answered[self._newest] += 1
        self._sum_answered += 1

    def withdraw(self) -> bool:
        """Ask for one more attempt; ``False`` refuses it."""
        now = self._clock()
        if now >= self._end:
            self._roll(now)
        if self._balance() < 1:
            self._refused += 1
            return False
        self._spent[self._newest] += 1
        self._sum_spent += 1
        self._granted += 1
        return True

    def stats(self) -> RetryBudgetStats:
        """Return what it holds and has done."""
        now = self._clock()
        if now >= self._end:
            self._roll(now)
        return RetryBudgetStats(
            balance=max(0.0, self._balance()), granted=self._granted, refused=self._refused
        )

    def _balance(self) -> float:
        return self._reserve + self._sum_answered * self._ratio - self._sum_spent

    def _roll(self, now: int) -> None:
        """Forget the slots that are past, and begin the one of ``now``."""
        passed = (now - self._end) // self._slot + 1
        self._end += passed * self._slot
        for _ in range(min(passed, _SLOTS)):
            self._newest = newest = (self._newest + 1) % _SLOTS
            self._sum_answered -= self._answered[newest]
            self._sum_spent -= self._spent[newest]
            self._answered[newest] = self._spent[newest] = 0


class TokenRetryBudget(Lockable):
    """Grants retries while failures are few beside answers, without looking at time.

    It holds at most ``max_tokens`` and starts full. Each failure that asks for a retry takes 1,
    each answer gives ``token_ratio``; retries are granted above the half. So after an outage about
    ``max_tokens / 2 / token_ratio`` answers must come before there are retries again.

    Source: gRPC proposal A6, "Throttling Retry Attempts and Hedged RPCs".

    Args:
        max_tokens: The most it holds; more than 0 and at most 1000.
        token_ratio: What an answer gives; more than 0 and at most 1000. Counts as thousandths, the
            rest is cut off.
        threadsafe: Whether to hold a lock in each method.

    Raises:
        ValueError: An option is out of its range.
    """

    __slots__ = ("_earned", "_granted", "_most", "_refused", "_tokens")

    LOCKED: ClassVar[tuple[str, ...]] = ("deposit", "stats", "withdraw")

    def __init__(
        self, *, max_tokens: float = 10.0, token_ratio: float = 0.1, threadsafe: bool = False
    ) -> None:
        above("max_tokens", max_tokens)
        between("max_tokens", max_tokens, 0, 1000)
        between("token_ratio", token_ratio, 0.001, 1000)
        self._most = round(max_tokens * 1000)  # thousandths, as gRPC: exact sums
        self._earned = int(token_ratio * 1000 + 1e-9)
        self._tokens = self._most
        self._granted = 0
        self._refused = 0

    def deposit(self) -> None:
        """Note a call that was answered, whatever it took."""
        tokens = self._tokens + self._earned
        self._tokens = tokens if tokens < self._most else self._most

    def withdraw(self) -> bool:
        """Note a failure and ask for one more attempt; ``False`` refuses it."""
        self._tokens = max(0, self._tokens - 1000)
        if self._tokens * 2 <= self._most:
            self._refused += 1
            return False
        self._granted += 1
        return True

    def stats(self) -> RetryBudgetStats:
        """Return what it holds and has done."""
        # Each one takes a token before it is judged, so of 10 the fifth is refused.
        above_half = (self._tokens * 2 - self._most - 1) // 2000
        return RetryBudgetStats(
            balance=float(max(0, above_half)), granted=self._granted, refused=self._refused
        )
