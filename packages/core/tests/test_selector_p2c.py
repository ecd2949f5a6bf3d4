"""The better of two by moving averages; the figures are Go's (selector/p2c, selector/node/ewma)."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

import pytest

from kratos.errors import Error
from kratos.selector import Node, Outcome, PowerOfTwoChoices
from kratos.selector.ewma import Ewma
from kratos.testing.clock import FakeClock
from kratos.testing.echo import ECHO
from kratos.transport import Call, Side

CALL = Call(ECHO, side=Side.CLIENT, transport="test")
MS = 1_000_000  # nanoseconds
TIMED_OUT = Outcome.failure(Error(504, "DEADLINE_EXCEEDED"))


def nodes(count: int) -> list[Node]:
    return [Node(scheme="http", address=f"n{place}") for place in range(count)]


def finish(record: Ewma, *, start: int, end: int, outcome: Outcome = Outcome.SUCCESS) -> None:
    key = object()
    record.begin(key, start)
    record.end(key, start, end, outcome)


def test_fresh_node_weighs_a_hundred() -> None:
    assert Ewma().weight(0) == 100


def test_call_in_flight_halves_the_weight_of_a_fresh_node() -> None:
    record = Ewma()
    record.begin("call", 0)
    assert record.weight(0) == 50


def test_weight_follows_latency_and_load() -> None:
    record = Ewma()
    finish(record, start=0, end=15 * MS)
    assert int(record.weight(100 * MS)) == 2236
    record.begin("call", 100 * MS)
    assert int(record.weight(110 * MS)) == 1118


def test_weight_is_between_the_bounds_of_go_after_one_slow_call() -> None:
    record = Ewma()
    record.begin("done", 0)
    record.begin("open", 0)
    record.end("done", 0, 15 * MS, Outcome.SUCCESS)
    assert 70 < record.weight(15 * MS) < 1200


def test_failures_lower_the_weight_to_the_range_of_go() -> None:
    record = Ewma()
    for number in range(5):
        start = number * 20 * MS
        outcome = Outcome.SUCCESS if number == 0 else TIMED_OUT
        finish(record, start=start, end=start + 20 * MS, outcome=outcome)
    assert 1000 < record.weight(101 * MS) < 2000


def test_cancelled_call_changes_nothing_but_the_load() -> None:
    record = Ewma()
    finish(record, start=0, end=20 * MS)
    before = record.weight(30 * MS)
    finish(record, start=30 * MS, end=9000 * MS, outcome=Outcome.CANCELLED)
    assert record.weight(9000 * MS) == before


def test_overdue_calls_lower_the_weight_before_they_end() -> None:
    record = Ewma()
    finish(record, start=0, end=10 * MS)
    record.begin("stuck", 10 * MS)
    early = record.weight(11 * MS)
    assert record.weight(5000 * MS) < early / 5


def test_few_overdue_calls_do_not_lower_the_weight() -> None:
    record = Ewma()
    finish(record, start=0, end=10 * MS)
    record.begin("stuck", 10 * MS)
    record.begin("young", 4999 * MS)
    with_young = record.weight(5000 * MS)
    fresh = Ewma()
    finish(fresh, start=0, end=10 * MS)
    fresh.begin("young", 4999 * MS)
    fresh.begin("younger", 4999 * MS)
    assert with_young == fresh.weight(5000 * MS)


def test_calls_beyond_the_tracked_ones_count_for_load_alone() -> None:
    record = Ewma()
    for number in range(250):
        record.begin(number, 0)
    for number in range(250):
        record.end(number, 0, 10 * MS, Outcome.CANCELLED)
    assert record.weight(10 * MS) == 100


def test_weight_is_reused_for_five_milliseconds() -> None:
    record = Ewma()
    assert record.weight(0) == 100
    record.begin("call", 0)
    assert record.weight(5 * MS) == 100
    assert record.weight(6 * MS) == 50


def test_only_node_is_picked() -> None:
    selector = PowerOfTwoChoices()
    selector.apply(nodes(1))
    assert selector.select(CALL).node.address == "n0"


async def test_nine_thousand_picks_spread_over_three_nodes() -> None:
    clock, random = FakeClock(), Random(11)
    selector = PowerOfTwoChoices(clock=clock, random=random.random)
    selector.apply(nodes(3))
    shares: Counter[str] = Counter()
    for _ in range(9000 // 30):
        open_picks = [selector.select(CALL) for _ in range(30)]
        await_ms = random.uniform(0.001, 0.02)
        await clock.advance(await_ms)
        for pick in open_picks:
            shares[pick.node.address] += 1
            pick.done(Outcome.SUCCESS)
    assert all(1500 < share < 4500 for share in shares.values())


async def test_failing_node_gets_little() -> None:
    clock = FakeClock()
    selector = PowerOfTwoChoices(clock=clock, random=Random(3).random)
    selector.apply(nodes(3))
    shares: Counter[str] = Counter()
    for _ in range(600):
        pick = selector.select(CALL)
        shares[pick.node.address] += 1
        await clock.advance(0.01)
        pick.done(TIMED_OUT if pick.node.address == "n1" else Outcome.SUCCESS)
    assert shares["n1"] < 30


async def test_node_that_was_not_picked_for_three_seconds_gets_its_turn() -> None:
    clock = FakeClock()
    # The draws are always n0 and n1, in this order.
    selector = PowerOfTwoChoices(clock=clock, random=lambda: 0.0)
    selector.apply(nodes(2))
    first = [selector.select(CALL).node.address for _ in range(2)]
    assert first == ["n1", "n0"]  # neither was ever picked: the loser goes first
    await clock.advance(3.1)
    winner = selector.select(CALL).node.address
    assert winner in ("n0", "n1")
    assert selector.select(CALL).node.address != winner


async def test_statistics_survive_a_change_of_the_set() -> None:
    clock = FakeClock()
    selector = PowerOfTwoChoices(clock=clock, random=Random(5).random)
    selector.apply(nodes(2))
    for _ in range(40):
        pick = selector.select(CALL)
        await clock.advance(0.005)
        pick.done(TIMED_OUT if pick.node.address == "n0" else Outcome.SUCCESS)
    selector.apply(nodes(2))
    await asyncio.sleep(0)
    shares = Counter(selector.select(CALL).node.address for _ in range(10))
    assert shares["n1"] >= 9


@pytest.mark.parametrize("count", [1, 2, 5])
def test_equal_nodes_are_all_used(count: int) -> None:
    selector = PowerOfTwoChoices(random=Random(1).random)
    selector.apply(nodes(count))
    taken = {selector.select(CALL).node.address for _ in range(100)}
    assert len(taken) == count
