"""Some of the instances of a service, and the parts of the requests that they get."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from fractions import Fraction
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.registry import Registry, ServiceInstance, from_url
from kratos.registry.memory import MemoryRegistry
from kratos.selector import Node, WeightedRoundRobin
from kratos.transport.http import Head, Wire
from kratos_gateway.api.gateway_pb2 import Backend
from kratos_gateway.backend.balancing import NO_CALL
from kratos_gateway.backend.shares import chosen, weighted
from kratos_gateway.backend.targets import BackendTarget, target_of
from kratos_gateway.testing import Backend as Backing
from kratos_gateway.testing import Proxied, backend, proxied, say
from kratos_http.testing import eventually


def node(number: int, *, weight: int | None = None, version: str = "", **metadata: str) -> Node:
    return Node(
        scheme="http",
        address=f"node:{number}",
        name="shop",
        id=str(number),
        version=version,
        weight=weight,
        metadata=metadata,
    )


def service(**fields: Any) -> BackendTarget:
    return target_of(Backend(target="discovery:///shop", **fields), scheme="http")


def addresses(nodes: Any) -> list[str]:
    return [each.address for each in nodes]


def test_labels_are_those_of_the_metadata_and_the_version_of_the_instance() -> None:
    nodes = [
        node(1, version="v1", zone="a"),
        node(2, version="v2", zone="a"),
        node(3, version="v2", zone="b"),
        Node(scheme="http", address="node:5", version="v1", metadata={"version": "v2"}),
    ]
    found = chosen(service(labels={"version": "v2"}), nodes, identity="")
    assert addresses(found) == ["node:2", "node:3", "node:5"]
    found = chosen(service(labels={"version": "v2", "zone": "a"}), nodes, identity="")
    assert addresses(found) == ["node:2"]
    assert chosen(service(labels={"zone": "c"}), nodes, identity="") == []
    assert chosen(service(), nodes, identity="") == nodes


def test_a_gateway_keeps_to_some_nodes_and_others_use_others() -> None:
    nodes = [node(number, version="v1" if number % 2 else "v2") for number in range(40)]
    target = service(subset_size=5, labels={"version": "v1"})
    mine = addresses(chosen(target, nodes, identity="one/0"))
    assert len(set(mine)) == 5
    assert mine == addresses(chosen(target, nodes, identity="one/0"))
    assert all(each.version == "v1" for each in nodes if each.address in mine)
    used = {
        address
        for gateway in range(40)
        for address in addresses(chosen(target, nodes, identity=f"gateway-{gateway}/0"))
    }
    assert len(used) == 20


@given(
    st.lists(
        st.tuples(
            st.integers(0, 100),
            st.lists(st.none() | st.integers(-1, 50), min_size=1, max_size=5),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_the_nodes_of_a_service_share_its_weight_exactly(
    services: list[tuple[int, list[int | None]]],
) -> None:
    nodes: list[Node] = []
    targets: dict[str, BackendTarget] = {}
    for weight, own in services:
        target = service(weight=weight)
        for each in own:
            nodes.append(node(len(nodes), weight=each))
            targets[nodes[-1].address] = target
    found = {each.address: each.weight or 0 for each in weighted(nodes, targets)}
    counted = [
        (weight, own) for weight, own in services if any(each is None or each > 0 for each in own)
    ]
    whole = sum(weight for weight, _ in counted)
    total = sum(found.values())
    assert (total > 0) == (whole > 0)
    at = 0
    for weight, own in services:
        mine = [10 if each is None else max(0, each) for each in own]
        for each in mine:
            if whole and sum(mine):
                wanted = Fraction(weight * each, whole * sum(mine))
                assert Fraction(found[f"node:{at}"], total) == wanted
            at += 1


def test_nodes_without_any_weight_stay_without() -> None:
    nodes = [node(1), node(2)]
    assert weighted(nodes, {each.address: service() for each in nodes}) == nodes


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6).filter(any))
def test_shares_hold_over_each_round(weights: list[int]) -> None:
    selector = WeightedRoundRobin()
    nodes = [node(number) for number in range(len(weights))]
    targets = {
        each.address: service(weight=weight) for each, weight in zip(nodes, weights, strict=True)
    }
    given_weights = weighted(nodes, targets)
    selector.apply(given_weights)
    round_of = sum(each.weight or 0 for each in given_weights)
    counts = Counter(selector.select(NO_CALL).node.address for _ in range(2 * round_of))
    assert counts == Counter(
        {each.address: 2 * (each.weight or 0) for each in given_weights if each.weight}
    )


class Shop:
    """Instances of two versions in a registry, and a gateway before them."""

    def __init__(self, registry: Registry | None = None, *, name: str = "shop") -> None:
        self.registry: Registry = registry or MemoryRegistry()
        self.name = name
        self.nodes: dict[str, list[Backing]] = {"v1": [], "v2": []}
        self.registered: dict[str, list[Any]] = {"v1": [], "v2": []}
        self.stack = AsyncExitStack()

    async def add(self, version: str, **metadata: str) -> Backing:
        async def script(_head: Head, wire: Wire) -> None:
            await say(wire)

        made = await self.stack.enter_async_context(backend(script))
        number = sum(map(len, self.nodes.values()))
        instance = ServiceInstance(
            id=f"{self.name}-{number}",
            name=self.name,
            version=version,
            endpoints=(f"http://{made.address}",),
            metadata=metadata,
        )
        self.registered[version].append(await self.registry.register(instance))
        self.nodes[version].append(made)
        return made

    def counts(self, version: str) -> list[int]:
        counts = [len(each.heads) for each in self.nodes[version]]
        for each in self.nodes[version]:
            each.heads.clear()
        return counts

    @asynccontextmanager
    async def gateway(self, *backends: dict[str, Any]) -> AsyncGenerator[Proxied]:
        given = [{"target": f"discovery:///{self.name}", **each} for each in backends]
        endpoint = {"path": "/*", "protocol": "HTTP", "timeout": "5s", "backends": given}
        async with proxied(endpoint, discovery=self.registry) as gateway:
            await gateway.proxy.ready()
            yield gateway


@asynccontextmanager
async def shop() -> AsyncGenerator[Shop]:
    made = Shop()
    async with made.stack:
        yield made


async def ask(gateway: Proxied, times: int) -> None:
    peer = await gateway.connect()
    for _ in range(times):
        assert (await peer.request("GET", "/")).status == 200


CANARY: list[dict[str, Any]] = [
    {"weight": 90, "labels": {"version": "v1"}},
    {"weight": 10, "labels": {"version": "v2"}},
]


async def test_a_part_of_the_requests_goes_to_a_version_however_many_instances_it_has() -> None:
    async with shop() as there:
        for version in ("v1", "v1", "v1", "v2"):
            await there.add(version)
        async with there.gateway(*CANARY) as gateway:
            await ask(gateway, 100)
            assert there.counts("v1") == [30, 30, 30]
            assert there.counts("v2") == [10]
            await there.add("v2")
            await eventually(lambda: len(gateway.proxy.show()[0]["nodes"]) == 5)
            await ask(gateway, 100)
            # What one had gone without before the other came is evened out: a request or two.
            assert sum(there.counts("v2")) == pytest.approx(10, abs=2)


async def test_a_version_that_is_gone_leaves_its_part_to_the_others() -> None:
    async with shop() as there:
        await there.add("v1")
        await there.add("v2")
        async with there.gateway(*CANARY) as gateway:
            await there.registered["v2"][0].withdraw()
            await eventually(lambda: len(gateway.proxy.show()[0]["nodes"]) == 1)
            await ask(gateway, 20)
            assert (there.counts("v1"), there.counts("v2")) == ([20], [0])


async def test_a_part_of_nothing_gets_nothing_while_others_are_there() -> None:
    off = [{**CANARY[0]}, {**CANARY[1], "weight": 0}]
    async with shop() as there:
        await there.add("v1")
        await there.add("v2")
        async with there.gateway(*off) as gateway:
            await ask(gateway, 20)
            assert (there.counts("v1"), there.counts("v2")) == ([20], [0])


async def test_instances_share_a_part_by_weights_of_their_own() -> None:
    async with shop() as there:
        await there.add("v1", weight="30")
        await there.add("v1")  # which counts as 10
        await there.add("v2", weight="500")
        async with there.gateway(*CANARY) as gateway:
            await ask(gateway, 400)
            assert there.counts("v1") == [270, 90]
            assert there.counts("v2") == [40]


async def test_without_a_part_instances_are_picked_by_weights_of_their_own() -> None:
    async with shop() as there:
        await there.add("v1", weight="30")
        await there.add("v1")
        await there.add("v1", weight="0")
        async with there.gateway({}) as gateway:
            await ask(gateway, 40)
            assert there.counts("v1") == [30, 10, 0]


async def test_a_gateway_is_connected_to_some_of_many() -> None:
    async with shop() as there:
        for _ in range(6):
            await there.add("v1")
        async with there.gateway({"subset_size": 2}) as gateway:
            await ask(gateway, 40)
            assert sorted(map(bool, there.counts("v1"))) == [False] * 4 + [True] * 2


async def test_labels_that_no_instance_has_are_told(caplog: pytest.LogCaptureFixture) -> None:
    async with shop() as there:
        await there.add("v1")
        async with there.gateway({"labels": {"version": "v3"}}) as gateway:
            peer = await gateway.connect()
            assert (await peer.request("GET", "/")).status == 502
    assert "there is no node of shop with version=v3" in caplog.text


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("etcd", marks=pytest.mark.service("etcd")),
        pytest.param("consul", marks=pytest.mark.service("consul")),
    ],
)
async def test_versions_have_their_parts_whatever_registry_tells_them(kind: str) -> None:
    registry = from_url(f"{kind}://{os.environ[f'KRATOS_TEST_{kind.upper()}']}")
    there = Shop(registry, name=f"shop-{uuid4().hex}")
    async with aclosing(registry), there.stack:
        for version in ("v1", "v1", "v2"):
            await there.add(version)
        async with there.gateway(*CANARY) as gateway:
            await eventually(lambda: len(gateway.proxy.show()[0]["nodes"]) == 3)
            await ask(gateway, 100)
            # What the first ones had before the others came is evened out: a request or two.
            assert sum(there.counts("v1")) == pytest.approx(90, abs=2)
            assert sum(there.counts("v2")) == pytest.approx(10, abs=2)
        for each in (*there.registered["v1"], *there.registered["v2"]):
            await each.withdraw()
