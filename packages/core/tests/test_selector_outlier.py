"""Nodes that do worse than the others are left out, for a time."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError, Error
from kratos.selector import (
    Ejected,
    Node,
    Outcome,
    OutlierEjection,
    SlowStart,
    WeightedRoundRobin,
)
from kratos.testing.echo import ECHO, WATCH
from kratos.transport import Call, Side

CALL = Call(ECHO, side=Side.CLIENT, transport="test")
FAILED = Outcome.failure(Error(503))


def node(address: str, *, instance: str = "") -> Node:
    return Node(scheme="http", address=address, id=instance)


def nodes(count: int) -> list[Node]:
    return [node(f"n{number}") for number in range(count)]


class Time:
    """A clock for what never waits."""

    def __init__(self) -> None:
        self._now = 1000.0

    def time(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._now

    async def sleep(self, seconds: float, /) -> None:
        raise AssertionError(f"nobody is to wait here, not even {seconds} s")

    def advance(self, seconds: float) -> None:
        self._now += seconds


class Bench:
    def __init__(self, count: int = 4, **options: Any) -> None:
        self.clock = Time()
        self.inner = WeightedRoundRobin()
        self.selector = OutlierEjection(self.inner, clock=self.clock, random=lambda: 0.0, **options)
        self.selector.apply(nodes(count))

    def call(self, *, bad: Sequence[str] = (), outcome: Outcome = FAILED) -> str:
        pick = self.selector.select(CALL)
        pick.done(outcome if pick.node.address in bad else Outcome.SUCCESS)
        return pick.node.address

    def calls(self, count: int, *, bad: Sequence[str] = ()) -> Counter[str]:
        return Counter(self.call(bad=bad) for _ in range(count))

    def timed(self, count: int, slow: dict[str, float], *, usual: float = 0.005) -> None:
        for _ in range(count):
            pick = self.selector.select(CALL)
            self.clock.advance(slow.get(pick.node.address, usual))
            pick.done(Outcome.SUCCESS)

    @property
    def out(self) -> dict[str, str]:
        return {each.address: each.why for each in self.selector.ejected}


def test_node_that_fails_five_times_in_a_row_is_left_out() -> None:
    bench = Bench()
    assert bench.calls(100, bad=["n1"])["n1"] == 5
    assert bench.out == {"n1": "failures in a row: 5"}


def test_success_begins_the_row_anew() -> None:
    bench = Bench(count=2, failure_rate=None)
    for _ in range(10):
        bench.calls(8, bad=["n1"])
        bench.calls(2)
    assert bench.out == {}


def test_cancelled_calls_say_nothing() -> None:
    bench = Bench()
    for _ in range(100):
        bench.call(bad=["n1"], outcome=Outcome.CANCELLED)
    assert bench.out == {}


def test_node_that_fails_every_second_call_is_left_out_after_the_interval() -> None:
    bench = Bench(consecutive=None)
    for number in range(100):
        bench.calls(4, bad=["n1"] if number % 2 else [])
    assert bench.out == {}
    bench.clock.advance(10)
    bench.calls(1)
    assert bench.out == {"n1": "50 of 100 calls failed"}


def test_failures_of_all_nodes_are_held_against_none() -> None:
    bench = Bench(consecutive=None)
    bench.calls(400, bad=["n0", "n1", "n2", "n3"])
    bench.clock.advance(10)
    bench.calls(4)
    assert bench.out == {}


def test_few_calls_say_nothing() -> None:
    bench = Bench(consecutive=None, min_calls=20)
    bench.calls(4 * 18, bad=["n1"])
    bench.clock.advance(10)
    bench.calls(4)
    assert bench.out == {}


def test_interval_that_is_over_is_forgotten() -> None:
    bench = Bench(consecutive=None, min_calls=20)
    for _ in range(5):
        bench.calls(4 * 18, bad=["n1"])
        bench.clock.advance(10)
        bench.calls(4)
    assert bench.out == {}


def test_calls_of_long_ago_are_held_against_no_node() -> None:
    bench = Bench(consecutive=None)
    bench.calls(400, bad=["n1"])
    bench.clock.advance(100)
    bench.calls(4)
    assert bench.out == {}


def test_slow_node_is_left_out() -> None:
    bench = Bench()
    bench.timed(400, {"n2": 0.1})
    assert bench.out == {"n2": "0.100 s a call, where 0.005 s are usual"}


def test_node_that_is_slower_by_little_stays() -> None:
    bench = Bench(slower=5, slower_by=0.01)
    bench.timed(4000, {"n2": 0.0009}, usual=0.0001)
    bench.clock.advance(10)
    bench.calls(4)
    assert bench.out == {}


def test_time_of_streams_says_nothing() -> None:
    bench = Bench(interval=1)
    stream = Call(WATCH, side=Side.CLIENT, transport="test")
    for _ in range(200):
        pick = bench.selector.select(stream)
        bench.clock.advance(9 if pick.node.address == "n2" else 0.001)
        pick.done(Outcome.SUCCESS)
    assert bench.out == {}


def test_single_call_tries_the_node_after_its_time() -> None:
    bench = Bench(ejection_time=30)
    bench.calls(20, bad=["n1"])
    bench.clock.advance(29.9)
    assert bench.calls(90)["n1"] == 0
    bench.clock.advance(0.1)
    trial = bench.selector.select(CALL)
    assert trial.node.address == "n1"
    assert bench.calls(90)["n1"] == 0
    trial.done(Outcome.SUCCESS)
    assert bench.out == {}
    assert bench.calls(100)["n1"] == 25


def test_node_that_fails_its_trial_is_left_out_for_longer() -> None:
    bench = Bench(ejection_time=30)
    bench.calls(20, bad=["n1"])
    times = list[float]()
    for _ in range(3):
        (out,) = bench.selector.ejected
        times.append(out.remaining)
        bench.clock.advance(out.remaining)
        assert bench.call(bad=["n1"]) == "n1"
    assert times == [30, 60, 90]
    assert bench.out == {"n1": "the call that tried it failed"}


def test_ejections_do_not_grow_without_end() -> None:
    bench = Bench(ejection_time=30, max_ejection_time=70)
    bench.calls(20, bad=["n1"])
    for _ in range(5):
        bench.clock.advance(300)
        bench.call(bad=["n1"])
    (out,) = bench.selector.ejected
    assert (out.remaining, out.times) == (70, 6)


def test_good_times_make_the_next_ejection_shorter() -> None:
    bench = Bench(ejection_time=30, interval=10)
    bench.calls(20, bad=["n1"])
    for _ in range(2):
        bench.clock.advance(100)
        bench.call(bad=["n1"])
    bench.clock.advance(100)
    bench.call()
    for _ in range(4):
        bench.clock.advance(10)
        bench.calls(4)
    bench.calls(20, bad=["n1"])
    assert bench.selector.ejected == (
        Ejected(address="n1", why="failures in a row: 5", remaining=30, times=1),
    )


def test_cancelled_trial_is_made_again() -> None:
    bench = Bench()
    bench.calls(20, bad=["n1"])
    bench.clock.advance(30)
    assert bench.call(bad=["n1"], outcome=Outcome.CANCELLED) == "n1"
    assert bench.call() == "n1"
    assert bench.out == {}


def test_calls_that_were_under_way_are_no_trial() -> None:
    bench = Bench()
    before = [bench.selector.select(CALL) for _ in range(4)]
    bench.calls(20, bad=["n1"])
    bench.clock.advance(30)
    bench.selector.select(CALL)  # tries the node, and has not ended
    for pick in before:
        pick.done(Outcome.SUCCESS)
    assert set(bench.out) == {"n1"}


def test_trial_that_takes_long_makes_way_for_another() -> None:
    bench = Bench(ejection_time=30)
    bench.calls(20, bad=["n1"])
    bench.clock.advance(30)
    endless = bench.selector.select(CALL)
    assert endless.node.address == "n1"
    bench.clock.advance(29)
    assert bench.calls(9)["n1"] == 0
    bench.clock.advance(1)
    assert bench.call() == "n1"
    assert bench.out == {}
    endless.done(FAILED)
    assert bench.out == {}


def test_call_that_avoids_the_node_does_not_try_it() -> None:
    bench = Bench()
    bench.calls(20, bad=["n1"])
    bench.clock.advance(30)
    assert bench.selector.select(CALL, avoid=["n1"]).node.address != "n1"
    assert bench.call() == "n1"


def test_call_whose_filters_leave_the_node_out_does_not_try_it() -> None:
    def not_n1(_call: Call, nodes: Sequence[Node]) -> Sequence[Node]:
        return [each for each in nodes if each.address != "n1"]

    bench = Bench()
    bench.calls(20, bad=["n1"])
    bench.clock.advance(30)
    assert bench.selector.select(CALL, filters=[not_n1]).node.address != "n1"
    assert bench.call() == "n1"


def test_calls_that_were_under_way_neither_help_nor_harm() -> None:
    bench = Bench()
    before = [bench.selector.select(CALL) for _ in range(80)]
    bench.calls(20, bad=["n1"])
    assert set(bench.out) == {"n1"}
    for pick in before:
        pick.done(FAILED if pick.node.address == "n1" else Outcome.SUCCESS)
    assert [out.times for out in bench.selector.ejected] == [1]


def test_no_more_nodes_are_left_out_than_may_be() -> None:
    bench = Bench(count=10, max_share=0.3)
    everything = [f"n{number}" for number in range(10)]
    bench.calls(300, bad=everything)
    assert len(bench.out) == 3


@pytest.mark.parametrize(("count", "most"), [(1, 0), (2, 1), (3, 1)])
def test_one_of_two_may_be_left_out_but_not_the_only_one(count: int, most: int) -> None:
    bench = Bench(count=count)
    bench.calls(50, bad=["n0", "n1", "n2"])
    assert len(bench.out) == most


def test_nodes_come_back_when_the_set_shrinks() -> None:
    bench = Bench(count=10)
    bench.calls(300, bad=["n0", "n1", "n2"])
    bench.selector.apply(nodes(3))
    assert len(bench.out) == 1
    bench.selector.apply(nodes(1))
    assert bench.out == {}
    assert bench.call() == "n0"


def test_ejection_survives_a_change_of_the_set() -> None:
    bench = Bench()
    bench.calls(20, bad=["n1"])
    bench.selector.apply(nodes(6))
    assert set(bench.out) == {"n1"}
    assert bench.calls(60)["n1"] == 0


def test_row_of_failures_survives_a_change_of_the_set() -> None:
    bench = Bench()
    bench.calls(16, bad=["n1"])
    bench.selector.apply(nodes(5))
    bench.calls(5, bad=["n1"])
    assert set(bench.out) == {"n1"}


def test_restarted_instance_is_not_held_to_account() -> None:
    bench = Bench()
    bench.calls(20, bad=["n1"])
    bench.selector.apply([node("n0"), node("n1", instance="restarted"), node("n2"), node("n3")])
    assert bench.out == {}


def test_call_goes_to_a_node_that_is_left_out_rather_than_to_none() -> None:
    def only_n1(_call: Call, nodes: Sequence[Node]) -> Sequence[Node]:
        return [each for each in nodes if each.address == "n1"]

    bench = Bench()
    bench.calls(20, bad=["n1"])
    assert bench.selector.select(CALL, filters=[only_n1]).node.address == "n1"


def test_filter_that_leaves_nothing_is_named() -> None:
    def nobody(_call: Call, _nodes: Sequence[Node]) -> Sequence[Node]:
        return []

    bench = Bench()
    bench.calls(20, bad=["n1"])
    with pytest.raises(Error, match="nobody leaves none"):
        bench.selector.select(CALL, filters=[nobody])


def test_empty_set_says_no_available_node() -> None:
    bench = Bench(count=0)
    with pytest.raises(Error, match="no_available_node"):
        bench.call()


def test_node_that_returns_starts_slowly_when_the_strategy_does() -> None:
    clock = Time()
    slowly = SlowStart(WeightedRoundRobin(), clock=clock)
    selector = OutlierEjection(slowly, clock=clock, random=lambda: 0.0)
    selector.apply(nodes(4))
    for _ in range(20):
        pick = selector.select(CALL)
        pick.done(FAILED if pick.node.address == "n1" else Outcome.SUCCESS)
    clock.advance(30)
    selector.select(CALL).done(Outcome.SUCCESS)
    assert slowly.share("n1") == 0.1


def test_second_report_of_a_pick_is_counted_and_ignored() -> None:
    bench = Bench(consecutive=2)
    pick = bench.selector.select(CALL)
    for _ in range(5):
        pick.done(FAILED)
    assert bench.selector.late_reports == 4
    assert bench.out == {}


def test_ejection_and_return_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench()
    bench.calls(20, bad=["n1"])
    bench.clock.advance(30)
    bench.call()
    assert caplog.messages == [
        "n1 is left out for 30 s: failures in a row: 5",
        "n1 is back in use",
    ]


OPTIONS: list[dict[str, Any]] = [
    {"consecutive": 0},
    {"failure_rate": 0},
    {"failure_rate": 1.1},
    {"slower": 1},
    {"slower_by": -1},
    {"min_calls": 0},
    {"interval": 0},
    {"ejection_time": 0},
    {"ejection_time": 10, "max_ejection_time": 9},
    {"max_share": 0},
    {"max_share": 1.1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_number_out_of_range_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{list(options)[-1]}="):
        Bench(**options)


STEPS = st.lists(
    st.tuples(st.sampled_from(["call", "hold", "end", "wait", "set"]), st.integers(0, 9)),
    max_size=150,
)


@given(steps=STEPS)
def test_whatever_happens_nodes_are_in_use_or_left_out_and_never_too_many(
    steps: list[tuple[str, int]],
) -> None:
    bench = Bench(count=5, consecutive=1, min_calls=1, interval=2, ejection_time=3)
    held, count = list[Callable[[Outcome], None]](), 5
    for what, number in steps:
        outcome = FAILED if number % 2 else Outcome.SUCCESS
        if what == "call" and count:
            bench.selector.select(CALL).done(outcome)
        elif what == "hold" and count:
            held.append(bench.selector.select(CALL).done)
        elif what == "end" and held:
            held.pop(number % len(held))(outcome)
        elif what == "wait":
            bench.clock.advance(number)
        elif what == "set":
            count = number
            bench.selector.apply(nodes(count))
        assert len(bench.out) <= (max(1, int(count * 0.3)) if count > 1 else 0)
    if count:
        bench.clock.advance(10_000)
        bench.calls(20 * count)
        bench.clock.advance(10_000)
        bench.calls(20 * count)
        assert bench.out == {}
        assert len(bench.calls(10 * count)) == count
