"""New nodes begin with few calls."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from kratos.errors import ConfigError
from kratos.selector import (
    LeastLoaded,
    Node,
    Outcome,
    Selector,
    SlowStart,
    WeightedRoundRobin,
)
from kratos.testing.clock import FakeClock
from kratos.testing.echo import ECHO
from kratos.transport import Call, Side

CALL = Call(ECHO, side=Side.CLIENT, transport="test")


def node(address: str, instance: str = "") -> Node:
    return Node(scheme="http", address=address, id=instance or address)


OLD = [node("n0"), node("n1"), node("n2"), node("n3")]
NEW = node("n4")


class Bench:
    def __init__(self, selector: Selector | None = None, **options: float) -> None:
        self.clock = FakeClock()
        self.selector = SlowStart(
            selector or WeightedRoundRobin(), clock=self.clock, random=Random(1).random, **options
        )

    def shares(self, count: int = 1000) -> Counter[str]:
        shares = Counter[str]()
        for _ in range(count):
            pick = self.selector.select(CALL)
            shares[pick.node.address] += 1
            pick.done(Outcome.SUCCESS)
        return shares


def test_nodes_of_the_first_set_have_their_full_share() -> None:
    bench = Bench()
    bench.selector.apply(OLD)
    assert set(bench.shares().values()) == {250}


async def test_share_of_a_new_node_grows_with_its_age() -> None:
    bench = Bench(window=30)
    bench.selector.apply(OLD)
    bench.selector.apply([*OLD, NEW])
    seen = list[int]()
    for _ in range(4):
        seen.append(bench.shares()["n4"])
        await bench.clock.advance(10)
    first, third, two_thirds, full = seen
    assert 5 < first < 40
    assert 40 < third < 100
    assert 100 < two_thirds < 170
    assert full == 200


async def test_other_nodes_share_what_the_new_one_does_not_get() -> None:
    bench = Bench(least=0.0)
    bench.selector.apply(OLD)
    bench.selector.apply([*OLD, NEW])
    assert bench.shares() == {"n0": 250, "n1": 250, "n2": 250, "n3": 250}


async def test_aggression_bends_the_growth() -> None:
    bench = Bench(window=100, aggression=2.0)
    bench.selector.apply(OLD)
    bench.selector.apply([*OLD, NEW])
    await bench.clock.advance(25)
    assert bench.selector.share("n4") == pytest.approx(0.5)


def test_node_that_another_instance_took_over_is_new() -> None:
    bench = Bench()
    bench.selector.apply(OLD)
    bench.selector.apply([*OLD[:3], node("n3", "restarted")])
    assert bench.selector.share("n3") == 0.1
    assert bench.selector.share("n0") == 1.0


async def test_age_survives_a_change_of_the_set() -> None:
    bench = Bench(window=30)
    bench.selector.apply(OLD)
    bench.selector.apply([*OLD, NEW])
    await bench.clock.advance(15)
    bench.selector.apply([*OLD[1:], NEW])
    assert bench.selector.share("n4") == pytest.approx(0.5)


def test_set_of_new_nodes_alone_has_none_that_is_new() -> None:
    bench = Bench()
    bench.selector.apply(OLD)
    bench.selector.apply([NEW, node("n5")])
    assert bench.shares(100) == {"n4": 50, "n5": 50}


def test_new_node_is_picked_when_the_filters_leave_no_other() -> None:
    bench = Bench(least=0.0)
    bench.selector.apply(OLD)
    bench.selector.apply([*OLD, NEW])
    others = [each.address for each in OLD]
    taken = bench.selector.select(
        CALL, filters=[lambda _call, nodes: [n for n in nodes if n.address not in others]]
    )
    assert taken.node == NEW


def test_declined_picks_leave_no_call_in_flight() -> None:
    inner = LeastLoaded(random=Random(2).random)
    bench = Bench(inner, least=0.0)
    bench.selector.apply(OLD)
    bench.selector.apply([*OLD, NEW])
    bench.shares(200)
    assert [inner.in_flight(each.address) for each in (*OLD, NEW)] == [0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "options",
    [{"window": 0.0}, {"window": float("inf")}, {"aggression": 0.0}, {"least": 1.5}, {"least": -1}],
)
def test_number_out_of_range_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Bench(None, **options)
