"""Users' own clients of kazoo, with which other things may be done at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest

from kratos.config.config import read
from kratos.errors import ConfigError, RegistryUnavailable
from kratos.registry import RegistrationState, Registry, ServiceInstance, get_service
from kratos.testing.proxy import FaultProxy
from kratos.testing.registry_contract import Backend, RegistryContract
from kratos.testing.source_contract import SourceBackend, SourceContract
from kratos.tls import ClientTls
from kratos_zookeeper import ZooKeeperRegistry, ZooKeeperSource

pytestmark = [pytest.mark.service("zookeeper"), pytest.mark.timeout(60)]

Connect = Callable[..., Any]

ROOT = "/client/services"


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Start clients that are stopped at the end."""
    made: list[Any] = []
    kazoo: Any = import_module("kazoo.client")

    def open_(host: str, **options: Any) -> Any:
        retry = {"max_tries": -1, "max_delay": 0.5}
        client = kazoo.KazooClient(host, timeout=2.0, connection_retry=retry, **options)
        made.append(client)
        client.start_async()
        return client

    yield open_
    for client in made:
        await asyncio.to_thread(client.stop)
        client.close()


def over(line: FaultProxy) -> str:
    return f"127.0.0.1:{line.port}"


class TestRegistry(RegistryContract):
    patience = 60.0  # seconds, on a busy machine

    @pytest.fixture
    async def backend(
        self, host: str, proxy: FaultProxy, connect: Connect
    ) -> AsyncIterator[Backend]:
        made: list[Registry] = []
        good = connect(host)

        def make(client: Any = good) -> ZooKeeperRegistry:
            registry = ZooKeeperRegistry(client, root=ROOT)
            made.append(registry)
            return registry

        disturbed = make(connect(over(proxy)))
        await get_service(disturbed, "nobody")  # the line has its tasks from now on
        yield Backend(registry=disturbed, peer=make(), make=make, faults=proxy)
        proxy.restore()
        for registry in made:
            await registry.aclose()


class TestSource(SourceContract):
    patience = 60.0  # seconds, on a busy machine

    @pytest.fixture
    async def backend(
        self, host: str, proxy: FaultProxy, kazoo: Any, connect: Connect
    ) -> AsyncIterator[SourceBackend]:
        path, good = f"/client/config-{uuid4().hex}", connect(host)

        async def put(name: str, data: bytes) -> None:
            kazoo.ensure_path(path)
            if kazoo.exists(f"{path}/{name}"):
                kazoo.set(f"{path}/{name}", data)
            else:
                kazoo.create(f"{path}/{name}", data)

        async def remove(name: str) -> None:
            kazoo.delete(f"{path}/{name}")

        disturbed = ZooKeeperSource(connect(over(proxy)), path)
        await read(disturbed)  # the line has its tasks from now on
        yield SourceBackend(
            source=disturbed,
            make=lambda: ZooKeeperSource(good, path),
            put=put,
            remove=remove,
            faults=proxy,
        )
        proxy.restore()


class Tools(RegistryContract):
    """The tools of the contract, without its tests."""

    patience = 60.0  # seconds, on a busy machine
    __test__ = False


tools = Tools()


async def test_session_of_the_client_goes_on_when_the_registry_is_closed(
    host: str, connect: Connect, unique: str
) -> None:
    client = connect(host)
    registry = ZooKeeperRegistry(client, root=ROOT)
    kept, gone = (ServiceInstance(id=key, name=unique) for key in ("1", "2"))
    await registry.register(kept)
    registration = await registry.register(gone)
    session = client.client_id
    await registration.withdraw()
    await registry.aclose()

    assert client.client_id == session
    assert await asyncio.to_thread(client.get_children, f"{ROOT}/{unique}") == ["1"]
    assert str(registry) == f"zookeeper://{host}{ROOT}"


async def test_session_that_the_client_lost_is_followed_by_its_next(
    host: str, proxy: FaultProxy, connect: Connect, unique: str
) -> None:
    one = ServiceInstance(id="1", name=unique)
    client = connect(over(proxy))
    registry, peer = (
        ZooKeeperRegistry(client, root=ROOT, timeout=1.0),
        ZooKeeperRegistry(connect(host), root=ROOT),
    )
    async with tools.watching(peer, one.name) as seen, tools.keeping(registry, one) as kept:
        await kept.until(RegistrationState.HELD)
        await seen.until(one)
        proxy.stall()
        await seen.until()
        await kept.until(RegistrationState.LOST)
        proxy.restore()
        await kept.until(RegistrationState.HELD)
        await seen.until(one)
    await registry.aclose()
    await peer.aclose()
    assert client.state_listeners == set()


@pytest.mark.parametrize("then", ["nothing", "again"])
async def test_registration_given_up_on_a_dead_line_is_taken_back_on_the_next_one(
    host: str, proxy: FaultProxy, connect: Connect, unique: str, then: str
) -> None:
    one = ServiceInstance(id="1", name=unique)
    client = connect(over(proxy), read_only=False)
    registry = ZooKeeperRegistry(client, root=ROOT)
    peer = ZooKeeperRegistry(connect(host), root=ROOT)
    await registry.register(ServiceInstance(id="other", name=unique))
    session = registry._connection.session()  # pyright: ignore[reportPrivateUsage]
    commit, done = session.commit, asyncio.Event()

    async def commit_and_lose_the_answer(transaction: Any) -> Any:
        await commit(transaction)
        proxy.cut()
        done.set()
        await asyncio.Event().wait()

    session.commit = commit_and_lose_the_answer  # type: ignore[method-assign]
    registering = asyncio.ensure_future(registry.register(one))
    await done.wait()
    registering.cancel()
    with suppress(asyncio.CancelledError):
        await registering
    session.commit = commit  # type: ignore[method-assign]

    async with tools.watching(peer, unique) as seen:
        proxy.restore()
        if then == "again":
            await registry.register(one)
            await seen.until(one, ServiceInstance(id="other", name=unique))
        else:
            await seen.until(ServiceInstance(id="other", name=unique))
    await registry.aclose()
    await peer.aclose()


async def test_client_that_was_not_started_is_asked_about(host: str) -> None:
    kazoo: Any = import_module("kazoo.client")
    registry = ZooKeeperRegistry(kazoo.KazooClient(host), timeout=0.2)
    with pytest.raises(RegistryUnavailable, match="is the client of kazoo started"):
        await get_service(registry, "orders")
    await registry.aclose()


async def test_nodes_are_the_users_alone_and_its_client_may_see_them(
    host: str, connect: Connect, unique: str
) -> None:
    one = ServiceInstance(id="1", name="orders")
    root = f"/private-{unique}"
    registry = ZooKeeperRegistry(connect(host), root=root, user="orders", password="secret")
    await registry.register(one)
    assert await get_service(registry, "orders") == (one,)
    other = ZooKeeperRegistry(connect(host), root=root)
    with pytest.raises(RegistryUnavailable, match="may not; see the ACL"):
        await get_service(other, "orders")
    for each in (registry, other):
        await each.aclose()


def test_what_does_not_fit_a_client_is_refused(host: str) -> None:
    kazoo: Any = import_module("kazoo.client")
    wrong: Any = object()
    with pytest.raises(ConfigError, match="must be a list of host:port, or a KazooClient"):
        ZooKeeperRegistry(wrong)
    for options in ({"tls": ClientTls()}, {"session_timeout": 4.0}):
        given: dict[str, Any] = options
        with pytest.raises(ConfigError, match="are matters of the client that is given"):
            ZooKeeperRegistry(kazoo.KazooClient(host), **given)


def test_name_has_the_folder_of_the_client() -> None:
    kazoo: Any = import_module("kazoo.client")
    registry = ZooKeeperRegistry(kazoo.KazooClient("a:1,b:2/shop"))
    assert str(registry) == "zookeeper://a:1,b:2/shop/microservices"
