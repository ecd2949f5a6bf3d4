from __future__ import annotations

import threading
from collections.abc import Callable
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis import Guard, ManualClock, Outcome, Overloaded
from aegis.concurrency import AdaptiveLimit, Aimd, FixedLimit, Gradient2, Vegas

WINDOW = 100.0  # seconds: longer than any call of these tests
Make = Callable[[ManualClock], AdaptiveLimit]

ADAPTIVE: dict[str, Make] = {
    "gradient2": lambda clock: Gradient2(
        clock=clock, window=WINDOW, max_limit=50, random=lambda: 0.5
    ),
    "vegas": lambda clock: Vegas(clock=clock, window=WINDOW, max_limit=50, random=lambda: 0.5),
    "aimd": lambda clock: Aimd(clock=clock, window=WINDOW, max_limit=50, timeout=0.1),
}
adaptive = pytest.mark.parametrize("make", ADAPTIVE.values(), ids=ADAPTIVE.keys())


def window(
    limiter: AdaptiveLimit,
    clock: ManualClock,
    latency: float,
    *,
    calls: int = 20,
    last: Outcome = Outcome.SUCCESS,
) -> int:
    """Run ``calls`` calls at a time and one that ends the window; return the limit after it."""
    tokens = [token for _ in range(calls) if (token := limiter.allow()) is not None]
    clock.advance(latency)
    for token in tokens:
        limiter.done(token)
    clock.advance(WINDOW)
    token = limiter.allow()
    assert token is not None
    clock.advance(latency)
    limiter.done(token, last)
    return limiter.stats().limit


@adaptive
def test_limiter_is_a_guard_and_refuses_above_its_limit(make: Make) -> None:
    limiter = make(ManualClock())
    assert isinstance(limiter, Guard)

    tokens = [limiter.allow() for _ in range(21)]

    assert tokens.index(None) == 20
    assert isinstance(limiter.refusal(), Overloaded)
    assert "20 calls" in str(limiter.refusal())
    stats = limiter.stats()
    assert (stats.limit, stats.inflight, stats.admitted, stats.refused) == (20, 20, 20, 1)


@adaptive
def test_limit_grows_while_calls_do_not_get_slower(make: Make) -> None:
    clock = ManualClock()
    limiter = make(clock)

    limits = [window(limiter, clock, 0.010) for _ in range(6)]

    assert limits[-1] > 20
    assert limits == sorted(limits)


@adaptive
def test_call_that_seems_to_end_before_it_began_says_nothing(make: Make) -> None:
    clock, steady = ManualClock(), ManualClock()
    limiter, other = make(clock), make(steady)
    tokens = [limiter.allow() for _ in range(10)]
    clock.advance(-1)
    for token in tokens:
        assert token is not None
        limiter.done(token)
    clock.advance(1)

    limits = [window(limiter, clock, 0.010) for _ in range(20)]

    assert limits == [window(other, steady, 0.010) for _ in range(20)]
    assert limiter.stats().inflight == 0


@adaptive
def test_limit_does_not_grow_while_less_than_half_of_it_is_used(make: Make) -> None:
    clock = ManualClock()
    limiter = make(clock)

    for _ in range(20):
        window(limiter, clock, 0.010, calls=9, last=Outcome.SUCCESS)
        window(limiter, clock, 0.010, calls=9)

    assert limiter.stats().limit == 20


@adaptive
def test_limit_shrinks_when_calls_get_much_slower(make: Make) -> None:
    clock = ManualClock()
    limiter = make(clock)
    for _ in range(20):
        window(limiter, clock, 0.010)
    before = limiter.stats().limit

    for _ in range(5):
        window(limiter, clock, 0.500, calls=limiter.stats().limit)

    assert limiter.stats().limit < before
    assert limiter.stats().latency == pytest.approx(0.5)


@adaptive
def test_drop_shrinks_the_limit_though_calls_are_quick(make: Make) -> None:
    clock = ManualClock()
    limiter = make(clock)
    window(limiter, clock, 0.010)
    window(limiter, clock, 0.010)
    before = limiter.stats().limit

    after = window(limiter, clock, 0.010, last=Outcome.OVERLOAD)

    assert after < before
    assert limiter.stats().dropped == 1


@adaptive
def test_drop_needs_no_samples_to_count(make: Make) -> None:
    clock = ManualClock()
    limiter = make(clock)

    assert window(limiter, clock, 0.010, calls=1, last=Outcome.OVERLOAD) < 20


@adaptive
@pytest.mark.parametrize("outcome", [Outcome.FAILURE, Outcome.IGNORED])
def test_failures_and_cancelled_calls_change_no_estimate_and_free_their_slots(
    make: Make, outcome: Outcome
) -> None:
    clock = ManualClock()
    limiter = make(clock)

    for _ in range(100):
        for token in [limiter.allow() for _ in range(20)]:
            assert token is not None
            limiter.done(token, outcome)
        clock.advance(1)

    stats = limiter.stats()
    assert (stats.limit, stats.inflight, stats.admitted) == (20, 0, 2000)
    assert (stats.latency, stats.base_latency) == (0.0, 0.0)


@adaptive
def test_window_without_enough_samples_goes_on(make: Make) -> None:
    clock = ManualClock()
    limiter = make(clock)

    for _ in range(4):
        window(limiter, clock, 0.010, calls=1)
    assert limiter.stats().latency == 0.0

    window(limiter, clock, 0.010, calls=1)
    assert limiter.stats().latency == pytest.approx(0.010)


@adaptive
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["allow", "done"]),
            st.floats(0, 0.3),
            st.sampled_from(list(Outcome)),
        ),
        max_size=400,
    )
)
def test_calls_in_flight_are_those_let_in_and_not_ended(
    make: Make, steps: list[tuple[str, float, Outcome]]
) -> None:
    clock = ManualClock()
    limiter = make(clock)
    running: list[int] = []
    for step, pause, outcome in steps:
        clock.advance(pause)
        if step == "allow":
            limit = limiter.stats().limit
            token = limiter.allow()
            assert (token is None) == (len(running) >= limit)
            if token is not None:
                running.append(token)
        elif running:
            limiter.done(running.pop(0), outcome)
        stats = limiter.stats()
        assert stats.inflight == len(running)
        assert 1 <= stats.limit <= 50


@adaptive
@given(latencies=st.lists(st.floats(1e-6, 10), min_size=1, max_size=60))
def test_call_that_would_be_the_only_one_is_never_refused(
    make: Make, latencies: list[float]
) -> None:
    clock = ManualClock()
    limiter = make(clock)
    for latency in latencies:
        window(limiter, clock, latency, last=Outcome.OVERLOAD)

    token = limiter.allow()

    assert token is not None


def test_gradient2_moves_a_fifth_of_the_way_to_the_target() -> None:
    clock = ManualClock()
    limiter = Gradient2(clock=clock, window=WINDOW, random=lambda: 0.5, probe=0)

    window(limiter, clock, 0.010)  # base = latency: target is 20 + sqrt(20)
    assert limiter.stats().estimate == pytest.approx(20 + 0.2 * sqrt(20))

    before = limiter.stats().estimate
    window(limiter, clock, 0.030)  # base is the mean so far, 0.020
    target = before * 2 / 3 + sqrt(before)
    assert limiter.stats().estimate == pytest.approx(0.8 * before + 0.2 * target)


def test_gradient2_forgets_a_base_that_is_over_twice_the_latency() -> None:
    clock = ManualClock()
    limiter = Gradient2(clock=clock, window=WINDOW, random=lambda: 0.5)
    for _ in range(20):
        window(limiter, clock, 1.0)

    for _ in range(10):
        window(limiter, clock, 0.010)

    assert limiter.stats().base_latency < 0.5


def test_gradient2_holds_its_base_under_a_lasting_overload() -> None:
    clock = ManualClock()
    limiter = Gradient2(clock=clock, window=WINDOW, random=lambda: 0.5, probe=10_000)
    for _ in range(20):
        window(limiter, clock, 0.010)

    for _ in range(500):
        window(limiter, clock, 0.030, calls=limiter.stats().limit)

    assert limiter.stats().base_latency == pytest.approx(0.010)


def test_gradient2_dips_to_half_for_two_windows_to_measure_its_base_anew() -> None:
    clock = ManualClock()
    limiter = Gradient2(clock=clock, window=WINDOW, window_samples=1, random=lambda: 0.5, probe=5)
    for _ in range(10):
        window(limiter, clock, 0.010, calls=10)  # half of the limit: not held back
    limiter_before = limiter.stats().estimate
    for _ in range(4):
        window(limiter, clock, 0.040, calls=limiter.stats().limit)
    held = limiter.stats().estimate
    assert held != limiter_before

    dip = window(limiter, clock, 0.040, calls=limiter.stats().limit)
    assert dip == int(held / 2)
    assert window(limiter, clock, 0.040, calls=dip) == dip  # the queue drains
    assert limiter.stats().base_latency == pytest.approx(0.010)
    assert window(limiter, clock, 0.020, calls=dip) == int(held)
    assert limiter.stats().base_latency == pytest.approx(0.015)


@pytest.mark.parametrize(
    ("latency", "change"),
    [(0.0101, 6), (0.0115, 1), (0.0120, 0), (0.0200, -1)],
    ids=["no queue", "short queue", "queue as wanted", "long queue"],
)
def test_vegas_steps_by_the_length_of_the_queue(latency: float, change: int) -> None:
    clock = ManualClock()
    limiter = Vegas(clock=clock, window=WINDOW, random=lambda: 0.5)
    step = 1.3010299956639813  # log10 of 20
    window(limiter, clock, 0.010)

    window(limiter, clock, latency)

    assert limiter.stats().estimate == pytest.approx(20 + change * step)


def test_vegas_believes_in_a_slower_back_end_after_a_probe() -> None:
    clock = ManualClock()
    limiter = Vegas(clock=clock, window=WINDOW, limit=2, max_limit=2, random=lambda: 0.0, probe=5)
    for _ in range(5):
        window(limiter, clock, 0.010, calls=2)
        window(limiter, clock, 0.010, calls=2)
    for _ in range(60):
        window(limiter, clock, 0.040, calls=1)

    assert limiter.stats().base_latency == pytest.approx(0.040)


def test_aimd_adds_one_and_takes_a_tenth() -> None:
    clock = ManualClock()
    limiter = Aimd(clock=clock, window=WINDOW, limit=100, timeout=0.1)

    assert window(limiter, clock, 0.010, calls=50) == 101
    assert window(limiter, clock, 0.200) == 90
    assert window(limiter, clock, 0.010, last=Outcome.OVERLOAD) == 81


def test_aimd_takes_one_at_least() -> None:
    clock = ManualClock()
    limiter = Aimd(clock=clock, window=WINDOW, limit=5)

    assert window(limiter, clock, 0.010, calls=5, last=Outcome.OVERLOAD) == 4


def test_fixed_limit_stays_and_counts() -> None:
    limiter = FixedLimit(2)
    tokens = [limiter.allow() for _ in range(3)]

    limiter.done(0, Outcome.OVERLOAD)
    limiter.done(0, Outcome.IGNORED)

    assert tokens == [0, 0, None]
    stats = limiter.stats()
    assert (stats.limit, stats.inflight, stats.admitted) == (2, 0, 2)
    assert (stats.refused, stats.dropped) == (1, 1)
    with limiter.guard(), limiter.guard(), pytest.raises(Overloaded), limiter.guard():
        pytest.fail("a third was let in")


@pytest.mark.parametrize("make", [FixedLimit, Gradient2])
def test_threads_keep_the_count(make: type[FixedLimit | Gradient2]) -> None:
    limiter = FixedLimit(3, threadsafe=True) if make is FixedLimit else Gradient2(threadsafe=True)
    over = threading.Event()

    def work() -> None:
        for _ in range(2000):
            token = limiter.allow()
            if token is not None:
                if limiter.stats().inflight < 1:
                    over.set()
                limiter.done(token)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    stats = limiter.stats()
    assert stats.inflight == 0
    assert stats.admitted + stats.refused == 8000
    assert not over.is_set()


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: FixedLimit(0), "limit must be"),
        (lambda: Gradient2(min_limit=0), "min_limit"),
        (lambda: Gradient2(limit=5, min_limit=6), "limit must lie between 6 and 1000, got 5"),
        (lambda: Gradient2(max_limit=0), "max_limit"),
        (lambda: Gradient2(window=0), "window"),
        (lambda: Gradient2(window_samples=0), "window_samples"),
        (lambda: Gradient2(smoothing=0), "smoothing"),
        (lambda: Gradient2(smoothing=1.5), "smoothing"),
        (lambda: Gradient2(queue_size=0), "queue_size"),
        (lambda: Gradient2(long_window=0), "long_window"),
        (lambda: Gradient2(probe=-1), "probe"),
        (lambda: Vegas(probe=0), "probe"),
        (lambda: Aimd(timeout=0), "timeout"),
        (lambda: Aimd(backoff=0.2), "backoff"),
    ],
)
def test_option_out_of_range_is_named(make: Callable[[], object], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        make()
