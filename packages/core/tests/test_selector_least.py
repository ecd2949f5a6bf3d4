"""The node with the fewest calls in flight, found without asking each."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.selector import LeastLoaded, Node, Outcome, Pick
from kratos.testing.echo import ECHO
from kratos.transport import Call, Side

CALL = Call(ECHO, side=Side.CLIENT, transport="test")


def nodes(*weights: int | None) -> list[Node]:
    return [
        Node(scheme="http", address=f"n{place}", weight=weight)
        for place, weight in enumerate(weights)
    ]


def least(*weights: int | None, seed: int = 1) -> LeastLoaded:
    selector = LeastLoaded(random=Random(seed).random)
    selector.apply(nodes(*weights))
    return selector


def test_calls_in_flight_are_spread_evenly() -> None:
    selector = least(None, None, None)
    picks = [selector.select(CALL) for _ in range(9)]
    assert Counter(pick.node.address for pick in picks) == {"n0": 3, "n1": 3, "n2": 3}


def test_node_whose_call_ended_is_next() -> None:
    selector = least(None, None, None)
    picks = {pick.node.address: pick for pick in [selector.select(CALL) for _ in range(3)]}
    picks["n1"].done(Outcome.SUCCESS)
    assert selector.select(CALL).node.address == "n1"


def test_slow_node_gets_only_what_it_finishes() -> None:
    selector, shares = least(None, None), Counter[str]()
    stuck: list[Pick] = []
    for _ in range(100):
        pick = selector.select(CALL)
        shares[pick.node.address] += 1
        if pick.node.address == "n0":
            stuck.append(pick)
        else:
            pick.done(Outcome.SUCCESS)
    assert shares == {"n0": 1, "n1": 99}


def test_weights_say_how_many_calls_a_node_bears() -> None:
    selector = least(100, 300, None)
    picks = [selector.select(CALL) for _ in range(50)]
    assert Counter(pick.node.address for pick in picks) == {"n0": 10, "n1": 30, "n2": 10}


@pytest.mark.parametrize("weight", [0, -5])
def test_weight_below_one_counts_as_one(weight: int) -> None:
    selector = least(weight, 4)
    picks = [selector.select(CALL) for _ in range(5)]
    assert Counter(pick.node.address for pick in picks) == {"n0": 1, "n1": 4}


def test_idle_nodes_are_drawn_from() -> None:
    selector, shares = least(None, None, None, None), Counter[str]()
    for _ in range(400):
        pick = selector.select(CALL)
        shares[pick.node.address] += 1
        pick.done(Outcome.SUCCESS)
    assert all(70 < shares[f"n{place}"] < 130 for place in range(4))


def test_calls_in_flight_survive_a_change_of_the_set() -> None:
    selector = least(None, None)
    held = [selector.select(CALL) for _ in range(2)]
    selector.apply(nodes(None, None, None))
    assert selector.select(CALL).node.address == "n2"
    held[0].done(Outcome.SUCCESS)
    assert selector.select(CALL).node == held[0].node


def test_node_that_comes_back_starts_idle() -> None:
    selector = least(None, None)
    held = [selector.select(CALL) for _ in range(4)]
    selector.apply(nodes(None))
    selector.apply(nodes(None, None))
    for pick in held:
        pick.done(Outcome.SUCCESS)
    assert (selector.in_flight("n0"), selector.in_flight("n1")) == (0, 0)


def test_filtered_pick_is_the_least_loaded_of_those_left() -> None:
    selector = least(None, None, None)
    for _ in range(3):
        selector.select(CALL)
    busy = selector.select(CALL, avoid=("n1", "n2")).node.address
    assert busy == "n0"
    assert selector.select(CALL, avoid=("n2",)).node.address == "n1"


STEPS = st.lists(st.one_of(st.just("pick"), st.integers(0, 30), st.sampled_from(["few", "all"])))


@given(steps=STEPS, weights=st.lists(st.sampled_from([None, 100, 300]), min_size=1, max_size=9))
def test_every_pick_is_one_of_the_least_loaded(
    steps: list[str | int], weights: list[int | None]
) -> None:
    selector = least(*weights)
    listed = nodes(*weights)
    in_flight, held = Counter[str](), list[Pick]()

    def load(node: Node) -> float:
        return (in_flight[node.address] + 1) / (node.weight or 100)

    for step in steps:
        if step == "pick":
            pick = selector.select(CALL)
            assert load(pick.node) == min(map(load, listed))
            in_flight[pick.node.address] += 1
            held.append(pick)
        elif isinstance(step, int):
            if step < len(held):
                pick = held.pop(step)
                pick.done(Outcome.SUCCESS)
                in_flight[pick.node.address] -= 1
        else:
            listed = nodes(*weights[: 1 if step == "few" else None])
            selector.apply(listed)
            known = {node.address for node in listed}
            held = [pick for pick in held if pick.node.address in known]
            in_flight = Counter(pick.node.address for pick in held)
