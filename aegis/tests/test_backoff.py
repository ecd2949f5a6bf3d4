from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis import Backoff


def test_ceilings_double_until_the_cap() -> None:
    backoff = Backoff(base=0.5, cap=30.0)

    assert [backoff.ceiling(n) for n in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_defaults_are_half_a_second_doubling_to_thirty_with_full_jitter() -> None:
    assert Backoff() == Backoff(base=0.5, cap=30.0, factor=2.0, jitter="full")


@pytest.mark.parametrize(
    ("jitter", "lowest", "middle"), [("full", 0, 2), ("equal", 2, 3), ("none", 4, 4)]
)
def test_jitter_decides_the_interval_below_the_ceiling(
    jitter: Any, lowest: float, middle: float
) -> None:
    backoff = Backoff(base=4.0, jitter=jitter)

    assert backoff.delay(0, lambda: 0.0) == lowest
    assert backoff.delay(0, lambda: 0.5) == middle


@given(attempt=st.integers(0, 10**9), seed=st.integers())
def test_delay_is_never_above_the_ceiling_nor_the_ceiling_above_the_cap(
    attempt: int, seed: int
) -> None:
    backoff = Backoff(base=0.1, cap=7.0, factor=1.7)

    delay = backoff.delay(attempt, random.Random(seed).random)

    assert 0 <= delay <= backoff.ceiling(attempt) <= 7.0


@given(st.integers(0, 2000))
def test_ceilings_never_fall(attempt: int) -> None:
    backoff = Backoff()

    assert backoff.ceiling(attempt) <= backoff.ceiling(attempt + 1)


def test_full_jitter_spreads_over_the_whole_interval() -> None:
    backoff, source = Backoff(base=8.0), random.Random(7).random

    delays = [backoff.delay(0, source) for _ in range(4000)]

    assert min(delays) < 0.1
    assert max(delays) > 7.9
    assert math.isclose(sum(delays) / len(delays), 4.0, rel_tol=0.05)


@pytest.mark.parametrize(
    "options",
    [
        {"base": 0.0},
        {"base": -1.0},
        {"base": 2.0, "cap": 1.0},
        {"cap": math.inf},
        {"base": math.nan},
        {"factor": 0.5},
        {"factor": math.nan},
        {"jitter": "some"},
    ],
    ids=str,
)
def test_values_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="back-off"):
        Backoff(**options)


def test_negative_attempt_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0"):
        Backoff().ceiling(-1)
