"""Services that do not register themselves: what their slices say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from kratos.registry import ServiceInstance, get_service, instance_feed
from kratos_kubernetes import KubernetesClient, KubernetesServices

pytestmark = pytest.mark.service("kubernetes")

PORTS = [
    {"name": "grpc", "port": 9000},
    {"name": "http-api", "port": 8000},
]


def endpoint(
    host: str, pod: str = "", conditions: Mapping[str, bool] | None = None, **more: Any
) -> dict[str, Any]:
    ready = {"ready": True} if conditions is None else dict(conditions)
    target = {"targetRef": {"kind": "Pod", "name": pod}} if pod else {}
    return {"addresses": [host], "conditions": ready, **target, **more}


@pytest.fixture
def services(client: KubernetesClient, space: Any) -> KubernetesServices:
    return KubernetesServices(client, namespace=space.name)


async def hosts(services: KubernetesServices) -> list[str]:
    found = await get_service(services, "orders")
    return [one.endpoints[0].rpartition("/")[2].rpartition(":")[0] for one in found]


async def test_pods_of_a_service_are_instances(services: KubernetesServices, space: Any) -> None:
    places: dict[str, Any] = {"nodeName": "node-1", "zone": "a"}
    space.slice("s1", "orders", [endpoint("10.0.0.1", "orders-a", **places)], ports=PORTS)
    space.slice("other", "orders2", [endpoint("10.0.0.9")], ports=PORTS)

    (one,) = await get_service(services, "orders")

    assert one == ServiceInstance(
        id="orders-a",
        name="orders",
        metadata={"node": "node-1", "zone": "a"},
        endpoints=("grpc://10.0.0.1:9000", "http://10.0.0.1:8000"),
    )


@pytest.mark.parametrize(
    ("port", "scheme"),
    [
        ({"name": "http"}, "http"),
        ({"name": "grpcs-public", "appProtocol": "http"}, "grpcs"),
        ({"appProtocol": "grpc"}, "grpc"),
        ({"appProtocol": "kubernetes.io/wss"}, "wss"),
        ({}, "TCP"),
    ],
)
async def test_scheme_is_what_the_port_says_first(
    services: KubernetesServices, space: Any, port: dict[str, str], scheme: str
) -> None:
    space.slice("s1", "orders", [endpoint("10.0.0.1")], ports=[{"port": 1, **port}])

    (one,) = await get_service(services, "orders")

    assert one.endpoints == (f"{scheme}://10.0.0.1:1",)


@pytest.mark.parametrize(
    ("conditions", "listed"),
    [
        ([{"ready": True}, {"ready": False}], [0]),
        ([{}, {"ready": False}], [0]),
        ([{"ready": False, "serving": True, "terminating": True}, {"ready": True}], [1]),
        (
            [
                {"ready": False, "serving": True, "terminating": True},
                {"ready": False, "serving": False, "terminating": True},
                {"ready": False, "serving": True},
            ],
            [0],
        ),
        ([{"ready": False}], []),
    ],
)
async def test_ready_ones_are_listed_else_those_that_serve_to_their_end(
    services: KubernetesServices,
    space: Any,
    conditions: Sequence[Mapping[str, bool]],
    listed: list[int],
) -> None:
    each = [endpoint(f"10.0.0.{i}", conditions=one) for i, one in enumerate(conditions)]
    space.slice("s1", "orders", each, ports=PORTS)

    assert await hosts(services) == [f"10.0.0.{i}" for i in listed]


async def test_slices_of_both_addresses_are_one_instance(
    services: KubernetesServices, space: Any
) -> None:
    space.slice("v4", "orders", [endpoint("10.0.0.1", "a")], ports=PORTS[:1])
    space.slice("v6", "orders", [endpoint("fd00::1", "a")], ports=PORTS[:1], addressType="IPv6")
    # While it moves from one slice to another, an endpoint is in both.
    space.slice("v4-2", "orders", [endpoint("10.0.0.1", "a")], ports=PORTS[:1])

    (one,) = await get_service(services, "orders")

    assert one.endpoints == ("grpc://10.0.0.1:9000", "grpc://[fd00::1]:9000")


async def test_service_of_another_namespace_is_asked_for_by_both_names(
    services: KubernetesServices, server: Any
) -> None:
    other = server.admin.namespace()
    other.slice("s1", "orders", [endpoint("10.0.0.1", "a")], ports=PORTS)

    (one,) = await get_service(services, f"orders.{other.name}")

    assert (one.name, one.id) == (f"orders.{other.name}", "a")
    assert list(await get_service(services, "orders")) == []


async def test_changes_are_seen_and_an_empty_service_is_empty(
    services: KubernetesServices, space: Any
) -> None:
    feed = instance_feed(services, "orders")
    states: asyncio.Queue[list[str]] = asyncio.Queue()
    feed.subscribe(lambda found: states.put_nowait([one.id for one in found]))
    two = [endpoint("10.0.0.1", "a"), endpoint("10.0.0.2", "b")]
    steps: list[tuple[Callable[[], None], list[str]]] = [
        (lambda: None, []),
        (lambda: space.slice("s1", "orders", two, ports=PORTS), ["a", "b"]),
        (lambda: space.slice("s1", "orders", two[1:], ports=PORTS), ["b"]),
        (lambda: space.slice("s2", "orders", two[:1], ports=PORTS), ["b", "a"]),
        (lambda: space.delete_slice("s1"), ["a"]),
        (lambda: space.delete_slice("s2"), []),
    ]
    try:
        for act, expected in steps:
            act()
            async with asyncio.timeout(10):
                assert await states.get() == expected
    finally:
        await feed.aclose()


async def test_registering_does_nothing(services: KubernetesServices) -> None:
    one = ServiceInstance(id="1", name="orders", endpoints=("grpc://10.0.0.1:9000",))

    registration = await services.register(one)
    await registration.renew()
    await registration.withdraw()

    assert registration.ttl is None
    assert list(await get_service(services, "orders")) == []
