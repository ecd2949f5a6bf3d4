from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis import ManualClock
from aegis.ratelimit import FixedWindow, KeyedFixedWindow, KeyedSlidingWindow, SlidingWindow

WINDOW = 10**9

steps = st.lists(
    st.tuples(st.integers(-WINDOW, 2 * WINDOW), st.integers(1, 12)), min_size=1, max_size=40
)


class Estimate:
    """The weighted counter with exact numbers."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.counts: dict[int, int] = {}

    def allow(self, now: int, n: int) -> bool:
        index, elapsed = divmod(now, WINDOW)
        previous, current = self.counts.get(index - 1, 0), self.counts.get(index, 0)
        estimate = previous * (1 - Fraction(elapsed, WINDOW)) + current
        if estimate + n > self.limit:
            return False
        self.counts[index] = current + n
        return True


@given(limit=st.integers(1, 10), steps=steps)
def test_sliding_window_follows_its_formula(limit: int, steps: list[tuple[int, int]]) -> None:
    clock = ManualClock()
    limiter = KeyedSlidingWindow(limit=limit, window=1.0, clock=clock)
    formula = Estimate(limit)
    now = clock.now
    for nanoseconds, n in steps:
        clock.now += nanoseconds
        now += max(0, nanoseconds)
        assert limiter.allow("key", n) == formula.allow(now, n)


def bounded(
    limiter: Any, clock: ManualClock, steps: list[tuple[int, int]], *, burst: int, rate: Fraction
) -> None:
    passed = 0
    admitted: list[tuple[int, int]] = []
    for nanoseconds, n in steps:
        clock.now += nanoseconds
        passed += max(0, nanoseconds)
        if limiter.allow("key", n):
            admitted.append((passed, n))
    for first, (begin, _) in enumerate(admitted):
        total = 0
        for end, n in admitted[first:]:
            total += n
            assert total <= burst + rate * (end - begin)


@given(limit=st.integers(1, 10), steps=steps)
def test_sliding_window_admits_no_more_than_a_bucket_of_its_limit(
    limit: int, steps: list[tuple[int, int]]
) -> None:
    clock = ManualClock()
    limiter = KeyedSlidingWindow(limit=limit, window=1.0, clock=clock)
    bounded(limiter, clock, steps, burst=limit, rate=Fraction(limit, WINDOW))


@given(limit=st.integers(1, 10), steps=steps)
def test_fixed_window_admits_twice_its_limit_at_most_around_an_edge(
    limit: int, steps: list[tuple[int, int]]
) -> None:
    clock = ManualClock()
    limiter = KeyedFixedWindow(limit=limit, window=1.0, clock=clock)
    bounded(limiter, clock, steps, burst=2 * limit, rate=Fraction(limit, WINDOW))


def test_fixed_window_gives_the_limit_on_both_sides_of_an_edge() -> None:
    clock = ManualClock(2 * WINDOW - 1)
    limiter = FixedWindow(limit=4, window=1.0, clock=clock)

    assert limiter.allow(4)
    assert limiter.take().retry_after == 1e-9
    clock.now += 1
    assert limiter.allow(4)


def test_sliding_window_lets_the_previous_window_fade() -> None:
    clock = ManualClock(2 * WINDOW - 1)
    limiter = SlidingWindow(limit=4, window=1.0, clock=clock)
    limiter.allow(4)

    clock.now += 1
    assert limiter.take().remaining == 0
    clock.advance(0.5)
    assert limiter.allow(2)
    assert not limiter.allow()


def test_window_that_was_left_unused_clears_the_slate() -> None:
    clock = ManualClock(2 * WINDOW)
    limiter = SlidingWindow(limit=4, window=1.0, clock=clock)
    limiter.allow(4)

    clock.advance(2)

    assert limiter.allow(4)


@pytest.mark.parametrize("limiter", [FixedWindow, SlidingWindow])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0, "window": 1}, "limit must be a whole number and at least 1, got 0"),
        ({"limit": 2.5, "window": 1}, "limit must be a whole number and at least 1, got 2.5"),
        ({"limit": 1 << 32, "window": 1}, "limit must lie between 1 and 4294967295"),
        ({"limit": 1, "window": 0}, "window must be finite and more than 0, got 0"),
        ({"limit": 1, "window": 1e-12}, "window in nanoseconds must be finite and at least 1"),
    ],
)
def test_options_out_of_range_are_errors(limiter: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        limiter(**options)


@pytest.mark.parametrize("limiter", [FixedWindow, SlidingWindow])
def test_largest_limit_is_counted_to_the_end(limiter: Any) -> None:
    largest = (1 << 32) - 1
    clock = ManualClock(0)
    counted = limiter(limit=largest, window=1.0, clock=clock)

    assert counted.allow(largest)
    assert not counted.allow()
    clock.now += 2 * WINDOW
    assert counted.allow(largest)
    clock.now += WINDOW
    assert counted.peek(largest).allowed == isinstance(counted, FixedWindow)
