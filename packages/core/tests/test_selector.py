"""What every selection strategy keeps to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from random import Random

import pytest

from kratos.registry import ServiceInstance
from kratos.selector import (
    ConsistentHash,
    LeastLoaded,
    Node,
    NodeFilter,
    Outcome,
    OutlierEjection,
    Pick,
    PowerOfTwoChoices,
    RandomChoice,
    Selector,
    SlowStart,
    WeightedRoundRobin,
)
from kratos.selector import hash as hash_module
from kratos.selector import least as least_module
from kratos.selector import random as random_module
from kratos.selector import wrr as wrr_module
from kratos.testing.clock import FakeClock
from kratos.testing.echo import ECHO
from kratos.testing.selector_contract import SelectorContract
from kratos.transport import Call, Side

BUILDERS: dict[str, Callable[[], Selector]] = {
    "bounded hash": lambda: ConsistentHash(bound=1.25),
    "hash": hash_module.build,
    "least": least_module.build,
    # No time passes: a machine that is slow at the wrong moment would be held against a node.
    "p2c": lambda: PowerOfTwoChoices(clock=FakeClock()),
    "random": random_module.build,
    "wrr": wrr_module.build,
}
AROUND: dict[str, Callable[[Selector], Selector]] = {
    "outlier ejection": OutlierEjection,
    "slow start": SlowStart,
}
WRAPPED = [f"{around}/{name}" for around in AROUND for name in ("wrr", "least")]
STRATEGIES = (
    ConsistentHash, LeastLoaded, PowerOfTwoChoices, RandomChoice, WeightedRoundRobin,
)  # fmt: skip

every_strategy = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)


def call() -> Call:
    return Call(ECHO, side=Side.CLIENT, transport="test")


def node(address: str, *, weight: int | None = None, version: str = "") -> Node:
    return Node(scheme="http", address=address, weight=weight, version=version)


class TestSelectorContract(SelectorContract):
    """Each strategy, alone and under what may be put around it."""

    @pytest.fixture(params=[*BUILDERS, *WRAPPED])
    def build(self, request: pytest.FixtureRequest) -> Callable[[], Selector]:
        around, _, name = str(request.param).rpartition("/")
        make = BUILDERS[name]
        return (lambda: AROUND[around](make())) if around else make


class Broken(WeightedRoundRobin):
    """Does one thing wrong."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.nodes: Sequence[Node] = ()

    def apply(self, nodes: Sequence[Node], /) -> None:
        if self.fault == "begins anew":
            super().apply([])
        super().apply(nodes)
        self.nodes = nodes

    def select(
        self, call: Call, *, filters: Sequence[NodeFilter] = (), avoid: Collection[str] = ()
    ) -> Pick:
        if self.fault == "ignores what is to be avoided":
            avoid = ()
        pick = super().select(call, filters=filters, avoid=avoid)
        if self.fault == "keeps the list of others":
            pick.node = self.nodes[0]  # type: ignore[misc]
        return pick


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ("begins anew", "test_applying_the_same_set_again_and_again_changes_no_shares"),
        ("ignores what is to be avoided", "test_avoided_node_is_not_picked_while_there_is_another"),
        ("keeps the list of others", "test_list_that_was_applied_is_not_kept"),
    ],
)
def test_contract_finds_what_is_wrong(fault: str, test: str) -> None:
    with pytest.raises(AssertionError):
        getattr(SelectorContract(), test)(lambda: Broken(fault))


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
