"""Nodes as others write them, and as others find them."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kratos.registry import ServiceInstance, get_service
from kratos.testing.registry_contract import RegistryContract
from kratos_zookeeper import ZooKeeperRegistry, ZooKeeperSource

pytestmark = pytest.mark.service("zookeeper")


class Tools(RegistryContract):
    """The tools of the contract, without its tests."""

    __test__ = False


tools = Tools()


@pytest.fixture
async def registry(host: str) -> AsyncIterator[ZooKeeperRegistry]:
    made = ZooKeeperRegistry([host])
    yield made
    await made.aclose()


async def test_instance_is_an_ephemeral_node_of_the_json_of_go(
    registry: ZooKeeperRegistry, kazoo: Any, unique: str
) -> None:
    one = ServiceInstance(id="1", name=unique, version="v1", endpoints=("grpc://a:1",))
    registration = await registry.register(one)

    data, stat = kazoo.get(f"/microservices/{unique}/1")

    assert json.loads(data) == {
        "id": "1",
        "name": unique,
        "version": "v1",
        "metadata": {},
        "endpoints": ["grpc://a:1"],
    }
    assert stat.ephemeralOwner
    assert kazoo.get_acls(f"/microservices/{unique}/1")[0][0].id.id == "anyone"
    await registration.withdraw()
    assert kazoo.get_children(f"/microservices/{unique}") == []


async def test_data_that_is_written_in_place_is_heard_of(
    registry: ZooKeeperRegistry, kazoo: Any, unique: str
) -> None:
    one = ServiceInstance(id="1", name=unique)
    other = ServiceInstance(id="1", name=unique, version="v2")
    path = f"/microservices/{unique}/1"
    async with tools.watching(registry, unique) as seen:
        await seen.until()
        kazoo.create(path, one.to_json(), ephemeral=True, makepath=True)
        await seen.until(one)
        kazoo.set(path, other.to_json())
        await seen.until(other)
        kazoo.delete(path)
        await seen.until()


async def test_node_that_nobody_can_read_hides_no_other_one(
    registry: ZooKeeperRegistry, kazoo: Any, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    one = ServiceInstance(id="1", name=unique)
    folder = f"/microservices/{unique}"
    kazoo.create(f"{folder}/0", b"\xff{", makepath=True)
    kazoo.create(f"{folder}/1", one.to_json())
    with caplog.at_level(logging.WARNING, "kratos.registry"):
        assert await get_service(registry, unique) == (one,)
        assert await get_service(registry, unique) == (one,)
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"{unique}/0" in line


async def test_source_has_the_node_first_and_then_its_children_in_order(
    host: str, kazoo: Any, unique: str
) -> None:
    path = f"/nodes-{unique}/app.json"
    kazoo.create(path, b'{"a": 1}', makepath=True)
    kazoo.create(f"{path}/b.yaml", b"b: 1")
    kazoo.create(f"{path}/level", b"debug")
    kazoo.create(f"{path}/folder")
    watcher = await ZooKeeperSource([host], path).watch()
    state = await watcher.read()
    assert [(one.key, one.value, one.format) for one in state.value] == [
        ("app.json", b'{"a": 1}', "json"),
        ("b.yaml", b"b: 1", "yaml"),
        ("level", b"debug", ""),
    ]
    kazoo.set(path, b"{}")
    assert await watcher.changed(state.token) is None
    assert (await watcher.read()).value[0].value == b"{}"
    await watcher.aclose()
