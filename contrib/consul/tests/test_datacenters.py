"""Two datacentres that know each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kratos.config import KeyValue
from kratos.config.config import read
from kratos.registry import ServiceInstance, get_service, instance_feed
from kratos.testing.convergence import PATIENCE, QUICK, holds, sees
from kratos_consul import MULTI, ConsulClient, ConsulRegistry, ConsulSource, ConsulUnavailable

pytestmark = [pytest.mark.service("consul"), pytest.mark.slow]

HERE = ServiceInstance(id="here", name="orders", metadata={"zone": "a"})
THERE = ServiceInstance(id="there", name="orders")

Connect = Callable[..., ConsulClient]


@pytest.fixture
async def pair(server_class: Any, tmp_path: Path) -> AsyncIterator[tuple[Any, Any]]:
    """An agent of each datacentre, which have joined."""
    servers = [
        server_class(tmp_path / name, name=name, wide=True, datacenter=name)
        for name in ("near", "far")
    ]
    for server in servers:
        await asyncio.to_thread(server.start)
    near, far = servers
    near.api("PUT", f"/agent/join/{far.wan}?wan=1")
    async with asyncio.timeout(PATIENCE):
        while not all(can_ask(*way) for way in ((near, "far"), (far, "near"))):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    yield near, far
    for server in servers:
        server.kill()


def can_ask(server: Any, datacenter: str) -> bool:
    try:
        return bool(server.api("GET", f"/catalog/nodes?dc={datacenter}"))
    except OSError:
        return False


def registry_of(client: ConsulClient, **options: Any) -> ConsulRegistry:
    return ConsulRegistry(client, health_check=False, health_check_interval=30.0, **options)


def told(instance: ServiceInstance, datacenter: str) -> ServiceInstance:
    return replace(instance, metadata={**instance.metadata, "dc": datacenter})


async def test_all_datacentres_are_followed_each_by_its_own_index(
    pair: tuple[Any, Any], connected: Connect
) -> None:
    near, far = (connected(server.address) for server in pair)
    for number in range(30):  # so that the indexes of the two are far apart
        pair[1].api("PUT", f"/kv/{number}", b"")
    registry = registry_of(near, datacenter=MULTI)
    watcher = await registry.watch("orders")
    state: Any = await watcher.read()
    assert list(state.value) == []
    assert state.token.keys() == {"near", "far"}

    async def until(*expected: ServiceInstance) -> None:
        nonlocal state
        async with asyncio.timeout(PATIENCE):
            while list(state.value) != list(expected):
                state = await watcher.changed(state.token) or await watcher.read()

    there = await registry_of(far).register(THERE)
    await until(told(THERE, "far"))
    here = await registry_of(near).register(HERE)
    await until(told(HERE, "near"), told(THERE, "far"))
    await there.withdraw()
    await until(told(HERE, "near"))
    await here.withdraw()
    await until()
    await watcher.aclose()


async def test_datacentre_that_is_away_keeps_what_it_said_last(
    pair: tuple[Any, Any], connected: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    near, far = (connected(server.address) for server in pair)
    await registry_of(near).register(HERE)
    await registry_of(far).register(THERE)
    states: list[Sequence[ServiceInstance]] = []
    registry = registry_of(near, datacenter=MULTI, wait=1.0)
    feed = instance_feed(registry, "orders", backoff=QUICK)
    feed.subscribe(states.append)

    await sees(states, told(HERE, "near"), told(THERE, "far"))
    pair[1].kill()
    changed = replace(HERE, version="v2")
    await registry_of(near).register(changed)

    await sees(states, told(changed, "near"), told(THERE, "far"))
    await holds(lambda: "datacentre far keeps what it said last" in caplog.text)
    assert feed.stale_since is None
    await feed.aclose()


async def test_one_datacentre_is_asked_by_its_name(
    pair: tuple[Any, Any], connected: Connect
) -> None:
    near, far = (connected(server.address) for server in pair)
    await registry_of(near).register(HERE)
    await registry_of(far).register(THERE)

    assert list(await get_service(registry_of(near, datacenter="far"), "orders")) == [THERE]
    assert list(await get_service(registry_of(near), "orders")) == [HERE]
    with pytest.raises(ConsulUnavailable, match="No path to datacenter"):
        await get_service(registry_of(near, datacenter="nowhere"), "orders")


async def test_configuration_of_another_datacentre_is_read(
    pair: tuple[Any, Any], connected: Connect
) -> None:
    pair[1].api("PUT", "/kv/config/app.json", b"{}")
    source = ConsulSource(connected(pair[0].address), "config", datacenter="far")

    assert list(await read(source)) == [KeyValue(key="app.json", value=b"{}", format="json")]
