from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis import (
    Backoff,
    BreakerOpen,
    RateExceeded,
    RetryBudget,
    RetryPolicy,
    TokenRetryBudget,
    retry,
    retry_blocking,
)
from aegis.retry import is_transient

SECOND = Backoff(base=1.0, cap=8.0, jitter="none")


class Service:
    """Fails as often as it is told, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0
        self.waits: list[float] = []

    def call(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"

    async def call_later(self) -> str:
        return self.call()

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def wait_later(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def retry(self, policy: RetryPolicy, *, blocking: bool) -> str:
        if blocking:
            return retry_blocking(policy, self.call, sleep=self.wait)
        return await retry(policy, self.call_later, sleep=self.wait_later)


both = pytest.mark.parametrize("blocking", [False, True])


@both
async def test_call_is_made_again_until_it_is_answered(blocking: bool) -> None:
    service = Service(ConnectionError(), TimeoutError())

    answer = await service.retry(RetryPolicy(backoff=SECOND), blocking=blocking)

    assert (answer, service.calls, service.waits) == ("answer", 3, [1.0, 2.0])


@both
async def test_last_error_is_raised_when_there_are_no_attempts_left(blocking: bool) -> None:
    last = ConnectionError("last")
    service = Service(ConnectionError("first"), last, ConnectionError("never"))

    with pytest.raises(ConnectionError) as caught:
        await service.retry(RetryPolicy(attempts=2), blocking=blocking)

    assert (caught.value, service.calls) == (last, 2)


@both
async def test_error_that_stays_is_not_retried(blocking: bool) -> None:
    service = Service(ValueError("wrong"))

    with pytest.raises(ValueError, match="wrong"):
        await service.retry(RetryPolicy(), blocking=blocking)

    assert (service.calls, service.waits) == (1, [])


@both
async def test_user_decides_what_is_retried(blocking: bool) -> None:
    service = Service(KeyError(), KeyError())
    policy = RetryPolicy(retryable=lambda error: isinstance(error, KeyError))

    assert await service.retry(policy, blocking=blocking) == "answer"


@both
async def test_budget_that_is_spent_ends_the_retries_of_all_calls(blocking: bool) -> None:
    budget = RetryBudget(min_per_second=0.1, ttl=10.0, clock=lambda: 0)
    policy = RetryPolicy(attempts=5, budget=budget)
    service = Service(*[ConnectionError()] * 4)

    for _ in range(2):
        with pytest.raises(ConnectionError):
            await service.retry(policy, blocking=blocking)

    assert service.calls == 3
    assert budget.stats().refused == 2


@both
async def test_answers_are_paid_into_the_budget_and_failures_are_not(blocking: bool) -> None:
    budget = TokenRetryBudget(max_tokens=10, token_ratio=1)
    for _ in range(6):
        budget.withdraw()
    policy = RetryPolicy(budget=budget, attempts=1)

    for _ in range(3):
        await Service().retry(policy, blocking=blocking)
    with pytest.raises(ValueError, match="wrong"):
        await Service(ValueError("wrong")).retry(policy, blocking=blocking)

    assert budget.stats().balance == 1  # 4 tokens and 3 make 7


async def test_cancelled_call_is_not_made_again() -> None:
    calls: list[int] = []

    async def call() -> None:
        calls.append(1)
        await asyncio.Event().wait()

    task = asyncio.create_task(retry(RetryPolicy(retryable=lambda _: True), call))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(calls) == 1


async def test_cancellation_ends_the_wait_between_attempts() -> None:
    waiting = asyncio.Event()

    async def wait(_seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(
        retry(RetryPolicy(), Service(ConnectionError()).call_later, sleep=wait)
    )
    await waiting.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


def test_next_delay_follows_the_backoff_and_ends_with_the_attempts() -> None:
    policy = RetryPolicy(attempts=4, backoff=SECOND)

    delays = [policy.next_delay(attempt, ConnectionError()) for attempt in range(5)]

    assert delays == [1.0, 2.0, 4.0, None, None]


@pytest.mark.parametrize(
    ("asked", "most", "delay"),
    [
        (None, 30.0, 1.0),
        (2.5, 30.0, 3.5),
        (30.0, 30.0, 31.0),
        (30.1, 30.0, None),
        (float("inf"), 30.0, None),
        (float("nan"), 30.0, 1.0),
        (-5.0, 30.0, 1.0),
        ("soon", 30.0, 1.0),
        (0.1, 0.0, None),
    ],
)
def test_wait_that_the_other_side_asks_for_comes_before_the_backoff(
    asked: Any, most: float, delay: float | None
) -> None:
    policy = RetryPolicy(backoff=SECOND, max_retry_after=most, retryable=lambda _: True)

    assert policy.next_delay(0, RateExceeded("slow", retry_after=asked)) == delay


@given(
    attempts=st.integers(1, 20),
    attempt=st.integers(0, 25),
    asked=st.none() | st.floats(0, 40),
    seed=st.integers(),
)
def test_delay_is_what_is_asked_for_and_at_most_the_ceiling_more(
    attempts: int, attempt: int, asked: float | None, seed: int
) -> None:
    policy = RetryPolicy(attempts=attempts, retryable=lambda _: True)
    error = RateExceeded("slow", retry_after=asked)

    delay = policy.next_delay(attempt, error, random.Random(seed).random)

    if attempt + 1 >= attempts or (asked or 0) > 30:
        assert delay is None
    else:
        assert delay is not None
        assert (asked or 0) <= delay <= (asked or 0) + policy.backoff.ceiling(attempt)


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (RateExceeded("slow", retry_after=1.0), True),
        (BreakerOpen("open"), False),
        (ValueError(), False),
        (FileNotFoundError(), False),
    ],
)
def test_lost_connections_timeouts_and_dated_refusals_are_transient(
    error: Exception, transient: bool
) -> None:
    assert is_transient(error) is transient


@pytest.mark.parametrize(
    ("option", "value"),
    [("attempts", 0), ("max_retry_after", -1), ("max_retry_after", float("inf"))],
)
def test_options_out_of_range_are_refused(option: str, value: Any) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(ValueError, match=f"^{option} must"):
        RetryPolicy(**options)


def test_policies_of_equal_values_are_equal() -> None:
    def make(function: Callable[[Exception], bool]) -> RetryPolicy:
        return RetryPolicy(attempts=2, retryable=function)

    assert make(is_transient) == RetryPolicy(attempts=2)
    assert make(is_transient) != make(lambda _: True)
