"""Filters: who is left, and what a call is told that nobody is left for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kratos.errors import ConfigError, Error
from kratos.selector import Node, NodeFilter, WeightedRoundRobin, region, version
from kratos.testing.echo import ECHO
from kratos.transport import Call, Side

CALL = Call(ECHO, side=Side.CLIENT, transport="test")


def node(address: str, where: str = "", *, version: str = "") -> Node:
    metadata = {"region": where} if where else {}
    return Node(scheme="http", address=address, metadata=metadata, version=version)


HERE, HERE_TOO, NEAR, FAR = (
    node("a", "eu-1"),
    node("b", "eu-1"),
    node("c", "eu-2"),
    node("d", "us-1"),
)


def left(node_filter: NodeFilter, *nodes: Node) -> list[str]:
    return [each.address for each in node_filter(CALL, nodes)]


def test_nodes_of_the_own_region_are_kept() -> None:
    assert left(region("eu-1"), HERE, FAR, HERE_TOO) == ["a", "b"]


def test_next_region_is_used_when_the_own_has_no_node() -> None:
    assert left(region("eu-1", "eu-2"), FAR, NEAR) == ["c"]


def test_all_nodes_are_used_when_no_preferred_region_has_one() -> None:
    assert left(region("eu-1", "eu-2"), FAR, node("e")) == ["d", "e"]


def test_strict_affinity_uses_no_other_region() -> None:
    assert left(region("eu-1", strict=True), NEAR, FAR) == []


def test_region_with_too_few_nodes_gives_way_to_the_next() -> None:
    affinity = region("eu-1", "us-1", minimum=2)
    assert left(affinity, HERE, FAR, node("e", "us-1")) == ["d", "e"]


def test_nearest_region_is_used_when_none_has_enough_nodes() -> None:
    assert left(region("us-1", "eu-1", minimum=2), HERE, FAR) == ["d"]


def test_region_may_stand_under_another_key() -> None:
    zoned = Node(scheme="http", address="z", metadata={"zone": "1a"})
    assert left(region("1a", key="zone"), HERE, zoned) == ["z"]


@pytest.mark.parametrize("names", [(), ("",), ("eu-1", "")])
def test_affinity_to_nothing_is_refused(names: Sequence[str]) -> None:
    with pytest.raises(ConfigError, match="own one first"):
        region(*names)


def test_region_without_a_node_is_refused() -> None:
    with pytest.raises(ConfigError, match="minimum=0"):
        region("eu-1", minimum=0)


def test_error_names_the_filter_that_left_nothing() -> None:
    selector = WeightedRoundRobin()
    selector.apply([node("a", "eu-1", version="v1"), node("b", "us-1", version="v2")])
    filters = [version("v1"), region("us-1", strict=True)]
    with pytest.raises(Error) as caught:
        selector.select(CALL, filters=filters)
    expected = "the filter region('us-1', strict=True) leaves none of the 2 nodes"
    assert caught.value.message == expected


def test_filters_after_the_one_that_left_nothing_are_not_asked() -> None:
    asked: list[str] = []

    def last(_call: Call, nodes: Sequence[Node]) -> Sequence[Node]:
        asked.append("last")
        return nodes

    selector = WeightedRoundRobin()
    selector.apply([node("a")])
    with pytest.raises(Error, match="version"):
        selector.select(CALL, filters=[version("v9"), last])
    assert asked == []


def test_affinity_chooses_among_the_nodes_that_are_not_avoided() -> None:
    selector = WeightedRoundRobin()
    selector.apply([HERE, NEAR, FAR])
    pick = selector.select(CALL, filters=[region("eu-1", "eu-2")], avoid=["a"])
    assert pick.node == NEAR


def test_avoided_node_is_used_when_the_filters_leave_no_other() -> None:
    selector = WeightedRoundRobin()
    selector.apply([HERE, NEAR, FAR])
    pick = selector.select(CALL, filters=[region("eu-1", strict=True)], avoid=["a"])
    assert pick.node == HERE
