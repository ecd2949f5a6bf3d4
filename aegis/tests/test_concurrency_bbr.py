"""Golden values come from Go: aegis v0.2 ``ratelimit/bbr`` and ``internal/cpu``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis import Bbr, Guard, ManualClock, Outcome, Overloaded
from aegis.concurrency._buckets import LongMinimum

BUCKET = 0.1


class Load:
    """A load signal that says what it is set to."""

    def __init__(self, value: float = 0.8) -> None:
        self.value = value

    def __call__(self) -> float:
        return self.value


def go_bbr(clock: ManualClock, load: Load | None = None, *, threshold: float = 0.8) -> Bbr:
    """The limiter of Go's tests: a second in ten buckets."""
    return Bbr(
        window=1.0,
        buckets=10,
        threshold=threshold,
        load=load or Load(),
        exact=True,
        clock=clock,
    )


def run(
    limiter: Bbr,
    clock: ManualClock,
    calls: int,
    *,
    milliseconds: float = 0,
    outcome: Outcome = Outcome.SUCCESS,
) -> None:
    """End ``calls`` calls now that took so long."""
    began = clock.now - round(milliseconds * 1_000_000)
    for _ in range(calls):
        assert limiter.allow() is not None
        limiter.done(began, outcome)


@pytest.mark.parametrize("exact", [True, False])
def test_calls_that_seem_to_end_before_they_began_are_not_timed(*, exact: bool) -> None:
    clock = ManualClock()
    limiter = Bbr(load=Load(0.0), exact=exact, clock=clock)
    for milliseconds in (10, -500):
        run(limiter, clock, 200, milliseconds=milliseconds)
        clock.advance(BUCKET)

    assert limiter.stats().min_rt == pytest.approx(0.010)


def filled(passes: Callable[[int], int], load: Load | None = None) -> tuple[Bbr, ManualClock]:
    """Nine buckets in which calls took 10i+1 to 10i+10 ms, and a tenth in use."""
    clock = ManualClock()
    limiter = go_bbr(clock, load)
    for bucket in range(10):
        for number in range(10):
            run(limiter, clock, 1, milliseconds=10 * bucket + number + 1)
        run(limiter, clock, passes(bucket) - 10)
        if bucket < 9:
            clock.advance(BUCKET)
    return limiter, clock


def test_max_pass_is_the_fullest_finished_bucket() -> None:
    clock = ManualClock()
    limiter = go_bbr(clock)
    assert limiter.stats().max_pass == 1

    for bucket in range(10):
        run(limiter, clock, 100 * (bucket + 1))
        clock.advance(BUCKET)

    assert limiter.stats().max_pass == 1000


def test_max_pass_is_read_once_a_bucket() -> None:
    clock = ManualClock()
    limiter = go_bbr(clock)
    seen: list[int] = []

    for calls, pause in [(50, 0.05), (50, 0.05), (1, 0.1)]:
        for _ in range(calls):
            limiter.done(clock.now)  # without allow, which would read the estimates
        clock.advance(pause)
        seen.append(limiter.stats().max_pass)

    assert seen == [1, 1, 100]


def test_min_rt_is_the_least_mean_of_a_bucket_in_whole_milliseconds() -> None:
    limiter, _ = filled(lambda _: 10)

    assert limiter.stats().min_rt == 0.006  # the first has a mean of 5.5


def test_min_rt_of_nothing_is_a_millisecond() -> None:
    assert go_bbr(ManualClock()).stats().min_rt == 0.001


def test_latencies_are_rounded_up_to_milliseconds_and_those_of_nothing_left_out() -> None:
    clock = ManualClock()
    limiter = go_bbr(clock)
    run(limiter, clock, 5, milliseconds=0)
    run(limiter, clock, 1, milliseconds=1.0001)
    clock.advance(BUCKET)

    stats = limiter.stats()

    assert (stats.max_pass, stats.min_rt) == (6, 0.002)


def test_limit_is_passes_times_latency_without_the_bucket_in_use() -> None:
    limiter, _ = filled(lambda bucket: (bucket + 2) * 100)

    assert limiter.stats().limit == 60  # 1000 calls x 6 ms x 10 buckets a second


def test_calls_are_refused_above_the_limit_while_load_is_high_and_a_second_longer() -> None:
    load = Load(0.8)
    limiter, clock = filled(lambda bucket: (bucket + 1) * 100, load)
    assert limiter.stats().limit == 54

    def refused_above() -> int | None:
        """Return how many are in flight when a call is refused, if one is."""
        while limiter.stats().inflight < 100:
            if limiter.allow() is None:
                return limiter.stats().inflight
        return None

    assert refused_above() == 55
    load.value = 0.7
    assert refused_above() == 55
    clock.advance(2)
    assert refused_above() is None


def test_cool_down_ends_a_second_after_the_first_refusal() -> None:
    load, clock = Load(0.9), ManualClock()
    limiter = go_bbr(clock, load)
    for _ in range(2):
        limiter.allow()
    assert limiter.allow() is None
    clock.advance(0.7)
    assert limiter.allow() is None
    load.value = 0.1

    clock.advance(0.3)
    assert limiter.allow() is None
    clock.advance(0.000_000_001)
    assert limiter.allow() is not None


def test_cool_down_may_be_counted_from_the_last_refusal() -> None:
    load, clock = Load(0.9), ManualClock()
    limiter = Bbr(load=load, clock=clock, cooldown_from_last=True)
    for _ in range(2):
        limiter.allow()
    assert limiter.allow() is None
    clock.advance(0.9)
    assert limiter.allow() is None
    load.value = 0.1

    clock.advance(0.9)
    assert limiter.allow() is None
    clock.advance(1.1)
    assert limiter.allow() is not None


def test_window_without_calls_counts_as_one_call() -> None:
    clock = ManualClock()
    limiter = go_bbr(clock)
    run(limiter, clock, 500, milliseconds=10)

    clock.advance(5)

    stats = limiter.stats()
    assert (stats.max_pass, stats.min_rt, stats.limit) == (1, 0.001, 0)


def test_buckets_longer_than_a_second_keep_their_fraction() -> None:
    clock = ManualClock()
    limiter = Bbr(window=20, buckets=10, load=Load(), exact=True, clock=clock)
    run(limiter, clock, 1000, milliseconds=10)

    clock.advance(2)

    assert limiter.stats().limit == 5  # 500 a second x 10 ms


def test_two_calls_are_let_in_whatever_the_limit() -> None:
    clock = ManualClock()
    limiter = go_bbr(clock, Load(1.0), threshold=0)

    tokens = [limiter.allow() for _ in range(3)]

    assert [token is None for token in tokens] == [False, False, True]
    assert limiter.stats().limit == 0
    for token in tokens[:2]:
        assert token is not None
        limiter.done(token)
    clock.advance(BUCKET)
    stats = limiter.stats()
    assert (stats.inflight, stats.max_pass, stats.admitted, stats.refused) == (0, 2, 2, 1)


def test_nothing_is_refused_while_load_is_low() -> None:
    limiter = Bbr(load=Load(0.79), clock=ManualClock())

    assert None not in [limiter.allow() for _ in range(1000)]
    assert limiter.stats().gate is None


def test_refusal_tells_load_and_calls() -> None:
    limiter = Bbr(load=Load(0.93), clock=ManualClock())
    assert isinstance(limiter, Guard)

    with limiter.guard(), limiter.guard(), pytest.raises(Overloaded) as caught, limiter.guard():
        pytest.fail("a third was let in")

    assert str(caught.value) == "load is 0.93 and 2 calls are in flight"
    assert limiter.stats().inflight == 0


@pytest.mark.parametrize("outcome", [Outcome.FAILURE, Outcome.OVERLOAD, Outcome.IGNORED])
def test_calls_that_did_not_succeed_change_no_estimate(outcome: Outcome) -> None:
    clock = ManualClock()
    limiter = Bbr(load=Load(), clock=clock)

    run(limiter, clock, 500, milliseconds=30, outcome=outcome)
    clock.advance(BUCKET)

    stats = limiter.stats()
    assert (stats.inflight, stats.max_pass, stats.min_rt) == (0, 1, 0.001)


@pytest.mark.parametrize(
    ("outcome", "counted"),
    [(Outcome.FAILURE, 500), (Outcome.OVERLOAD, 500), (Outcome.IGNORED, 1)],
)
def test_exact_limiter_counts_whatever_ends_but_cancelled_calls(
    outcome: Outcome, counted: int
) -> None:
    clock = ManualClock()
    limiter = go_bbr(clock)

    run(limiter, clock, 500, outcome=outcome)
    clock.advance(BUCKET)

    assert limiter.stats().max_pass == counted


def test_least_latency_is_remembered_past_the_window_until_the_horizon() -> None:
    clock = ManualClock()
    limiter = Bbr(load=Load(), clock=clock)
    run(limiter, clock, 100, milliseconds=5)
    seen: dict[int, float] = {}

    for second in range(1, 76):
        for _ in range(10):
            clock.advance(BUCKET)
            run(limiter, clock, 20, milliseconds=50)
        seen[second] = limiter.stats().min_rt

    assert (seen[10], seen[45]) == (0.005, 0.005)
    assert seen[75] == pytest.approx(0.050)


def test_least_latency_is_forgotten_after_an_idle_horizon() -> None:
    clock = ManualClock()
    limiter = Bbr(load=Load(), clock=clock)
    run(limiter, clock, 100, milliseconds=5)
    clock.advance(BUCKET)
    assert limiter.stats().min_rt == 0.005

    clock.advance(75)
    run(limiter, clock, 1, milliseconds=40)
    clock.advance(BUCKET)

    assert limiter.stats().min_rt == 0.040  # of one call, as there is nothing better


@given(steps=st.lists(st.tuples(st.floats(0, 9), st.integers(0, 30)), min_size=1, max_size=40))
def test_long_minimum_keeps_what_is_younger_than_all_but_a_slice(
    steps: list[tuple[float, int]],
) -> None:
    minimum, now = LongMinimum(4, 5), 0
    seen: list[tuple[int, float]] = []
    for value, skipped in steps:
        seen.append((now, value))
        now += 1 + skipped
        least = minimum.add(value, skipped)

        young = [value for at, value in seen if now - at <= 15]
        old = [value for at, value in seen if now - at <= 20]
        assert least <= min(young, default=inf)
        assert least >= min(old, default=inf)


def test_lasting_overload_dips_the_limit_until_a_latency_has_been_measured() -> None:
    clock, load = ManualClock(), Load(0.0)
    limiter = Bbr(load=load, clock=clock)
    gates: list[int] = []
    for number in range(600):
        load.value = 0.0 if number < 100 else 1.0
        tokens = [limiter.allow() for _ in range(60 if number < 100 else 500)]
        if load.value:
            gates.append(limiter.stats().gate or 0)
        clock.advance(BUCKET)
        for token in tokens:
            if token is not None:
                limiter.done(token)

    dips = [number for number in range(1, 500) if gates[number] < gates[number - 1] // 2]
    low = [gate for gate in gates[dips[0] :] if gate < gates[0]]
    assert 290 <= dips[0] <= 310  # after half of the horizon
    assert len(low) == 1  # in lock-step calls drain and are measured within a bucket
    assert min(gates[-50:]) > gates[0]


@pytest.mark.parametrize("exact", [False, True])
@given(
    steps=st.lists(
        st.tuples(
            st.booleans(),
            st.floats(0, 0.3),
            st.sampled_from(list(Outcome)),
            st.sampled_from([0.0, 1.0]),
        ),
        max_size=300,
    )
)
def test_calls_in_flight_are_those_let_in_and_not_ended(
    exact: bool, steps: list[tuple[bool, float, Outcome, float]]
) -> None:
    clock, load = ManualClock(), Load()
    limiter = Bbr(load=load, clock=clock, exact=exact)
    running: list[int] = []
    for enter, pause, outcome, reading in steps:
        clock.advance(pause)
        load.value = reading
        if enter:
            token = limiter.allow()
            assert token is not None or len(running) > 1
            if token is not None:
                running.append(token)
        elif running:
            limiter.done(running.pop(0), outcome)
        stats = limiter.stats()
        assert stats.inflight == len(running)
        assert stats.limit >= 0


def test_threads_keep_the_count() -> None:
    limiter = Bbr(load=Load(1.0), threadsafe=True)

    def work() -> None:
        for _ in range(2000):
            token = limiter.allow()
            if token is not None:
                limiter.done(token)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    stats = limiter.stats()
    assert stats.inflight == 0
    assert stats.admitted + stats.refused == 8000


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: Bbr(window=0), "window"),
        (lambda: Bbr(buckets=1), "buckets"),
        (lambda: Bbr(threshold=1.5), "threshold"),
        (lambda: Bbr(threshold=800), "threshold must lie between 0 and 1, got 800"),
        (lambda: Bbr(cooldown=-1), "cooldown"),
        (lambda: Bbr(horizon=5), "horizon"),
    ],
)
def test_option_out_of_range_is_named(make: Callable[[], object], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        make()
