"""Calls of one key on one node, while it is there and has room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError
from kratos.middleware import by_header
from kratos.selector import ConsistentHash, Node, Outcome, Pick
from kratos.testing.echo import ECHO
from kratos.transport import Call, CallOptions, Side


def call(key: str | None = None) -> Call:
    made = Call(ECHO, side=Side.CLIENT, transport="test")
    made.options = None if key is None else CallOptions(key=key)
    return made


def nodes(count: int, *, but: int | None = None) -> list[Node]:
    return [Node(scheme="http", address=f"10.0.0.{n}:80") for n in range(count) if n != but]


def hashing(count: int, *, bound: float | None = None) -> ConsistentHash:
    selector = ConsistentHash(bound=bound, random=Random(1).random)
    selector.apply(nodes(count))
    return selector


def owners(selector: ConsistentHash, keys: Sequence[str]) -> dict[str, str]:
    return {key: selector.select(call(key)).node.address for key in keys}


KEYS = [f"user-{number}" for number in range(500)]


def test_key_stays_on_its_node() -> None:
    selector = hashing(5)
    assert owners(selector, KEYS) == owners(selector, KEYS)


def test_clients_agree_whatever_the_order_of_their_nodes() -> None:
    other = ConsistentHash()
    other.apply(list(reversed(nodes(5))))
    assert owners(hashing(5), KEYS) == owners(other, KEYS)


def test_keys_spread_over_all_nodes() -> None:
    shares = Counter(owners(hashing(5), KEYS).values())
    assert len(shares) == 5
    assert all(50 < share < 150 for share in shares.values())


def test_only_keys_of_a_node_that_left_move() -> None:
    selector = hashing(5)
    before = owners(selector, KEYS)
    selector.apply(nodes(5, but=2))
    after = owners(selector, KEYS)
    moved = {key for key in KEYS if before[key] != after[key]}
    assert moved == {key for key in KEYS if before[key] == "10.0.0.2:80"}


def test_key_goes_to_its_next_node_while_its_own_is_avoided() -> None:
    selector = hashing(5)
    own = selector.select(call("k")).node.address
    instead = {selector.select(call("k"), avoid=[own]).node.address for _ in range(5)}
    assert len(instead) == 1
    assert instead != {own}
    assert selector.select(call("k")).node.address == own


def test_avoided_node_is_replaced_by_the_one_that_would_get_the_key_without_it() -> None:
    selector = hashing(5)
    own = selector.select(call("k")).node
    instead = selector.select(call("k"), avoid=[own.address]).node
    selector.apply([node for node in nodes(5) if node != own])
    assert selector.select(call("k")).node == instead


def test_call_without_key_goes_anywhere() -> None:
    selector = hashing(3)
    assert len({selector.select(call()).node.address for _ in range(50)}) == 3


def test_key_may_be_told_by_a_header() -> None:
    selector = ConsistentHash(by_header("x-user"))
    selector.apply(nodes(5))
    marked = call()
    marked.headers.set("x-user", "k")
    assert len({selector.select(marked).node.address for _ in range(20)}) == 1


def test_more_keys_than_are_remembered_keep_their_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kratos.selector.hash._REMEMBERED", 10)
    selector = hashing(5)
    assert owners(selector, KEYS) == owners(hashing(5), KEYS)


def test_changed_node_is_picked_as_it_is_now() -> None:
    selector = hashing(1)
    selector.select(call("k"))
    selector.apply([Node(scheme="http", address="10.0.0.0:80", version="new")])
    assert selector.select(call("k")).node.version == "new"


@pytest.mark.parametrize("bound", [1.0, 0.5, -1.0, float("nan")])
def test_bound_that_no_set_of_nodes_can_keep_is_refused(bound: float) -> None:
    with pytest.raises(ConfigError, match="more than 1"):
        ConsistentHash(bound=bound)


def test_hot_key_spills_over_to_the_next_node() -> None:
    selector = hashing(4, bound=1.25)
    picks = [selector.select(call("hot")) for _ in range(8)]
    loads = Counter(pick.node.address for pick in picks)
    assert max(loads.values()) == 3
    assert len(loads) > 2


def test_key_returns_to_its_node_when_that_has_room_again() -> None:
    selector = hashing(4, bound=1.25)
    own = selector.select(call("k"))
    first, second = selector.select(call("k")), selector.select(call("k"))
    assert first.node != own.node
    for pick in (own, first, second):
        pick.done(Outcome.SUCCESS)
    assert selector.select(call("k")).node == own.node


@given(
    keys=st.lists(st.sampled_from(["a", "b", "c"]) | st.none(), max_size=60),
    ended=st.sets(st.integers(0, 59)),
    count=st.integers(1, 6),
    bound=st.sampled_from([1.01, 1.25, 2.0]),
)
def test_no_node_has_more_than_the_bound(
    keys: list[str | None], ended: set[int], count: int, bound: float
) -> None:
    selector = hashing(count, bound=bound)
    held: list[Pick] = []
    for place, key in enumerate(keys):
        pick = selector.select(call(key))
        if place in ended:
            pick.done(Outcome.SUCCESS)
            continue
        held.append(pick)
        loads = Counter(each.node.address for each in held)
        most = bound * len(held) / count + 1
        assert loads[pick.node.address] <= most
