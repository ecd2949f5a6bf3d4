from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from aegis import (
    BreakerOpen,
    BreakerState,
    Guard,
    ManualClock,
    Outcome,
    SreBreaker,
    WindowBreaker,
)

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
FORCED_OPEN, FORCED_CLOSED = BreakerState.FORCED_OPEN, BreakerState.FORCED_CLOSED

Make = Callable[..., WindowBreaker]
Changes = list[tuple[BreakerState, BreakerState]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def changes() -> Changes:
    return []


@pytest.fixture
def make(clock: ManualClock, changes: Changes) -> Make:
    """Make breakers of ten calls that are open for 5 s and probe with two."""

    def listen(old: BreakerState, new: BreakerState) -> None:
        changes.append((old, new))

    def make(**options: Any) -> WindowBreaker:
        defaults: dict[str, Any] = {
            "open_for": 5.0,
            "probes": 2,
            "clock": clock,
            "on_change": listen,
        }
        if "window" not in options:
            defaults["last_calls"] = 10
        return WindowBreaker(**defaults | options)

    return make


def admitted(breaker: WindowBreaker) -> int:
    token = breaker.allow()
    assert token is not None
    return token


def feed(breaker: WindowBreaker, *, ok: int = 0, failed: int = 0) -> WindowBreaker:
    for _ in range(ok):
        breaker.done(admitted(breaker))
    for _ in range(failed):
        breaker.done(admitted(breaker), Outcome.FAILURE)
    return breaker


def opened(breaker: WindowBreaker) -> WindowBreaker:
    feed(breaker, ok=5, failed=5)
    assert breaker.state is OPEN
    return breaker


@pytest.mark.parametrize("threadsafe", [False, True])
def test_breakers_are_guards(*, threadsafe: bool) -> None:
    assert isinstance(WindowBreaker(threadsafe=threadsafe), Guard)
    assert isinstance(SreBreaker(threadsafe=threadsafe), Guard)


def test_fresh_breaker_is_closed_and_allows(make: Make) -> None:
    breaker = make()

    assert breaker.allow() is not None
    assert breaker.state is CLOSED


def test_rate_that_is_reached_opens(make: Make, changes: Changes) -> None:
    breaker = feed(make(), ok=5, failed=4)
    assert breaker.state is CLOSED

    feed(breaker, failed=1)

    assert (breaker.state, breaker.allow()) == (OPEN, None)
    assert changes == [(CLOSED, OPEN)]


def test_nothing_opens_below_the_minimum_of_calls(make: Make) -> None:
    breaker = feed(make(minimum_calls=4), failed=3)
    assert breaker.state is CLOSED

    assert feed(breaker, failed=1).state is OPEN


def test_success_that_completes_the_minimum_opens_too(make: Make) -> None:
    breaker = feed(make(minimum_calls=4), failed=3)

    assert feed(breaker, ok=1).state is OPEN


def test_only_the_last_calls_count(make: Make) -> None:
    breaker = feed(make(), failed=4)
    feed(breaker, ok=9)
    stats = breaker.stats()
    assert (stats.calls, stats.failed) == (10, 1)

    assert feed(breaker, failed=3).state is CLOSED  # one of the old failures has left meanwhile
    assert feed(breaker, failed=2).state is OPEN


@pytest.mark.parametrize(("rate", "calls", "failures"), [(0.07, 100, 7), (0.29, 100, 29)])
def test_rate_is_reached_exactly(make: Make, rate: float, calls: int, failures: int) -> None:
    breaker = make(last_calls=calls, failure_rate=rate)
    feed(breaker, ok=calls - failures, failed=failures - 1)
    assert breaker.state is CLOSED

    assert feed(breaker, failed=1).state is OPEN


def test_slow_calls_open_though_they_succeed(make: Make, clock: ManualClock) -> None:
    breaker = make(last_calls=4, slow_call=0.1, slow_rate=0.5)

    def call(seconds: float) -> None:
        token = admitted(breaker)
        clock.advance(seconds)
        breaker.done(token)

    for seconds in (0.1, 0.05, 0.101):
        call(seconds)
    assert breaker.stats().slow == 1
    call(0.2)

    assert (breaker.state, breaker.stats().failed) == (OPEN, 0)
    assert str(breaker.refusal()) == (
        "the circuit is open: 0 of the last 4 calls failed, 2 were slow"
    )


def test_window_of_seconds_forgets(make: Make, clock: ManualClock) -> None:
    breaker = feed(make(window=10.0, minimum_calls=10), failed=9)
    clock.advance(10)

    assert feed(breaker, failed=1).state is CLOSED
    stats = breaker.stats()
    assert (stats.calls, stats.failed) == (1, 1)


def test_window_of_seconds_opens(make: Make, clock: ManualClock) -> None:
    breaker = feed(make(window=10.0, minimum_calls=10), ok=4, failed=3)
    clock.advance(9)

    assert feed(breaker, failed=3).state is OPEN


def test_statistics_forget_without_a_call(make: Make, clock: ManualClock) -> None:
    breaker = feed(make(window=10.0), failed=9)
    clock.advance(10)

    assert breaker.stats().calls == 0


def test_overload_is_a_failure_and_ignored_is_nothing(make: Make) -> None:
    breaker = make()

    breaker.done(admitted(breaker), Outcome.OVERLOAD)
    breaker.done(admitted(breaker), Outcome.IGNORED)

    stats = breaker.stats()
    assert (stats.calls, stats.failed, stats.failure_rate) == (1, 1, 1.0)


def test_refusal_tells_how_long_it_stays_open(make: Make, clock: ManualClock) -> None:
    breaker = opened(make())
    clock.advance(1.5)

    with pytest.raises(BreakerOpen, match="5 of the last 10 calls failed") as caught:
        breaker.guard().__enter__()

    assert caught.value.retry_after == breaker.stats().retry_after == 3.5


def test_open_circuit_lets_no_more_than_its_probes_through(make: Make, clock: ManualClock) -> None:
    breaker = opened(make())
    clock.advance(4.999)
    assert breaker.allow() is None
    clock.advance(0.001)

    tokens = [breaker.allow() for _ in range(4)]

    assert [token is not None for token in tokens] == [True, True, False, False]
    assert breaker.state is HALF_OPEN
    refusal = breaker.refusal()
    assert str(refusal) == "the circuit is half open: its 2 probes are out"
    assert refusal.retry_after is None


def test_result_of_a_probe_makes_no_room_for_another(make: Make, clock: ManualClock) -> None:
    breaker = opened(make())
    clock.advance(5)
    first, _ = admitted(breaker), admitted(breaker)

    breaker.done(first)

    assert breaker.allow() is None


def test_good_probes_close_and_the_past_is_forgotten(
    make: Make, clock: ManualClock, changes: Changes
) -> None:
    breaker = opened(make())
    clock.advance(5)

    feed(breaker, ok=2)

    assert changes == [(CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, CLOSED)]
    assert breaker.stats().calls == 0


def test_bad_probes_open_again(make: Make, clock: ManualClock, changes: Changes) -> None:
    breaker = opened(make())
    clock.advance(5)

    feed(breaker, ok=1, failed=1)

    assert (breaker.state, breaker.stats().retry_after, breaker.stats().opened) == (OPEN, 5.0, 2)
    assert changes[-1] == (HALF_OPEN, OPEN)


def test_slow_probes_open_again(make: Make, clock: ManualClock) -> None:
    breaker = opened(make(slow_call=1.0))
    clock.advance(5)
    tokens = [admitted(breaker), admitted(breaker)]
    clock.advance(1.1)

    for token in tokens:
        breaker.done(token)

    assert breaker.state is OPEN


def test_time_open_grows_to_its_limit_and_starts_anew(make: Make, clock: ManualClock) -> None:
    breaker, seen = opened(make(growth=3.0, longest_open=20.0)), list[float | None]()

    for _ in range(3):
        seen.append(breaker.stats().retry_after)
        clock.advance(seen[-1] or 0)
        feed(breaker, failed=2)
    seen.append(breaker.stats().retry_after)
    clock.advance(20)
    feed(breaker, ok=2)
    opened(breaker)
    seen.append(breaker.stats().retry_after)

    assert seen == pytest.approx([5.0, 15.0, 20.0, 20.0, 5.0])


@pytest.mark.parametrize("growth", [100.0, 1e300])
def test_growth_is_limited_to_ten_times_unless_told_otherwise(
    make: Make, clock: ManualClock, growth: float
) -> None:
    breaker = opened(make(growth=growth))
    clock.advance(5)

    feed(breaker, failed=2)

    assert breaker.stats().retry_after == 50


def test_ignored_probe_gives_its_place_to_another(make: Make, clock: ManualClock) -> None:
    breaker = opened(make())
    clock.advance(5)
    first, _ = admitted(breaker), admitted(breaker)

    breaker.done(first, Outcome.IGNORED)

    assert breaker.allow() is not None
    assert breaker.allow() is None


def test_probes_that_never_return_are_given_up_as_failed(make: Make, clock: ManualClock) -> None:
    breaker = opened(make(probe_timeout=3.0))
    clock.advance(5)
    admitted(breaker)
    admitted(breaker)

    clock.advance(2.9)
    assert (breaker.allow(), breaker.state) == (None, HALF_OPEN)
    clock.advance(0.1)
    assert (breaker.allow(), breaker.state) == (None, OPEN)

    clock.advance(5)
    assert breaker.allow() is not None


def test_given_up_probe_frees_nothing_that_is_not_its_own(make: Make, clock: ManualClock) -> None:
    breaker = opened(make(probes=3, failure_rate=0.4, probe_timeout=3.0))
    clock.advance(5)
    lost = admitted(breaker)
    clock.advance(2)
    second, third = admitted(breaker), admitted(breaker)
    clock.advance(1)  # the first is given up, and its failure fills its place
    assert breaker.allow() is None

    breaker.done(lost)
    assert (breaker.stats().probing, breaker.stats().calls) == (2, 1)

    breaker.done(second)
    breaker.done(third)
    assert breaker.state is CLOSED


def test_probe_that_comes_back_too_late_is_a_failed_one(make: Make, clock: ManualClock) -> None:
    breaker = opened(make(probes=1, probe_timeout=3.0))
    clock.advance(5)
    token = admitted(breaker)
    clock.advance(3)

    breaker.done(token)

    assert breaker.state is OPEN


def test_probe_given_up_may_still_close_if_the_others_were_good(
    make: Make, clock: ManualClock
) -> None:
    breaker = opened(make(probes=3, probe_timeout=3.0))
    clock.advance(5)
    admitted(breaker)
    feed(breaker, ok=2)
    clock.advance(3)

    assert breaker.allow() is not None
    assert breaker.state is CLOSED


def test_calls_from_before_the_change_are_ignored(make: Make, clock: ManualClock) -> None:
    breaker = make()
    late = [admitted(breaker) for _ in range(20)]
    opened(breaker)
    breaker.done(late.pop(), Outcome.FAILURE)
    assert breaker.stats().calls == 10
    clock.advance(5)
    first, second = admitted(breaker), admitted(breaker)

    for token in late[:10]:
        breaker.done(token, Outcome.FAILURE)
    assert (breaker.state, breaker.stats().probing, breaker.allow()) == (HALF_OPEN, 2, None)

    breaker.done(first)
    breaker.done(second)
    for token in late[10:]:
        breaker.done(token, Outcome.FAILURE)
    assert (breaker.state, breaker.stats().calls) == (CLOSED, 0)


def test_probe_of_an_earlier_trial_says_nothing_in_the_next(make: Make, clock: ManualClock) -> None:
    breaker = opened(make(probes=2))
    clock.advance(5)
    early = admitted(breaker)
    breaker.reset()
    opened(breaker)
    clock.advance(5)
    admitted(breaker)

    breaker.done(early)

    assert (breaker.stats().probing, breaker.stats().calls) == (1, 0)


def test_stale_results_are_told_apart_though_the_clock_goes_back(
    make: Make, clock: ManualClock
) -> None:
    breaker = make()
    stale = admitted(breaker)
    clock.advance(-100)

    opened(breaker)
    breaker.reset()
    breaker.done(stale, Outcome.FAILURE)

    assert breaker.stats().calls == 0


def test_order_to_open_refuses_until_reset(
    make: Make, clock: ManualClock, changes: Changes
) -> None:
    breaker = make()

    breaker.force_open()
    clock.advance(1000)
    assert (breaker.allow(), breaker.state) == (None, FORCED_OPEN)
    refusal = breaker.refusal()
    assert (str(refusal), refusal.retry_after) == ("the circuit is open by order", None)

    breaker.reset()
    assert breaker.allow() is not None
    assert changes == [(CLOSED, FORCED_OPEN), (FORCED_OPEN, CLOSED)]


def test_order_to_close_lets_all_through_and_counts_on(make: Make) -> None:
    breaker = opened(make())

    breaker.force_closed()
    feed(breaker, failed=20)

    assert (breaker.state, breaker.stats().failure_rate) == (FORCED_CLOSED, 1.0)
    breaker.reset()
    assert (breaker.state, breaker.stats().calls) == (CLOSED, 0)


def test_order_that_changes_nothing_is_no_change(make: Make, changes: Changes) -> None:
    breaker = make()

    breaker.force_open()
    breaker.force_open()

    assert changes == [(CLOSED, FORCED_OPEN)]


def test_raising_listener_is_logged_and_breaks_nothing(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    def listen(old: BreakerState, new: BreakerState) -> None:
        raise LookupError(f"no place for {new.value}")

    breaker = make(on_change=listen)

    with caplog.at_level(logging.ERROR, logger="aegis"):
        opened(breaker)

    assert "no place for open" in caplog.text
    assert breaker.allow() is None


@pytest.mark.parametrize("threadsafe", [False, True])
def test_listener_may_use_the_breaker(make: Make, *, threadsafe: bool) -> None:
    seen = list[tuple[BreakerState, BreakerState]]()

    def listen(old: BreakerState, new: BreakerState) -> None:
        seen.append((new, breaker.stats().state))
        if new is OPEN:
            breaker.force_closed()

    breaker = make(on_change=listen, threadsafe=threadsafe)

    feed(breaker, ok=5, failed=5)

    assert seen == [(OPEN, OPEN), (FORCED_CLOSED, FORCED_CLOSED)]


def test_failed_call_through_the_guard_counts(make: Make) -> None:
    breaker = make()

    for _ in range(10):
        with pytest.raises(ConnectionError), breaker.guard():
            raise ConnectionError

    assert breaker.state is OPEN


def test_refusals_are_counted(make: Make) -> None:
    breaker = opened(make())

    breaker.allow()
    breaker.allow()

    assert breaker.stats().refused == 2
