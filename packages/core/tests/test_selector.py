"""What every selection strategy keeps to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import Error
from kratos.registry import ServiceInstance
from kratos.selector import (
    ConsistentHash,
    LeastLoaded,
    Node,
    Outcome,
    Pick,
    PowerOfTwoChoices,
    RandomChoice,
    Selector,
    WeightedRoundRobin,
    version,
)
from kratos.selector import hash as hash_module
from kratos.selector import least as least_module
from kratos.selector import p2c as p2c_module
from kratos.selector import random as random_module
from kratos.selector import wrr as wrr_module
from kratos.testing.echo import ECHO
from kratos.transport import Call, Side

BUILDERS: dict[str, Callable[[], Selector]] = {
    "bounded hash": lambda: ConsistentHash(bound=1.25),
    "hash": hash_module.build,
    "least": least_module.build,
    "p2c": p2c_module.build,
    "random": random_module.build,
    "wrr": wrr_module.build,
}
STRATEGIES = (
    ConsistentHash, LeastLoaded, PowerOfTwoChoices, RandomChoice, WeightedRoundRobin,
)  # fmt: skip

every_strategy = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)


def call() -> Call:
    return Call(ECHO, side=Side.CLIENT, transport="test")


def node(address: str, *, weight: int | None = None, version: str = "") -> Node:
    return Node(scheme="http", address=address, weight=weight, version=version)


def assert_unavailable(caught: pytest.ExceptionInfo[Error], message: str = "") -> None:
    error = caught.value
    assert (error.code, error.reason, error.message) == (503, "no_available_node", message)


@every_strategy
def test_select_before_any_set_says_no_available_node(build: Callable[[], Selector]) -> None:
    with pytest.raises(Error) as caught:
        build().select(call())
    assert_unavailable(caught)


@every_strategy
def test_select_from_an_empty_set_says_no_available_node(build: Callable[[], Selector]) -> None:
    selector = build()
    selector.apply([node("a:1")])
    selector.apply([])
    with pytest.raises(Error) as caught:
        selector.select(call())
    assert_unavailable(caught)


@every_strategy
def test_filter_that_leaves_nothing_says_no_available_node(build: Callable[[], Selector]) -> None:
    selector = build()
    selector.apply([node("a:1", version="v1.0.0")])
    with pytest.raises(Error) as caught:
        selector.select(call(), filters=[version("v2.0.0")])
    assert_unavailable(caught, "the filter version('v2.0.0') leaves none of the 1 nodes")


@every_strategy
def test_version_filter_leaves_the_nodes_of_that_version(build: Callable[[], Selector]) -> None:
    selector = build()
    selector.apply(
        [
            node("127.0.0.1:8080", weight=10, version="v2.0.0"),
            node("127.0.0.1:9090", weight=10, version="v1.0.0"),
        ]
    )
    picked = {selector.select(call(), filters=[version("v2.0.0")]).node for _ in range(20)}
    assert [each.address for each in picked] == ["127.0.0.1:8080"]


@every_strategy
def test_filters_run_in_order_each_on_what_the_one_before_left(
    build: Callable[[], Selector],
) -> None:
    seen: list[list[str]] = []

    def drop_first(_call: Call, nodes: Sequence[Node]) -> Sequence[Node]:
        seen.append([each.address for each in nodes])
        return nodes[1:]

    selector = build()
    selector.apply([node("a:1"), node("b:1"), node("c:1")])
    pick = selector.select(call(), filters=[drop_first, drop_first])
    assert seen == [["a:1", "b:1", "c:1"], ["b:1", "c:1"]]
    assert pick.node.address == "c:1"


@every_strategy
def test_filter_is_given_the_call(build: Callable[[], Selector]) -> None:
    def by_header(call: Call, nodes: Sequence[Node]) -> Sequence[Node]:
        return [each for each in nodes if each.address == call.headers.get("x-pin")]

    selector = build()
    selector.apply([node("a:1"), node("b:1")])
    pinned = call()
    pinned.headers.add("x-pin", "b:1")
    assert selector.select(pinned, filters=[by_header]).node.address == "b:1"


@every_strategy
def test_node_that_a_filter_made_up_is_not_picked(build: Callable[[], Selector]) -> None:
    def made_up(_call: Call, _nodes: Sequence[Node]) -> Sequence[Node]:
        return [node("evil:1")]

    selector = build()
    selector.apply([node("a:1")])
    with pytest.raises(Error, match="made_up leaves none of the 1 nodes") as caught:
        selector.select(call(), filters=[made_up])
    assert caught.value.reason == "no_available_node"


@every_strategy
def test_avoided_node_is_not_picked_while_there_is_another(build: Callable[[], Selector]) -> None:
    selector = build()
    selector.apply([node("a:1"), node("b:1")])
    picked = {selector.select(call(), avoid={"a:1"}).node.address for _ in range(20)}
    assert picked == {"b:1"}


@every_strategy
def test_avoided_node_is_picked_when_it_is_the_only_one(build: Callable[[], Selector]) -> None:
    selector = build()
    selector.apply([node("a:1")])
    assert selector.select(call(), avoid=["a:1"]).node.address == "a:1"


@every_strategy
def test_address_that_is_listed_twice_counts_once(build: Callable[[], Selector]) -> None:
    selector = build()
    selector.apply([node("a:1", version="first"), node("a:1", version="second")])
    assert selector.select(call()).node.version == "first"


@every_strategy
def test_pick_of_a_removed_node_may_still_report(build: Callable[[], Selector]) -> None:
    selector = build()
    selector.apply([node("a:1")])
    pick = selector.select(call())
    selector.apply([node("b:1")])
    pick.done(Outcome.failure(Error(503)))
    assert selector.select(call()).node.address == "b:1"


@every_strategy
def test_report_after_the_first_is_counted_and_ignored(build: Callable[[], Selector]) -> None:
    selector = build()
    assert isinstance(selector, STRATEGIES)
    selector.apply([node("a:1")])
    pick = selector.select(call())
    pick.done(Outcome.SUCCESS)
    assert selector.late_reports == 0
    pick.done(Outcome.failure())
    pick.done(Outcome.CANCELLED)
    assert selector.late_reports == 2


ADDRESSES = st.sampled_from([f"10.0.0.{last}:80" for last in range(8)])
WEIGHTS = st.none() | st.integers(-5, 500)


@st.composite
def weighted_nodes(draw: st.DrawFn) -> Node:
    return node(draw(ADDRESSES), weight=draw(WEIGHTS))


@every_strategy
@given(
    sets=st.lists(st.lists(weighted_nodes(), max_size=8), max_size=8), avoided=st.sets(ADDRESSES)
)
def test_picks_come_only_from_the_set_in_force(
    build: Callable[[], Selector], sets: list[list[Node]], avoided: set[str]
) -> None:
    selector = build()
    open_picks: list[Pick] = []
    for nodes in sets:
        selector.apply(nodes)
        for avoid in ((), avoided):
            try:
                pick = selector.select(call(), avoid=avoid)
            except Error:
                assert not nodes
                continue
            assert pick.node in nodes
            open_picks.append(pick)
    for pick in open_picks:
        pick.done(Outcome.SUCCESS)


def test_random_choice_ignores_weights() -> None:
    numbers = iter([(n + 0.5) / 1000 for n in range(1000)])
    selector = RandomChoice(random=lambda: next(numbers))
    selector.apply([node("a:1", weight=1), node("b:1", weight=1000)])
    shares = Counter(selector.select(call()).node.address for _ in range(1000))
    assert shares == {"a:1": 500, "b:1": 500}


def test_random_choice_gives_each_of_two_nodes_about_half() -> None:
    selector = RandomChoice(random=Random(7).random)
    selector.apply([node("127.0.0.1:8080"), node("127.0.0.1:9090")])
    shares = Counter(selector.select(call()).node.address for _ in range(1000))
    assert sum(shares.values()) == 1000
    assert all(400 <= share <= 600 for share in shares.values())


def test_node_takes_everything_from_its_instance() -> None:
    instance = ServiceInstance(
        id="1",
        name="helloworld",
        version="v1.0.0",
        metadata={"weight": "10", "zone": "a"},
        endpoints=("grpc://127.0.0.1:9000",),
    )
    made = Node.of(instance, scheme="grpc", address="127.0.0.1:9000", secure=True)
    assert made == Node(
        scheme="grpc",
        address="127.0.0.1:9000",
        secure=True,
        name="helloworld",
        id="1",
        version="v1.0.0",
        weight=10,
        metadata={"weight": "10", "zone": "a"},
    )


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ("10", 10),
        ("-3", -3),
        ("+3", 3),
        ("0", 0),
        ("007", 7),
        ("9223372036854775807", 9223372036854775807),
        ("9223372036854775808", None),
        ("", None),
        ("-", None),
        ("1.5", None),
        ("1_0", None),
        (" 1", None),
        ("0x10", None),
        ("٣", None),
        ("9" * 5000, None),
    ],
)
def test_weight_is_read_as_go_reads_it(text: str, weight: int | None) -> None:
    instance = ServiceInstance(id="1", name="n", metadata={"weight": text})
    assert Node.of(instance, scheme="http", address="a:1").weight == weight


def test_equal_nodes_have_equal_hashes() -> None:
    assert hash(node("a:1")) == hash(node("a:1"))


def test_unix_path_is_told_apart_from_a_network_address() -> None:
    assert node("unix:/run/a.sock").unix_path == "/run/a.sock"
    assert node("127.0.0.1:80").unix_path is None
