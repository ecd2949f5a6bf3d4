"""Rules and cases are those of Go: aegis ``ratelimit/key`` and ``golang.org/x/time/rate``."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis import ManualClock
from aegis.ratelimit import Gcra, KeyedGcra, KeyedTokenBucket, TokenBucket

RATES = [0.1, 0.5, 1, 3, 7.5, 1000, 30_000, 1e9, 3e9]


class Bucket:
    """The rules of x/time/rate with exact numbers."""

    def __init__(self, rate: float, burst: int, now: int) -> None:
        self.per_nanosecond = Fraction(repr(float(rate))) / 10**9
        self.burst = burst
        self.tokens = Fraction(burst)
        self.last = now

    def allow(self, now: int, n: int) -> bool:
        elapsed = max(0, now - self.last)
        self.last = now
        self.tokens = min(Fraction(self.burst), self.tokens + elapsed * self.per_nanosecond)
        if n > self.burst or self.tokens < n:
            return False
        self.tokens -= n
        return True


def test_second_call_waits_for_its_token_and_other_keys_do_not() -> None:
    clock = ManualClock()
    limiter = KeyedTokenBucket(rate=1, burst=1, clock=clock)

    assert [limiter.allow("a"), limiter.allow("a")] == [True, False]
    clock.advance(1)
    assert [limiter.allow("a"), limiter.allow("b")] == [True, True]


def test_refused_call_changes_nothing() -> None:
    clock = ManualClock()
    limiter = TokenBucket(rate=1, burst=2, clock=clock)
    limiter.allow(2)

    for _ in range(100):
        clock.advance(0.009)
        assert not limiter.allow()

    clock.advance(0.1)
    assert limiter.allow()


def test_bucket_begins_full_and_does_not_overflow() -> None:
    clock = ManualClock()
    limiter = TokenBucket(rate=10, burst=3, clock=clock)
    clock.advance(100)

    assert limiter.tokens == 3
    assert [limiter.allow() for _ in range(4)] == [True, True, True, False]


def test_bucket_shows_fractions_of_tokens() -> None:
    clock = ManualClock()
    limiter = TokenBucket(rate=2, burst=4, clock=clock)
    limiter.allow(4)
    clock.advance(0.75)

    assert limiter.tokens == 1.5


@given(
    rate=st.sampled_from([0.5, 1, 4, 1000, 25_000, 1e9, 2e9]),
    burst=st.integers(1, 20),
    steps=st.lists(st.tuples(st.integers(-(10**9), 3 * 10**9), st.integers(1, 21))),
)
def test_both_agree_with_the_rules_of_go(
    rate: float, burst: int, steps: list[tuple[int, int]]
) -> None:
    clock = ManualClock()
    bucket = TokenBucket(rate=rate, burst=burst, clock=clock)
    gcra = Gcra(rate=rate, burst=burst, clock=clock)
    rules = Bucket(rate, burst, clock.now)
    for nanoseconds, n in steps:
        clock.now += nanoseconds
        assert bucket.allow(n) == gcra.allow(n) == rules.allow(clock.now, n)


@given(
    rate=st.sampled_from(RATES),
    burst=st.integers(1, 50),
    steps=st.lists(st.tuples(st.floats(-2, 4), st.integers(1, 60)), max_size=30),
)
def test_no_interval_sees_more_than_burst_and_rate_allow(
    rate: float, burst: int, steps: list[tuple[float, int]]
) -> None:
    clock = ManualClock()
    limiter = KeyedGcra(rate=rate, burst=burst, clock=clock)
    passed = 0  # time that went forward
    admitted: list[tuple[int, int]] = []
    for intervals, n in steps:
        step = round(intervals * 1e9 / rate)
        clock.now += step
        passed += max(0, step)
        if limiter.allow("key", n):
            admitted.append((passed, n))
    exact = Fraction(repr(float(rate))) / 10**9
    for first, (begin, _) in enumerate(admitted):
        total = 0
        for end, n in admitted[first:]:
            total += n
            assert total <= burst + exact * (end - begin)


def test_steady_flow_at_the_rate_is_never_refused() -> None:
    clock = ManualClock()
    limiter = Gcra(rate=8, burst=1, clock=clock)

    for _ in range(1000):
        assert limiter.allow()
        clock.advance(0.125)


@pytest.mark.parametrize("rate", [0, -1, float("inf"), float("nan"), 2e12])
def test_rate_out_of_range_is_an_error(rate: float) -> None:
    with pytest.raises(ValueError, match="rate must be"):
        Gcra(rate=rate, burst=1)


def test_burst_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="burst must be a whole number and at least 1, got 0"):
        Gcra(rate=1, burst=0)
