"""Golden values come from Go: aegis v0.2 ``circuitbreaker/sre``, Kratos v3 and their tests."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis import BreakerOpen, BreakerState, ManualClock, Outcome, SreBreaker

Make = Callable[..., SreBreaker]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def make(clock: ManualClock) -> Make:
    """Make breakers as Go's tests do, which refuse whenever they may."""

    def make(**options: Any) -> SreBreaker:
        defaults: dict[str, Any] = {
            "success": 0.5,
            "window": 1.0,
            "clock": clock,
            "random": lambda: 0.0,
            "count_rejected": False,
        }
        return SreBreaker(**defaults | options)

    return make


def feed(breaker: SreBreaker, *, ok: int = 0, failed: int = 0) -> SreBreaker:
    for _ in range(ok):
        breaker.mark_success()
    for _ in range(failed):
        breaker.mark_failed()
    return breaker


def test_fresh_breaker_allows(make: Make) -> None:
    breaker = make()

    assert breaker.allow() is not None
    assert breaker.stats().state is BreakerState.CLOSED


@pytest.mark.parametrize("ok", [80, 200])
def test_successes_alone_never_refuse(make: Make, ok: int) -> None:
    assert feed(make(), ok=ok).allow() is not None


def test_many_failures_after_a_hundred_successes_refuse(make: Make) -> None:
    breaker = feed(make(), ok=100)
    assert breaker.allow() is not None

    feed(breaker, failed=10_000)

    assert breaker.allow() is None


def test_idle_window_forgets_and_successes_keep_it_so(make: Make, clock: ManualClock) -> None:
    breaker = feed(make(), failed=10_000)
    assert breaker.allow() is None

    clock.advance(2)
    assert breaker.allow() is not None

    assert feed(breaker, ok=10_000).allow() is not None


def test_fewer_failures_than_the_request_floor_do_not_refuse(make: Make) -> None:
    breaker = make()

    assert feed(breaker, failed=99).allow() is not None
    assert feed(breaker, failed=1).allow() is None


def test_window_sums_are_those_of_go(make: Make, clock: ManualClock) -> None:
    breaker, seen = make(), list[tuple[int, int]]()

    def note() -> None:
        stats = breaker.stats()
        seen.append((stats.accepts, stats.total))

    for _ in range(10):
        clock.advance(0.05)
        breaker.mark_success()
    note()
    clock.advance(2)
    feed(breaker, failed=10)
    note()
    clock.advance(2)
    feed(breaker, ok=5, failed=5)
    note()
    clock.advance(1)
    note()

    assert seen == [(10, 10), (0, 10), (5, 10), (0, 0)]


def test_example_of_go_allows(clock: ManualClock) -> None:
    assert feed(SreBreaker(clock=clock), ok=1000, failed=100).allow() is not None


def test_six_of_ten_successes_sit_on_the_edge_and_never_refuse(make: Make) -> None:
    breaker = feed(make(success=0.6, request=10), ok=6, failed=4)

    assert all(breaker.allow() is not None for _ in range(10_000))
    assert breaker.stats().drop_probability == 0


def test_five_of_ten_successes_refuse_fifteen_percent(make: Make) -> None:
    draw = random.Random(7)
    breaker = feed(make(success=0.6, request=10, random=draw.random), ok=5, failed=5)

    refused = sum(breaker.allow() is None for _ in range(10_000))

    assert breaker.stats().drop_probability == pytest.approx(0.15152, abs=1e-5)
    assert refused / 10_000 == pytest.approx(0.1515, abs=0.01)


def test_refusal_needs_a_draw_strictly_below_the_probability(make: Make) -> None:
    edge = (10 - 5 / 0.6) / 11
    breaker = feed(make(success=0.6, request=10, random=lambda: edge), ok=5, failed=5)

    assert breaker.allow() is not None


def test_floor_of_kratos3_is_the_number_of_results_asked_for(make: Make) -> None:
    assert feed(make(request=3), failed=2).allow() is not None
    assert feed(make(request=1), failed=1).allow() is None


def test_defaults_of_kratos3_refuse_from_the_twentieth_failure_on(clock: ManualClock) -> None:
    breaker = feed(SreBreaker.kratos3(clock=clock, random=lambda: 0.0), failed=19)

    assert breaker.allow() is not None
    assert feed(breaker, failed=1).allow() is None


def test_kratos3_refuses_once_failures_outnumber_successes(clock: ManualClock) -> None:
    breaker = SreBreaker.kratos3(request=20, clock=clock, random=lambda: 0.0)

    assert feed(breaker, ok=10, failed=10).allow() is not None
    assert feed(breaker, failed=1).allow() is None


def test_presets_differ_in_k_and_floor_and_yield_to_options() -> None:
    def numbers(breaker: SreBreaker) -> tuple[float, int]:
        return round(breaker.stats().k, 3), breaker.stats().request

    assert numbers(SreBreaker()) == numbers(SreBreaker.aegis()) == (1.667, 100)
    assert numbers(SreBreaker.kratos3()) == (2, 20)
    assert numbers(SreBreaker.aegis(failure_ratio=0.2, request=7)) == (1.25, 7)
    assert numbers(SreBreaker.kratos3(success=0.8, request=10)) == (1.25, 10)


def test_window_reaches_back_three_seconds_less_the_part_that_is_used_up(
    clock: ManualClock,
) -> None:
    breaker = feed(SreBreaker(clock=clock), ok=5)

    clock.advance(2.999)
    assert breaker.stats().total == 5
    clock.advance(0.001)
    assert breaker.stats().total == 0


def test_refusal_counts_as_a_failed_result_where_it_is_asked_for(make: Make) -> None:
    counting = feed(make(count_rejected=True), failed=100)
    other = feed(make(), failed=100)

    assert counting.allow() is other.allow() is None

    assert (counting.stats().total, other.stats().total) == (101, 100)
    assert (counting.stats().refused, other.stats().refused) == (1, 1)


def test_refusals_are_counted_unless_told_otherwise() -> None:
    breaker = feed(SreBreaker(random=lambda: 0.0, clock=ManualClock()), failed=100)

    breaker.allow()

    assert breaker.stats().total == 101


@pytest.mark.parametrize(
    ("outcome", "sums"),
    [
        (Outcome.SUCCESS, (1, 1)),
        (Outcome.FAILURE, (0, 1)),
        (Outcome.OVERLOAD, (0, 1)),
        (Outcome.IGNORED, (0, 0)),
    ],
)
def test_outcome_decides_what_is_counted(
    make: Make, outcome: Outcome, sums: tuple[int, int]
) -> None:
    breaker = make()
    token = breaker.allow()
    assert token is not None

    breaker.done(token, outcome)

    stats = breaker.stats()
    assert (stats.accepts, stats.total) == sums


def test_protection_forgives_so_many_failures(make: Make) -> None:
    breaker = feed(make(success=2 / 3, request=1, protection=5), failed=5)

    assert breaker.allow() is not None
    assert feed(breaker, failed=1).allow() is None
    assert breaker.stats().drop_probability == pytest.approx(1 / 7)


def test_guard_raises_a_refusal_that_tells_the_counts(make: Make) -> None:
    breaker = feed(make(request=4), ok=1, failed=3)

    with (
        pytest.raises(BreakerOpen, match=r"1 of the last 4 calls succeeded") as caught,
        breaker.guard(),
    ):
        pytest.fail("the block ran")
    assert caught.value.retry_after is None


def test_breaker_without_a_share_of_failures_needs_every_success(make: Make) -> None:
    assert feed(make(success=None, failure_ratio=0, request=2), ok=9).allow() is not None
    assert feed(make(success=None, failure_ratio=0, request=2), ok=9, failed=1).allow() is None


def test_smallest_share_of_successes_never_makes_a_number_that_is_none(make: Make) -> None:
    stats = feed(make(success=1e-300, request=1), ok=1, failed=9).stats()

    assert stats.drop_probability == 0
    assert stats.k == pytest.approx(1e300)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"success": 0}, "success must be more than 0 and at most 1, got 0"),
        ({"success": -0.5}, "success must be more than 0"),
        ({"success": 1.01}, "success must be more than 0"),
        ({"success": nan}, "success must be more than 0"),
        ({"success": 5e-324}, "success must be more than 0"),
        ({"failure_ratio": 1}, "failure_ratio must be at least 0 and less than 1, got 1"),
        ({"failure_ratio": nan}, "failure_ratio must be"),
        ({"failure_ratio": -0.1}, "failure_ratio must be"),
        ({"success": 0.5, "failure_ratio": 0.5}, "either success or failure_ratio"),
        ({"request": 0}, "request must be finite and at least 1, got 0"),
        ({"window": 0}, "window must be"),
        ({"buckets": 0}, "buckets must be"),
        ({"protection": -1}, "protection must be finite and at least 0, got -1"),
        ({"protection": inf}, "protection must be finite"),
    ],
)
def test_option_out_of_range_is_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SreBreaker(**options)


@given(
    success=st.floats(0.001, 1),
    request=st.integers(1, 20),
    protection=st.integers(0, 5),
    count_rejected=st.booleans(),
    draws=st.randoms(use_true_random=False),
    steps=st.lists(
        st.tuples(st.integers(-1000, 3000), st.sampled_from(["allow", *Outcome])), max_size=60
    ),
)
def test_sums_and_probability_equal_a_recount_for_any_calls_and_clock(
    *,
    success: float,
    request: int,
    protection: int,
    count_rejected: bool,
    draws: random.Random,
    steps: list[tuple[int, Any]],
) -> None:
    clock = ManualClock(0)
    breaker = SreBreaker(
        success=success,
        request=request,
        protection=protection,
        count_rejected=count_rejected,
        clock=clock,
        random=draws.random,
    )
    span, latest, results = 300_000_000, 0, list[tuple[int, bool]]()

    for pause, step in steps:
        clock.now += pause * 1_000_000
        latest = max(latest, clock.now)
        if step == "allow":
            if breaker.allow() is None and count_rejected:
                results.append((latest // span, False))
        else:
            breaker.done(0, step)
            if step is not Outcome.IGNORED:
                results.append((latest // span, step is Outcome.SUCCESS))
        recent = [ok for slot, ok in results if slot > latest // span - 10]
        stats = breaker.stats()
        assert (stats.total, stats.accepts) == (len(recent), sum(recent))
        excess = max(0, len(recent) - sum(recent) / success - protection)
        expected = excess / (len(recent) + 1) if len(recent) >= request else 0
        assert stats.drop_probability == pytest.approx(expected, abs=1e-9)
        assert 0 <= stats.drop_probability <= len(recent) / (len(recent) + 1)
        assert (stats.state is BreakerState.OPEN) == (stats.drop_probability > 0)


def test_threads_lose_no_count() -> None:
    breaker = SreBreaker(random=lambda: 0.0, clock=ManualClock(), threadsafe=True)
    times = 2_000

    def hammer(number: int) -> int:
        refused = 0
        for _ in range(times):
            token = breaker.allow()
            if token is None:
                refused += 1
            else:
                breaker.done(token, Outcome.FAILURE if number % 2 else Outcome.SUCCESS)
        return refused

    with ThreadPoolExecutor(4) as pool:
        refused = sum(pool.map(hammer, range(4)))

    stats = breaker.stats()
    assert (stats.total, stats.refused) == (4 * times, refused)
