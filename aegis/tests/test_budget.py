from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis import Budget, ManualClock, RetryBudget, TokenRetryBudget


def granted(budget: Budget, most: int = 10_000) -> int:
    """Withdraw until there is a refusal, and return how often it was granted."""
    return next(count for count in range(most) if not budget.withdraw())


def test_without_answers_the_budget_grants_its_minimum() -> None:
    clock = ManualClock()
    budget = RetryBudget(min_per_second=3.0, ttl=10.0, clock=clock)

    assert granted(budget) == 30
    clock.advance(10.1)
    assert granted(budget) == 30


def test_answers_earn_their_share_of_retries() -> None:
    budget = RetryBudget(ratio=0.2, min_per_second=0, clock=ManualClock())
    for _ in range(104):
        budget.deposit()

    assert granted(budget) == 20
    budget.deposit()
    assert budget.withdraw()  # 105 answers make 21


def test_answers_older_than_the_ttl_earn_nothing_any_more() -> None:
    clock = ManualClock()
    budget = RetryBudget(ratio=1.0, min_per_second=0, ttl=10.0, clock=clock)
    budget.deposit()
    clock.advance(5)
    budget.deposit()

    clock.advance(5.5)

    assert granted(budget) == 1


def test_long_silence_empties_the_budget_at_once() -> None:
    clock = ManualClock()
    budget = RetryBudget(ratio=1.0, min_per_second=0, clock=clock)
    for _ in range(50):
        budget.deposit()

    clock.advance(10**9)

    assert not budget.withdraw()


def test_retries_are_paid_back_when_they_are_old() -> None:
    clock = ManualClock()
    budget = RetryBudget(ratio=0.5, min_per_second=0, ttl=10.0, clock=clock)
    for _ in range(10):
        budget.deposit()
    clock.advance(9)
    assert granted(budget) == 5

    clock.advance(2)  # the answers are forgotten, the retries not yet
    for _ in range(12):
        budget.deposit()

    assert granted(budget) == 1


@given(
    steps=st.lists(st.tuples(st.sampled_from("dw"), st.integers(0, 4000)), max_size=200),
    ratio=st.sampled_from([0.0, 0.1, 0.5, 2.0]),
    least=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_budget_counts_exactly_what_lies_in_its_last_ten_slots(
    steps: list[tuple[str, int]], ratio: float, least: float
) -> None:
    clock = ManualClock(0)
    budget = RetryBudget(ratio=ratio, min_per_second=least, ttl=10.0, clock=clock)
    answered, spent = deque[int](), deque[int]()
    for step, milliseconds in steps:
        clock.now += milliseconds * 1_000_000
        slot = clock.now // 10**9
        in_window = [sum(1 for at in queue if slot - at < 10) for queue in (answered, spent)]
        if step == "d":
            budget.deposit()
            answered.append(slot)
        else:
            expected = least * 10.0 + in_window[0] * ratio - in_window[1] >= 1
            assert budget.withdraw() == expected
            if expected:
                spent.append(slot)


def test_balance_tells_how_many_would_be_granted() -> None:
    budget = RetryBudget(ratio=0.5, min_per_second=0.3, clock=ManualClock())
    for _ in range(5):
        budget.deposit()
    before = budget.stats()

    count = granted(budget)

    after = budget.stats()
    assert (before.balance, count) == (5.5, 5)
    assert (after.balance, after.granted, after.refused) == (0.5, 5, 1)


def test_stats_forget_what_is_old() -> None:
    clock = ManualClock()
    budget = RetryBudget(ratio=1.0, min_per_second=0, clock=clock, threadsafe=True)
    budget.deposit()

    clock.advance(11)

    assert budget.stats().balance == 0


def test_tokens_grant_retries_above_the_half() -> None:
    budget = TokenRetryBudget(max_tokens=10, token_ratio=0.1)

    assert budget.stats().balance == 4
    assert granted(budget) == 4
    assert budget.stats().balance == 0


def test_tokens_come_back_with_answers_up_to_the_most() -> None:
    budget = TokenRetryBudget(max_tokens=4, token_ratio=0.5, threadsafe=True)
    for _ in range(9):
        budget.withdraw()  # nothing is left, and no debt

    for _ in range(6):
        budget.deposit()
    assert not budget.withdraw()  # 3 less 1 is the half
    for _ in range(100):
        budget.deposit()
    assert granted(budget) == 1


@given(
    steps=st.lists(st.booleans(), max_size=100),
    most=st.integers(1, 1000).map(lambda tenths: tenths / 10),
    ratio=st.integers(1, 3000).map(lambda thousandths: thousandths / 1000),
)
def test_tokens_follow_the_rules_of_grpc(steps: list[bool], most: float, ratio: float) -> None:
    budget = TokenRetryBudget(max_tokens=most, token_ratio=ratio)
    tokens, most, ratio = round(most * 1000), round(most * 1000), round(ratio * 1000)
    for answered in steps:
        if answered:
            tokens = min(most, tokens + ratio)
            budget.deposit()
        else:
            tokens = max(0, tokens - 1000)
            assert budget.withdraw() == (tokens > most / 2)


@pytest.mark.parametrize(
    ("kind", "option", "value"),
    [
        (RetryBudget, "ratio", -0.1),
        (RetryBudget, "ratio", 1001),
        (RetryBudget, "min_per_second", -1),
        (RetryBudget, "ttl", 0),
        (TokenRetryBudget, "max_tokens", 0),
        (TokenRetryBudget, "max_tokens", 1001),
        (TokenRetryBudget, "token_ratio", 0),
    ],
)
def test_options_out_of_range_are_refused(kind: Any, option: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{option} must"):
        kind(**{option: value})


@pytest.mark.parametrize("kind", [RetryBudget, TokenRetryBudget])
def test_both_are_budgets(kind: Any) -> None:
    assert isinstance(kind(), Budget)
