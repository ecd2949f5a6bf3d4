"""Whether and when to try again: a policy as a value, and loops that follow it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf
from typing import Final, TypeVar

from aegis._check import at_least
from aegis.backoff import Backoff
from aegis.budget import Budget, RetryBudget, TokenRetryBudget
from aegis.refusal import Refused

__all__ = [
    "Budget",
    "RetryBudget",
    "RetryPolicy",
    "TokenRetryBudget",
    "is_transient",
    "retry",
    "retry_blocking",
]

T = TypeVar("T")

_BACKOFF: Final = Backoff(base=0.1, cap=5.0)


def is_transient(error: BaseException) -> bool:
    """Return whether an error may be gone on the next try, unless the user knows better.

    So are lost and refused connections, timeouts, and refusals that say when to come again.
    """
    if isinstance(error, Refused):
        return error.retry_after is not None
    return isinstance(error, ConnectionError | TimeoutError)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When to make a call again that has failed. Only for calls that may be made twice.

    Source: *Site Reliability Engineering* (Beyer et al., 2016), chapters 21 and 22: few attempts,
    jitter, a budget; retry at one layer only, for layers multiply.

    Args:
        attempts: Most attempts per call, the first among them; at least 1.
        backoff: Waits between attempts.
        budget: What the retries of all calls have in common; ``None`` for no such limit. Share one
            among the calls of a client to a service.
        retryable: Whether an error, always an ``Exception``, is worth another attempt.
        max_retry_after: Most seconds to wait because the other side asks for it, by an attribute
            ``retry_after`` (seconds) of the error; at least 0. If it asks for more, there is no
            other attempt, since an earlier one would be refused.

    Raises:
        ValueError: A value is out of its range.
    """

    attempts: int = 3
    backoff: Backoff = _BACKOFF
    budget: Budget | None = None
    retryable: Callable[[Exception], bool] = is_transient
    max_retry_after: float = 30.0

    def __post_init__(self) -> None:
        at_least("attempts", self.attempts, 1)
        at_least("max_retry_after", self.max_retry_after, 0)

    def next_delay(
        self, attempt: int, error: Exception, random: Callable[[], float] = random.random
    ) -> float | None:
        """Return the seconds to wait before the next attempt; ``None`` if there is to be none.

        Does not ask the budget: it changes nothing.

        Args:
            attempt: Number of the attempt that failed, from 0.
            error: What it failed with.
            random: Gives numbers of [0, 1).
        """
        if attempt + 1 >= self.attempts or not self.retryable(error):
            return None
        asked = _asked_for(error)
        if asked > self.max_retry_after:
            return None
        # On top of what is asked for: else all who were refused together come back together.
        return asked + self.backoff.delay(attempt, random)


def _asked_for(error: Exception) -> float:
    asked: object = getattr(error, "retry_after", None)
    if isinstance(asked, int | float) and 0 < asked <= inf:
        return asked
    return 0.0


async def retry(
    policy: RetryPolicy,
    call: Callable[[], Awaitable[T]],
    *,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    random: Callable[[], float] = random.random,
) -> T:
    """Await ``call()``, again and again as the policy says, and return the first answer.

    Args:
        policy: How often, when, and after which errors.
        call: Makes one attempt.
        sleep: Waits a number of seconds.
        random: Gives numbers of [0, 1).

    Raises:
        Exception: That of the last attempt.

    Cancellation: ends the attempt or the wait, and is not retried.
    """
    attempt = 0
    while True:
        try:
            answer = await call()
        except Exception as error:
            delay = _granted(policy, attempt, error, random)
            if delay is None:
                raise
        else:
            if policy.budget is not None:
                policy.budget.deposit()
            return answer
        attempt += 1
        await sleep(delay)


def retry_blocking(
    policy: RetryPolicy,
    call: Callable[[], T],
    *,
    sleep: Callable[[float], object] = time.sleep,
    random: Callable[[], float] = random.random,
) -> T:
    """Do what ``retry`` does, in a thread that waits.

    The budget must be ``threadsafe`` if several threads share it.

    Raises:
        Exception: That of the last attempt.
    """
    attempt = 0
    while True:
        try:
            answer = call()
        except Exception as error:
            delay = _granted(policy, attempt, error, random)
            if delay is None:
                raise
        else:
            if policy.budget is not None:
                policy.budget.deposit()
            return answer
        attempt += 1
        sleep(delay)


def _granted(
    policy: RetryPolicy, attempt: int, error: Exception, random: Callable[[], float]
) -> float | None:
    delay = policy.next_delay(attempt, error, random)
    if delay is None or policy.budget is None or policy.budget.withdraw():
        return delay
    return None
