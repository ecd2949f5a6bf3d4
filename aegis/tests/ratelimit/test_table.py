from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis import ManualClock
from aegis.ratelimit import KeyedFixedWindow, KeyedGcra, KeyedSlidingWindow
from aegis.ratelimit._table import Table


@given(
    capacity=st.integers(1, 30),
    when_full=st.sampled_from(["evict", "refuse"]),
    steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60), st.integers(1, 40))),
)
def test_table_forgets_nothing_but_idle_keys_until_it_says_so(
    capacity: int, when_full: str, steps: list[tuple[int, int, int]]
) -> None:
    table = Table(capacity=capacity, when_full=when_full)  # type: ignore[arg-type]
    expected: dict[int, int] = {}
    now = 0
    for passed, key, ahead in steps:
        now += passed
        value = now + ahead
        if key in table.young or table.recall(key) is not None:
            table.young[key] = value
        elif not table.add(key, value, now):
            assert when_full == "refuse"
            continue
        expected[key] = value
        assert len(table) <= capacity
    busy = {key: value for key, value in expected.items() if value > now}
    lost = [key for key, value in busy.items() if table.get(key) != value]
    assert len(lost) <= table.evicted
    assert when_full == "evict" or not lost


def test_idle_keys_go_before_busy_ones() -> None:
    clock = ManualClock()
    limiter = KeyedGcra(rate=1, burst=1, clock=clock, capacity=5000)
    for number in range(4000):
        limiter.allow(f"idle-{number}")
    clock.advance(1)
    busy = [f"busy-{number}" for number in range(1000)]
    for key in busy:
        limiter.allow(key)

    for number in range(3000):
        assert limiter.allow(f"new-{number}")

    assert limiter.stats().evicted == 0
    assert not any(limiter.allow(key) for key in busy)


def test_full_table_of_busy_keys_forgets_one_that_was_not_used_of_late() -> None:
    clock = ManualClock()
    limiter = KeyedGcra(rate=1, burst=10, clock=clock, capacity=100)
    for number in range(100):
        limiter.allow(number)

    for number in range(100, 120):
        assert limiter.allow(number)

    stats = limiter.stats()
    assert (stats.keys, stats.evicted, stats.turned_away) == (100, 20, 0)


def test_full_table_refuses_new_keys_if_it_is_told_so() -> None:
    clock = ManualClock()
    limiter = KeyedGcra(rate=1, burst=10, clock=clock, capacity=100, when_full="refuse")
    for number in range(100):
        limiter.allow(number)

    assert not limiter.allow("new")
    assert limiter.allow(50)

    stats = limiter.stats()
    assert (stats.keys, stats.evicted, stats.turned_away, stats.refused) == (100, 0, 1, 1)


def test_key_that_was_turned_away_is_told_to_come_later() -> None:
    clock = ManualClock()
    limiter = KeyedGcra(rate=4, burst=10, clock=clock, capacity=1, when_full="refuse")
    limiter.allow("old")

    assert limiter.take("new").retry_after == 0.25
    clock.advance(0.25)
    assert limiter.take("new").allowed


@pytest.mark.parametrize("limiter", [KeyedSlidingWindow, KeyedFixedWindow])
def test_keys_of_past_windows_are_idle(
    limiter: type[KeyedSlidingWindow | KeyedFixedWindow],
) -> None:
    clock = ManualClock()
    windows = limiter(limit=2, window=1.0, clock=clock, capacity=50, when_full="refuse")
    for number in range(50):
        assert windows.allow(number)

    clock.advance(2)

    assert all(windows.allow(f"new-{number}") for number in range(50))
    assert windows.stats().turned_away == 0


def test_table_holds_a_few_times_the_busy_keys_though_it_may_hold_more() -> None:
    clock = ManualClock()
    limiter = KeyedGcra(rate=1000, burst=1, clock=clock)
    most = 0
    for number in range(100_000):
        clock.advance(1e-7)  # so a key is busy while the next 10,000 come
        limiter.allow(number)
        most = max(most, limiter.stats().keys)

    assert most <= 5 * 10_000


def test_work_for_one_new_key_is_bounded_over_time() -> None:
    looked_at = 0

    class Counted(dict[int, int]):
        def popitem(self) -> tuple[int, int]:
            nonlocal looked_at
            looked_at += 1
            return super().popitem()

    class Watched(Table):
        def _age(self) -> None:
            self.old, self.young = self.young, Counted()  # type: ignore[assignment]

    table = Watched(capacity=2000, when_full="evict")
    for number in range(50_000):
        table.add(number, 10**9, 0)  # busy, all of them

    assert table.evicted == 48_000
    assert looked_at <= 2000 + (4 + 1) * 50_000


@pytest.mark.parametrize("capacity", [0, -1])
def test_capacity_of_nothing_is_an_error(capacity: int) -> None:
    with pytest.raises(ValueError, match="capacity must be finite and at least 1"):
        KeyedGcra(rate=1, burst=1, capacity=capacity)


def test_unknown_word_for_the_full_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="when_full must be evict or refuse, got 'drop'"):
        KeyedGcra(rate=1, burst=1, when_full="drop")  # type: ignore[arg-type]
