"""From what a registry lists to the nodes that a client uses."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Sequence

import pytest

from kratos.client._sharing import lease_instances
from kratos.client.resolver import ConstantResolver, DiscoveryResolver
from kratos.errors import RegistryUnavailable
from kratos.registry import Registration, ServiceInstance, instance_feed
from kratos.registry.memory import MemoryRegistry
from kratos.selector import Node, NodeSet
from kratos.testing.clock import FakeClock
from kratos.watch import Feeds, Lease, Versioned, Watcher


def instance(
    number: int,
    *endpoints: str,
    version: str = "",
    metadata: dict[str, str] | None = None,
) -> ServiceInstance:
    return ServiceInstance(
        id=f"id{number}",
        name="svc",
        version=version,
        metadata=metadata or {},
        endpoints=endpoints or (f"http://10.0.0.{number}:80",),
    )


class FlakyRegistry(MemoryRegistry):
    """A registry that can be away, which breaks the watches that there are."""

    away = False

    async def watch(self, name: str, /) -> Watcher[Sequence[ServiceInstance]]:
        if self.away:
            raise RegistryUnavailable("the registry is away")
        return FlakyWatcher(self, await super().watch(name))


class FlakyWatcher:
    def __init__(self, registry: FlakyRegistry, inner: Watcher[Sequence[ServiceInstance]]) -> None:
        self._registry = registry
        self._inner = inner
        self.read = inner.read
        self.aclose = inner.aclose

    async def changed(self, since: object, /) -> Versioned[Sequence[ServiceInstance]] | None:
        answer = await self._inner.changed(since)
        if self._registry.away:
            raise RegistryUnavailable("the registry is away")
        return answer


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.registry = FlakyRegistry(clock=self.clock)
        self.seen: list[NodeSet] = []
        self._feeds: Feeds[Sequence[ServiceInstance]] = Feeds()
        self._resolvers: list[DiscoveryResolver] = []

    def lease(self) -> Lease[Sequence[ServiceInstance]]:
        return self._feeds.lease(
            "svc", lambda: instance_feed(self.registry, "svc", clock=self.clock)
        )

    def resolver(
        self,
        *,
        scheme: str = "http",
        secure: bool = False,
        version: str = "",
        size: int = 25,
        key: str | int = "key",
        keep: bool = True,
    ) -> DiscoveryResolver:
        resolver = DiscoveryResolver(
            self.lease(),
            service="svc",
            scheme=scheme,
            secure=secure,
            version=version,
            size=size,
            key=key,
            keep=keep,
            clock=self.clock,
        )
        self._resolvers.append(resolver)
        resolver.subscribe(self.seen.append)
        return resolver

    async def register(self, *instances: ServiceInstance) -> list[Registration]:
        registrations = [await self.registry.register(each) for each in instances]
        await self.clock.settle()
        return registrations

    async def aclose(self) -> None:
        for resolver in self._resolvers:
            await resolver.aclose()


@pytest.fixture
async def bench() -> AsyncGenerator[Bench]:
    bench = Bench()
    yield bench
    await bench.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


def addresses(nodes: NodeSet) -> list[str]:
    return [node.address for node in nodes.nodes]


async def test_first_endpoint_of_the_scheme_is_taken(bench: Bench) -> None:
    await bench.register(
        instance(1, "grpc://10.0.0.1:9000", "http://10.0.0.1:80", "http://10.0.0.1:81"),
        instance(2, "grpc://10.0.0.2:9000"),
        instance(3, "ws://10.0.0.3:80", "http://[::1]:80?isSecure=true"),
    )
    resolver = bench.resolver()
    assert addresses(await resolver.first()) == ["10.0.0.1:80", "[::1]:80"]


async def test_secure_client_takes_secure_endpoints(bench: Bench) -> None:
    await bench.register(instance(1, "grpc://10.0.0.1:9000"), instance(2, "grpcs://10.0.0.2:9000"))
    resolver = bench.resolver(scheme="grpc", secure=True)
    (node,) = (await resolver.first()).nodes
    assert (node.address, node.scheme, node.secure) == ("10.0.0.2:9000", "grpc", True)


async def test_node_carries_its_instance(bench: Bench) -> None:
    await bench.register(instance(1, version="v1", metadata={"weight": "7"}))
    (node,) = (await bench.resolver().first()).nodes
    assert node == Node(
        scheme="http",
        address="10.0.0.1:80",
        name="svc",
        id="id1",
        version="v1",
        weight=7,
        metadata={"weight": "7"},
    )


async def test_malformed_endpoint_is_passed_over(bench: Bench) -> None:
    await bench.register(
        instance(1, "http://[::1", "http://10.0.0.1:99999", "http://no host", "http://10.0.0.1:80")
    )
    assert addresses(await bench.resolver().first()) == ["10.0.0.1:80"]


async def test_address_that_two_instances_publish_counts_once(bench: Bench) -> None:
    await bench.register(instance(1, "http://10.0.0.1:80"), instance(2, "http://10.0.0.1:80"))
    (node,) = (await bench.resolver().first()).nodes
    assert node.id == "id1"


async def test_version_narrows_before_the_subset(bench: Bench) -> None:
    await bench.register(
        *(instance(number, version="v1") for number in range(1, 30)), instance(30, version="v2")
    )
    nodes = await bench.resolver(version="v2", size=2).first()
    assert addresses(nodes) == ["10.0.0.30:80"]


@pytest.mark.parametrize(
    ("key", "ids"),
    [("key", ["id1", "id5", "id0"]), ("c0ffee", ["id2", "id3", "id5"])],
)
async def test_subset_is_that_of_go(bench: Bench, key: str, ids: list[str]) -> None:
    await bench.register(*(instance(number) for number in range(6)))
    nodes = await bench.resolver(size=3, key=key).first()
    assert [node.id for node in nodes.nodes] == ids


async def test_numbered_clients_load_all_nodes_alike(bench: Bench) -> None:
    await bench.register(*(instance(number) for number in range(12)))
    resolvers = [bench.resolver(key=number, size=3) for number in range(8)]
    sets = [await resolver.first() for resolver in resolvers]
    used = Counter(node.id for each in sets for node in each.nodes)
    assert set(used.values()) == {2}
    assert len(used) == 12


async def test_numbered_client_has_the_same_nodes_after_each_start(bench: Bench) -> None:
    await bench.register(*(instance(number) for number in range(12)))
    first, again = bench.resolver(key=3, size=3), bench.resolver(key=3, size=3)
    assert addresses(await first.first()) == addresses(await again.first())


async def test_nodes_stay_in_use_while_the_registry_is_away(bench: Bench) -> None:
    await bench.register(instance(1), instance(2))
    resolver = bench.resolver()
    before = await resolver.first()
    bench.registry.away = True
    await bench.register(instance(3))  # wakes the watch, which then fails
    assert resolver.current.nodes == before.nodes
    assert resolver.current.stale_since is not None
    bench.registry.away = False
    await bench.clock.advance(60)
    assert addresses(resolver.current) == ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]
    assert resolver.current.stale_since is None


async def test_subset_of_zero_takes_all(bench: Bench) -> None:
    await bench.register(*(instance(number) for number in range(40)))
    assert len((await bench.resolver(size=0).first()).nodes) == 40


async def test_change_is_published_with_a_higher_revision(bench: Bench) -> None:
    (first,) = await bench.register(instance(1))
    bench.resolver()
    await bench.clock.settle()
    await bench.register(instance(2))
    await first.withdraw()
    await bench.clock.settle()
    assert [(nodes.revision, addresses(nodes)) for nodes in bench.seen] == [
        (1, ["10.0.0.1:80"]),
        (2, ["10.0.0.1:80", "10.0.0.2:80"]),
        (3, ["10.0.0.2:80"]),
    ]


async def test_change_that_leaves_the_nodes_alone_is_not_published(bench: Bench) -> None:
    await bench.register(instance(1))
    bench.resolver()
    await bench.clock.settle()
    await bench.register(instance(2, "grpc://10.0.0.2:9000"))
    assert len(bench.seen) == 1


async def test_empty_list_leaves_the_last_nodes_in_force(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    (registration,) = await bench.register(instance(1))
    resolver = bench.resolver()
    await bench.clock.advance(5)
    await registration.withdraw()
    await bench.clock.advance(5)
    assert addresses(resolver.current) == ["10.0.0.1:80"]
    assert resolver.current.stale_since == 1005.0
    await bench.register(instance(2, "grpc://10.0.0.2:9000"))
    await bench.clock.advance(5)
    assert resolver.current.stale_since == 1005.0
    (message,) = caplog.messages
    assert message.startswith(
        "svc: no usable instance is listed, the last good list (1) stays in use"
    )


async def test_good_list_replaces_a_stale_one(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    (registration,) = await bench.register(instance(1))
    resolver = bench.resolver()
    await bench.clock.settle()
    await registration.withdraw()
    await bench.clock.settle()
    with caplog.at_level(logging.INFO):
        await bench.register(instance(2))
    assert addresses(resolver.current) == ["10.0.0.2:80"]
    assert resolver.current.stale_since is None
    assert "svc: usable instances are listed again" in caplog.messages


async def test_same_list_after_an_empty_one_clears_the_mark(bench: Bench) -> None:
    (registration,) = await bench.register(instance(1))
    resolver = bench.resolver()
    await bench.clock.settle()
    await registration.withdraw()
    await bench.clock.settle()
    await bench.register(instance(1))
    assert (resolver.current.revision, resolver.current.stale_since) == (1, None)
    assert [nodes.stale_since is None for nodes in bench.seen] == [True, False, True]


async def test_empty_list_may_be_applied_by_choice(bench: Bench) -> None:
    (registration,) = await bench.register(instance(1))
    resolver = bench.resolver(keep=False)
    await bench.clock.settle()
    await registration.withdraw()
    await bench.clock.settle()
    assert resolver.current == NodeSet(nodes=(), revision=2)


async def test_service_that_was_never_there_has_an_empty_set(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    resolver = bench.resolver()
    assert resolver.current.revision == 0
    await bench.clock.settle()
    assert resolver.current == NodeSet(nodes=(), revision=1)
    assert caplog.messages == ["svc has no node: the registry lists no instance"]


async def test_instances_without_the_endpoint_are_named_in_the_log(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.register(instance(1), instance(2))
    bench.resolver(scheme="grpc", secure=True, version="v1")
    await bench.clock.settle()
    assert caplog.messages == [
        "svc has no node: of 2 instances none of version v1 has an endpoint grpcs://"
    ]


async def test_registry_that_is_away_from_the_start_is_told(bench: Bench) -> None:
    bench.registry.away = True
    resolver = bench.resolver()
    await bench.clock.settle()
    assert (resolver.current.revision, resolver.current.stale_since) == (0, 1000.0)
    bench.registry.away = False
    await bench.register(instance(1))
    await bench.clock.advance(60)
    assert resolver.current.stale_since is None
    assert addresses(await resolver.first()) == ["10.0.0.1:80"]


async def test_second_client_learns_at_once_that_the_registry_is_away(bench: Bench) -> None:
    bench.registry.away = True
    bench.resolver()
    await bench.clock.settle()
    assert bench.resolver().current.stale_since == 1000.0


async def test_first_waits_for_a_usable_set(bench: Bench) -> None:
    resolver = bench.resolver()
    waiting = asyncio.create_task(resolver.first())
    await bench.clock.settle()
    assert not waiting.done()
    await bench.register(instance(1))
    assert addresses(await waiting) == ["10.0.0.1:80"]


async def test_listener_hears_nothing_after_unsubscribing(bench: Bench) -> None:
    resolver = bench.resolver()
    heard: list[NodeSet] = []
    unsubscribe = resolver.subscribe(heard.append)
    unsubscribe()
    unsubscribe()
    await bench.register(instance(1))
    assert heard == []


async def test_listener_is_told_what_is_in_force(bench: Bench) -> None:
    await bench.register(instance(1))
    resolver = bench.resolver()
    await resolver.first()
    heard: list[NodeSet] = []
    resolver.subscribe(heard.append)
    assert heard == [resolver.current]


async def test_clients_of_one_watch_have_subsets_of_their_own(bench: Bench) -> None:
    await bench.register(*(instance(number) for number in range(6)))
    one = await bench.resolver(size=3, key="key").first()
    other = await bench.resolver(size=3, key="c0ffee").first()
    assert one.nodes != other.nodes


async def test_clients_of_one_discovery_share_a_watch() -> None:
    registry = MemoryRegistry()
    first, second = lease_instances(registry, "svc"), lease_instances(registry, "svc")
    other = lease_instances(registry, "other")
    assert first.feed is second.feed
    assert first.feed is not other.feed
    for lease in (first, second, other):
        await lease.aclose()


async def test_constant_set_is_at_hand() -> None:
    resolver = ConstantResolver([Node(scheme="http", address="a:1")])
    heard: list[NodeSet] = []
    unsubscribe = resolver.subscribe(heard.append)
    assert heard == [resolver.current] == [await resolver.first()]
    assert (resolver.current.revision, addresses(resolver.current)) == (1, ["a:1"])
    unsubscribe()
    await resolver.aclose()
