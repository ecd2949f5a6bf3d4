from __future__ import annotations

import random
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis import FixedLimit, Guard, ManualClock, Outcome, Overloaded, Priority, Shedder
from aegis.clock import NANOSECONDS

MIX = (Priority.CRITICAL, Priority.HIGH, Priority.NORMAL, Priority.LOW)


class Load:
    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def __call__(self) -> float:
        return self.value


def offer(shedder: Shedder, clock: ManualClock, *, rounds: int = 25) -> dict[Priority, float]:
    """Run windows of 40 calls, ten of each priority, that end with it; return the shares let in."""
    chance = random.Random(1)
    served: dict[Priority, int] = dict.fromkeys(MIX, 0)
    for _ in range(rounds):
        calls = [priority for priority in MIX for _ in range(10)]
        chance.shuffle(calls)
        tokens: list[int] = []
        for priority in calls:
            token = shedder.allow(priority)
            if token is not None:
                served[priority] += 1
                tokens.append(token)
        clock.advance(0.1)
        for token in tokens:
            shedder.done(token)
    return {priority: count / (10 * rounds) for priority, count in served.items()}


def make(
    limit: int | None = None, load: Load | None = None, **options: float
) -> tuple[Shedder, ManualClock]:
    clock = ManualClock()
    limiter = None if limit is None else FixedLimit(limit)
    chance = random.Random(2).random
    made = Shedder(limiter, load=load, clock=clock, random=chance, **options)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    return made, clock


def test_nothing_is_shed_while_all_have_room() -> None:
    shedder, clock = make(limit=40)

    assert set(offer(shedder, clock).values()) == {1.0}
    stats = shedder.stats()
    assert (stats.shedding, stats.cursor, stats.inflight, stats.limited) == (0.0, 128, 0, 0)


@pytest.mark.parametrize("limit", [30, 20, 12])
def test_capacity_goes_to_the_more_important_calls(limit: int) -> None:
    shedder, clock = make(limit=limit)
    offer(shedder, clock)

    shares = list(offer(shedder, clock).values())

    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.85
    assert shares[-1] < 0.2
    assert sum(shares) * 10 > 0.7 * limit  # of 40 calls that come at once


def test_shedding_ends_when_there_is_capacity_again() -> None:
    shedder, clock = make(limit=10)
    offer(shedder, clock, rounds=50)
    assert shedder.stats().shedding > 0.5
    while shedder.stats().shedding:
        low = shedder.allow(Priority.LOW)
        clock.advance(0.05)
        if low is not None:
            shedder.done(low)

    assert clock.now < 30 * NANOSECONDS
    token = shedder.allow(Priority.LOW)
    assert token is not None


def test_load_sheds_more_in_bounded_steps_and_less_in_small_ones() -> None:
    load = Load(1.0)
    shedder, clock = make(load=load)
    shares: list[float] = []
    for _ in range(5):
        offer(shedder, clock, rounds=1)
        shares.append(shedder.stats().shedding)
    load.value = 0.5
    for _ in range(3):
        offer(shedder, clock, rounds=1)
        shares.append(shedder.stats().shedding)

    assert shares == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.39, 0.38, 0.37])


def test_nothing_is_shed_after_an_idle_time() -> None:
    load = Load(1.0)
    shedder, clock = make(limit=10, load=load)
    offer(shedder, clock, rounds=50)
    assert shedder.stats().shedding > 0.5
    load.value = 0.0

    clock.advance(60)

    assert shedder.allow(Priority.LOW) is not None
    assert (shedder.stats().shedding, shedder.stats().cursor) == (0.0, 128)


def test_nobody_is_shed_for_what_rounding_leaves_of_the_share() -> None:
    load = Load(1.0)
    shedder, clock = make(load=load)
    offer(shedder, clock, rounds=2)
    load.value = 0.0

    shares = [offer(shedder, clock, rounds=1) for _ in range(15)]  # 0.1 less ten times 0.01

    assert all(share[Priority.HIGH] == 1.0 for share in shares)
    assert shares[-1][Priority.LOW] == 1.0


def test_first_call_is_let_in_though_nothing_is_known_of_priorities_yet() -> None:
    shedder, clock = make(load=Load(0.9))
    clock.advance(1000)

    assert shedder.allow() is not None


def test_load_just_at_the_threshold_changes_little() -> None:
    shedder, clock = make(load=Load(0.81))

    offer(shedder, clock, rounds=11)

    assert 0 < shedder.stats().shedding <= 0.1


def test_most_important_calls_are_let_in_whatever_the_load() -> None:
    shedder, clock = make(load=Load(2.0))
    offer(shedder, clock, rounds=30)

    shares = offer(shedder, clock)

    assert list(shares.values()) == [1.0, 0.0, 0.0, 0.0]
    assert shedder.stats().cursor == 1


def test_part_of_the_priority_at_the_cursor_is_let_in_by_chance() -> None:
    load = Load(1.0)
    shedder, clock = make(load=load, rise=0.35)
    offer(shedder, clock, rounds=2)
    load.value = 0.8  # at the threshold: neither more nor less
    offer(shedder, clock, rounds=2)

    shares = offer(shedder, clock, rounds=1)

    assert shares[Priority.LOW] == 0.0
    assert 0 < shares[Priority.NORMAL] < 1
    assert shares[Priority.HIGH] == 1.0


def test_counts_are_kept_by_priority() -> None:
    shedder, clock = make(limit=2)
    assert isinstance(shedder, Guard)
    tokens = [shedder.allow(5), shedder.allow(5), shedder.allow(7), shedder.allow()]
    assert clock.now

    stats = shedder.stats()

    assert [token is None for token in tokens] == [False, False, True, True]
    assert (stats.admitted[5], stats.refused[7], stats.refused[Priority.NORMAL]) == (2, 1, 1)
    assert (stats.inflight, stats.limited) == (2, 2)


def test_outcome_reaches_the_limiter() -> None:
    limiter = FixedLimit(5)
    shedder = Shedder(limiter)
    token = shedder.allow()
    assert token is not None

    shedder.done(token, Outcome.OVERLOAD)

    assert limiter.stats().dropped == 1


def test_block_is_admitted_with_its_priority() -> None:
    shedder = Shedder(FixedLimit(1))

    with (
        shedder.guard(priority=3),
        pytest.raises(Overloaded, match="no capacity"),
        shedder.guard(priority=4),
    ):
        pytest.fail("a second was let in")

    stats = shedder.stats()
    assert (stats.admitted[3], stats.refused[4], stats.inflight) == (1, 1, 0)


@pytest.mark.parametrize("priority", [-1, 128])
def test_unknown_priority_is_refused(priority: int) -> None:
    with pytest.raises(ValueError, match=f"between 0 and 127, got {priority}"):
        Shedder(FixedLimit(1)).allow(priority)


@given(
    limit=st.integers(1, 5),
    steps=st.lists(
        st.tuples(st.integers(0, 7), st.floats(0, 0.2), st.booleans(), st.floats(0, 2)),
        max_size=200,
    ),
)
def test_calls_in_flight_are_those_let_in_and_not_ended(
    limit: int, steps: list[tuple[int, float, bool, float]]
) -> None:
    clock, load = ManualClock(), Load()
    limiter = FixedLimit(limit)
    shedder = Shedder(limiter, load=load, levels=8, clock=clock, random=lambda: 0.5)
    running: list[int] = []
    for priority, pause, enter, reading in steps:
        clock.advance(pause)
        load.value = reading
        if enter:
            token = shedder.allow(priority)
            if token is not None:
                running.append(token)
            elif priority == 0:
                assert len(running) == limit
        elif running:
            shedder.done(running.pop(0))
        stats = shedder.stats()
        assert stats.inflight == limiter.stats().inflight == len(running)
        assert 0 <= stats.shedding <= 1
        assert 1 <= stats.cursor <= 8


def test_threads_keep_the_count() -> None:
    shedder = Shedder(FixedLimit(2), threadsafe=True)

    def work() -> None:
        for number in range(2000):
            token = shedder.allow(number % 128)
            if token is not None:
                shedder.done(token)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    stats = shedder.stats()
    assert stats.inflight == 0
    assert sum(stats.admitted) + sum(stats.refused) == 8000


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: Shedder(), "a limiter or a load signal"),
        (lambda: Shedder(FixedLimit(1), threshold=1), "threshold"),
        (lambda: Shedder(FixedLimit(1), levels=1), "levels"),
        (lambda: Shedder(FixedLimit(1), window=0), "window"),
        (lambda: Shedder(FixedLimit(1), rise=0), "rise"),
        (lambda: Shedder(FixedLimit(1), fall=2), "fall"),
        (lambda: Shedder(FixedLimit(1), reserve=-1), "reserve"),
    ],
)
def test_option_out_of_range_is_named(make: Callable[[], object], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        make()
