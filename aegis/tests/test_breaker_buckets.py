"""Golden values come from Go: aegis v0.2 ``internal/window``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.circuitbreaker._buckets import Buckets

MS = 1_000_000
SECOND = 1_000 * MS


class Counter:
    """Counts as the owners of ``Buckets`` do."""

    def __init__(self, *, window: float, buckets: int) -> None:
        self.now = 0
        self.sum = 0
        self.parts = Buckets(self.now, window=window, buckets=buckets, width=1)

    def add(self, value: int) -> None:
        self.look()
        self.sum += value

    def look(self) -> int:
        if self.now >= self.parts.end:
            (self.sum,) = self.parts.roll(self.now, (self.sum,))
        return self.sum

    def layout(self) -> list[int]:
        """Return the sums of the buckets, the oldest first."""
        self.look()
        closed = [one for (one,) in self.parts.closed]
        return [*closed, self.sum - sum(closed)]


def test_buckets_slide_as_those_of_go_do() -> None:
    counter, seen = Counter(window=3, buckets=3), [[0, 0, 0]]

    for pause, values in [(0, [1]), (1, [2, 3]), (1, [4, 5, 6]), (1, [7])]:
        counter.now += pause * SECOND
        for value in values:
            counter.add(value)
        seen.append(counter.layout())

    assert seen == [[0, 0, 0], [0, 0, 1], [0, 1, 5], [1, 5, 15], [5, 15, 7]]


def test_one_two_and_three_in_successive_buckets_are_six() -> None:
    counter = Counter(window=3, buckets=3)

    for times in (1, 2, 3):
        for _ in range(times):
            counter.add(1)
        counter.now += SECOND
    counter.now -= 1

    assert counter.look() == 6


@pytest.mark.parametrize(
    ("pauses", "layouts"),
    [
        ((150, 51), [[0, 0, 1], [0, 1, 1]]),
        ((94, 250), [[0, 0, 1], [0, 0, 1]]),
        ((150, 300, 600), [[0, 0, 1], [0, 0, 1], [0, 0, 1]]),
    ],
)
def test_edges_stay_aligned_to_the_creation(
    pauses: tuple[int, ...], layouts: list[list[int]]
) -> None:
    counter, seen = Counter(window=0.3, buckets=3), list[list[int]]()

    for pause in pauses:
        counter.now += pause * MS
        counter.add(1)
        seen.append(counter.layout())

    # In Go the offsets are 1, 2 and 0, 0 and 1, 1, 1: what differs is where the ring is cut open.
    assert seen == layouts
    assert counter.parts.end % (100 * MS) == 0


@pytest.mark.parametrize(("last", "layout"), [(201, [2, 0, 4]), (501, [0, 0, 4])])
def test_buckets_that_were_skipped_are_empty(last: int, layout: list[int]) -> None:
    counter = Counter(window=0.3, buckets=3)

    for pause, value in [(0, 0), (101, 1), (101, 2), (last, 4)]:
        counter.now += pause * MS
        counter.add(value)

    assert counter.layout() == layout


def test_single_bucket_forgets_all_at_its_end() -> None:
    counter = Counter(window=1, buckets=1)

    counter.add(3)
    counter.now = SECOND - 1
    before = counter.look()
    counter.now = SECOND

    assert (before, counter.look()) == (3, 0)


def test_cleared_buckets_are_empty_and_begin_anew() -> None:
    counter = Counter(window=3, buckets=3)
    counter.add(1)
    counter.now = SECOND + 1
    counter.add(1)

    counter.parts.clear(counter.now)
    counter.sum = 0

    assert counter.layout() == [0, 0, 0]
    assert counter.parts.end == 2 * SECOND + 1


@given(
    buckets=st.integers(1, 6),
    span=st.integers(1, 7),
    steps=st.lists(st.tuples(st.integers(-20, 40), st.integers(0, 3)), max_size=40),
)
def test_sums_equal_a_recount_whatever_the_clock_does(
    buckets: int, span: int, steps: list[tuple[int, int]]
) -> None:
    counter = Counter(window=buckets * span / SECOND, buckets=buckets)
    latest, events = 0, list[tuple[int, int]]()  # (number of the bucket, value)

    for pause, value in steps:
        counter.now += pause
        latest = max(latest, counter.now)
        counter.add(value)
        events.append((latest // span, value))
        oldest = latest // span - buckets + 1
        assert counter.look() == sum(value for slot, value in events if slot >= oldest)


@pytest.mark.parametrize(
    ("window", "buckets", "message"),
    [
        (0, 10, "window must be finite and more than 0, got 0"),
        (float("nan"), 10, "window must be finite"),
        (float("inf"), 10, "window must be finite"),
        (1, 0, "buckets must be finite and at least 1, got 0"),
        (1e-9, 10, "window must have a nanosecond for each of 10 buckets"),
    ],
)
def test_window_without_room_is_refused(window: float, buckets: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Buckets(0, window=window, buckets=buckets, width=1)
