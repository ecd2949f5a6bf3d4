"""The first cases come from Go: Kratos v3 ``internal/group``, aegis v0.2 ``circuitbreaker``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis import Group, ManualClock, SreBreaker


def numbers(*, capacity: int = 1024, threadsafe: bool = False) -> Group[int]:
    made = count(1)
    return Group(lambda: next(made), capacity=capacity, threadsafe=threadsafe)


def test_factory_is_called_once_for_each_key() -> None:
    group = numbers()

    assert [group.get(key) for key in ("a", "b", "a")] == [1, 2, 1]
    assert len(group) == 2


def test_breaker_of_one_key_does_not_refuse_another() -> None:
    group = Group(lambda: SreBreaker(clock=ManualClock(), random=lambda: 0.0))

    for _ in range(100):
        group.get("succ").mark_success()
    for _ in range(10_000):
        group.get("fail").mark_failed()

    assert group.get("succ").allow() is not None
    assert group.get("fail").allow() is None


def test_least_recently_asked_for_goes_when_there_is_no_room() -> None:
    group = numbers(capacity=2)

    for key in ("a", "b", "a", "c"):
        group.get(key)

    assert group.items() == [("a", 1), ("c", 3)]
    assert "b" not in group
    assert group.get("b") == 4


def test_cleared_group_makes_things_anew() -> None:
    group = numbers()
    group.get("a")

    group.clear()

    assert (len(group), group.get("a")) == (0, 2)


def test_reset_group_uses_the_other_factory() -> None:
    group = numbers()
    group.get("a")

    group.reset(lambda: -1)

    assert (len(group), group.get("a")) == (0, -1)


def test_key_whose_factory_failed_stays_absent() -> None:
    def fail() -> int:
        raise ConnectionError("down")

    group = Group(fail)

    with pytest.raises(ConnectionError):
        group.get("a")
    assert "a" not in group


def test_failing_factory_drives_nothing_out() -> None:
    made = iter([1])  # the second time there is nothing left
    group = Group(lambda: next(made), capacity=1)
    group.get("a")

    with pytest.raises(StopIteration):
        group.get("b")

    assert group.items() == [("a", 1)]


def test_group_may_be_used_while_it_is_iterated_over() -> None:
    group = numbers()
    for key in ("a", "b"):
        group.get(key)

    for _ in group:
        group.get("c")

    assert list(group) == [1, 2, 3]


def test_looking_for_a_key_keeps_nothing() -> None:
    group = numbers(capacity=2)
    group.get("a")
    group.get("b")

    assert "a" in group
    group.get("c")

    assert "a" not in group


@pytest.mark.parametrize("capacity", [0, -1])
def test_group_without_room_is_refused(capacity: int) -> None:
    with pytest.raises(ValueError, match=f"capacity must be .* at least 1, got {capacity}"):
        Group(object, capacity=capacity)


@given(keys=st.lists(st.integers(0, 9)), capacity=st.integers(1, 12))
def test_group_holds_the_last_distinct_keys_in_order_of_use(keys: list[int], capacity: int) -> None:
    group = numbers(capacity=capacity)

    for key in keys:
        group.get(key)

    last_first = list(dict.fromkeys(reversed(keys)))[:capacity]
    assert [key for key, _ in group.items()] == last_first[::-1]


def test_threads_share_what_was_made_once() -> None:
    group, start = numbers(threadsafe=True), Barrier(4)

    def ask(_: int) -> list[int]:
        start.wait(10)
        return [group.get(key) for key in range(200)]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(4)))

    assert answers == [answers[0]] * 4
    assert sorted(answers[0]) == list(range(1, 201))
    assert len(group) == 200
