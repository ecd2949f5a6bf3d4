"""Smooth weighted round robin; the sequences are Go's (selector/wrr)."""

from __future__ import annotations

from collections import Counter
from math import gcd

from hypothesis import given
from hypothesis import strategies as st

from kratos.selector import Node, WeightedRoundRobin
from kratos.selector._turns import turns
from kratos.testing.echo import ECHO
from kratos.transport import Call, Side

CALL = Call(ECHO, side=Side.CLIENT, transport="test")


def nodes(*weights: int | None, first: int = 0) -> list[Node]:
    return [
        Node(scheme="http", address=f"n{place}", weight=weight)
        for place, weight in enumerate(weights, first)
    ]


def weighing(weights: dict[int, int]) -> list[Node]:
    return [
        Node(scheme="http", address=f"n{place}", weight=weight) for place, weight in weights.items()
    ]


def picks(selector: WeightedRoundRobin, count: int) -> list[str]:
    return [selector.select(CALL).node.address for _ in range(count)]


def test_weights_five_one_one_give_the_sequence_of_go() -> None:
    selector = WeightedRoundRobin()
    selector.apply(nodes(5, 1, 1))
    assert picks(selector, 14) == ["n0", "n0", "n1", "n0", "n2", "n0", "n0"] * 2


def test_ninety_picks_of_weights_ten_and_twenty_are_thirty_and_sixty() -> None:
    selector = WeightedRoundRobin()
    selector.apply(nodes(10, 20))
    assert Counter(picks(selector, 90)) == {"n0": 30, "n1": 60}


def test_nodes_without_weight_take_turns() -> None:
    selector = WeightedRoundRobin()
    selector.apply(nodes(None, None, None))
    assert picks(selector, 6) == ["n0", "n1", "n2", "n0", "n1", "n2"]


def test_node_without_weight_counts_a_hundred() -> None:
    selector = WeightedRoundRobin()
    selector.apply(nodes(None, 300))
    assert Counter(picks(selector, 40)) == {"n0": 10, "n1": 30}


def test_node_of_weight_zero_is_left_out_while_another_has_weight() -> None:
    selector = WeightedRoundRobin()
    selector.apply(nodes(0, 1, -5))
    assert set(picks(selector, 20)) == {"n1"}


def test_nodes_that_all_weigh_zero_take_turns() -> None:
    selector = WeightedRoundRobin()
    selector.apply(nodes(0, 0))
    assert picks(selector, 4) == ["n0", "n1", "n0", "n1"]


def test_filtered_nodes_that_all_weigh_zero_take_turns() -> None:
    selector = WeightedRoundRobin()
    selector.apply(nodes(0, 0, 5))
    taken = [selector.select(CALL, avoid=("n2",)).node.address for _ in range(4)]
    assert taken == ["n0", "n1", "n0", "n1"]


def test_turn_survives_a_change_of_the_set() -> None:
    selector = WeightedRoundRobin()
    selector.apply(nodes(5, 1, 1))
    assert picks(selector, 2) == ["n0", "n0"]
    selector.apply(list(reversed(nodes(5, 1, 1))))
    assert picks(selector, 1) != ["n0"]


def test_score_of_a_removed_address_is_forgotten() -> None:
    selector = WeightedRoundRobin()
    selector.apply(nodes(5, 1))
    picks(selector, 1)
    selector.apply(nodes(1, first=1))
    selector.apply(nodes(5, 1))
    fresh = WeightedRoundRobin()
    fresh.apply(nodes(5, 1))
    assert picks(selector, 1) == picks(fresh, 1)


def test_filtered_pick_leaves_a_node_of_weight_zero_out_too() -> None:
    selector = WeightedRoundRobin()
    selector.apply(nodes(0, 1, 1))
    assert picks(selector, 1) == ["n1"]
    assert selector.select(CALL, avoid=("n2",)).node.address == "n1"


def test_node_whose_weight_becomes_zero_has_no_turn_left() -> None:
    selector = WeightedRoundRobin()
    selector.apply(nodes(1, 1, 1))
    picks(selector, 1)
    selector.apply(nodes(1, 0, 1))
    assert "n1" not in picks(selector, 8)


def test_weights_of_another_scale_leave_the_turn_with_whom_it_was() -> None:
    selector = WeightedRoundRobin()
    selector.apply(nodes(10**6, 10**6))
    assert picks(selector, 1) == ["n0"]
    selector.apply(nodes(1, 1))
    assert picks(selector, 3) == ["n1", "n0", "n1"]
    selector.apply(nodes(10**6, 10**6))
    assert picks(selector, 2) == ["n0", "n1"]


def test_nobody_waits_for_a_heavy_node_that_has_gone() -> None:
    selector = WeightedRoundRobin()
    selector.apply(nodes(1, 1, 1000))
    picks(selector, 501)
    selector.apply(nodes(1, 1))
    assert set(picks(selector, 4)) == {"n0", "n1"}


def test_filtered_picks_share_by_weight_too() -> None:
    selector = WeightedRoundRobin()
    selector.apply(nodes(1, 2, 7))
    taken = Counter(selector.select(CALL, avoid=("n2",)).node.address for _ in range(30))
    assert taken == {"n0": 10, "n1": 20}


def by_definition(weights: list[int], scores: list[int], count: int) -> list[int]:
    """Play the turns as the algorithm is told: raise all, take the first highest, lower it."""
    scores, taken = list(scores), list[int]()
    for _ in range(count):
        scores = [score + weight for score, weight in zip(scores, weights, strict=True)]
        taken.append(scores.index(max(scores)))
        scores[taken[-1]] -= sum(weights)
    return taken


@given(
    pairs=st.lists(st.tuples(st.sampled_from([0, 1, 3]), st.integers(-9, 9)), min_size=24),
    first=st.integers(0, 30),
    then=st.integers(0, 30),
)
def test_many_places_of_few_weights_have_the_turns_of_the_definition(
    pairs: list[tuple[int, int]], first: int, then: int
) -> None:
    weights, scores = [weight for weight, _ in pairs], [score for _, score in pairs]
    played = turns(weights, scores)
    taken = [played.next() for _ in range(first)]
    resumed = turns(weights, played.scores())
    taken += [resumed.next() for _ in range(then)]
    assert taken == by_definition(weights, scores, first + then)


def test_filtered_and_unfiltered_picks_share_one_turn() -> None:
    selector = WeightedRoundRobin()
    selector.apply(nodes(*[None] * 9))
    assert picks(selector, 2) == ["n0", "n1"]
    assert selector.select(CALL, avoid=("n8",)).node.address == "n2"
    assert picks(selector, 5) == ["n3", "n4", "n5", "n6", "n7"]


WEIGHTS = st.lists(st.integers(1, 12), min_size=1, max_size=6)


@given(weights=WEIGHTS)
def test_one_cycle_gives_each_node_exactly_its_weight(weights: list[int]) -> None:
    selector = WeightedRoundRobin()
    selector.apply(nodes(*weights))
    cycle = sum(weights) // gcd(*weights)
    shares = Counter(picks(selector, cycle))
    assert shares == {f"n{i}": weight // gcd(*weights) for i, weight in enumerate(weights)}


@given(weights=WEIGHTS, data=st.data())
def test_share_is_never_more_than_one_set_of_picks_off(
    weights: list[int], data: st.DataObject
) -> None:
    selector = WeightedRoundRobin()
    selector.apply(nodes(*weights))
    count = data.draw(st.integers(1, 60))
    shares = Counter(picks(selector, count))
    for place, weight in enumerate(weights):
        assert abs(shares[f"n{place}"] - count * weight / sum(weights)) <= len(weights)


@given(sets=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=5), min_size=1, max_size=5))
def test_shares_are_right_again_after_any_churn(sets: list[list[int]]) -> None:
    selector = WeightedRoundRobin()
    for weights in sets:
        selector.apply(nodes(*weights))
        picks(selector, 7)
    selector.apply(nodes(3, 1))
    picks(selector, 200)
    assert Counter(picks(selector, 40)) == {"n0": 30, "n1": 10}


SETS = st.lists(
    st.tuples(
        st.dictionaries(st.integers(0, 7), st.sampled_from([0, 1, 5, 100, 10**6]), max_size=6),
        st.integers(0, 12),
    ),
    max_size=6,
)


@given(
    sets=SETS,
    last=st.dictionaries(st.integers(0, 7), st.integers(0, 6), min_size=1, max_size=6).filter(
        lambda weights: any(weights.values())
    ),
)
def test_each_node_has_its_share_of_the_next_picks_whatever_the_weights_were(
    sets: list[tuple[dict[int, int], int]], last: dict[int, int]
) -> None:
    selector = WeightedRoundRobin()
    for weights, count in sets:
        selector.apply(weighing(weights))
        if weights:
            picks(selector, count)
    selector.apply(weighing(last))
    shares = Counter(picks(selector, sum(last.values())))
    for place, weight in last.items():
        assert abs(shares[f"n{place}"] - weight) <= (2 if weight else 0)
