"""The suites over clients of etcd3, to be run where that can be imported; see ``test_etcd3.py``."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from importlib import import_module
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from kratos.config import Source
from kratos.registry import Registry, ServiceInstance, get_service
from kratos.testing.proxy import FaultProxy
from kratos.testing.registry_contract import Backend, RegistryContract
from kratos.testing.source_contract import SourceBackend, SourceContract
from kratos_etcd import EtcdClient, EtcdRegistry, EtcdSource, EtcdUnavailable
from kratos_etcd import etcd_pb2 as pb
from kratos_etcd.rpc import PUT, WATCH, Rpc

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    etcd3: Any = import_module("etcd3")

pytestmark = [pytest.mark.service("etcd"), pytest.mark.slow]

DELETE = Rpc("/etcdserverpb.KV/DeleteRange", pb.RangeRequest, pb.PutResponse)
TTL = 2.0  # seconds
# By itself it waits for up to two minutes before it connects again.
OPTIONS = (("grpc.max_reconnect_backoff_ms", 500), ("grpc.use_local_subchannel_pool", 1))

Connect = Callable[..., Any]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Make clients of etcd3 that are closed at the end."""
    made: list[Any] = []
    calls: list[Any] = []

    def open_(address: str, *, busy: bool = False, **options: Any) -> Any:
        host, _, port = address.rpartition(":")
        client = etcd3.client(host=host, port=int(port), grpc_options=OPTIONS, **options)
        made.append(client)
        if busy:  # gRPC keeps a thread for a channel with calls
            watch = WATCH.request(create_request=pb.WatchCreate(key=b"/busy"))
            serialize, deserialize = WATCH.request.SerializeToString, WATCH.reply.FromString
            ask = client.channel.unary_stream(WATCH.path, serialize, deserialize)
            calls.append(ask(watch))
        return client

    yield open_
    for call in calls:
        call.cancel()
    for client in made:
        client.close()


class TestRegistry(RegistryContract):
    patience = 60.0  # seconds, on a busy machine
    crowd: ClassVar[int] = 20

    @pytest.fixture
    async def backend(
        self, address: str, folder: str, connect: Connect, client: EtcdClient
    ) -> AsyncIterator[Backend]:
        host, _, port = address.rpartition(":")

        def registry(at: str) -> Registry:
            return EtcdRegistry(connect(at), namespace=folder, ttl=TTL)

        async def lapse(seconds: float) -> None:
            if seconds <= TTL:
                await asyncio.sleep(seconds)

        busy = connect(address, busy=True)
        peer = EtcdRegistry(client, namespace=folder, ttl=TTL)
        await get_service(peer, "nobody")  # gRPC has its thread from now on
        async with FaultProxy(host, int(port)) as proxy:
            disturbed = registry(proxy.address)
            yield Backend(
                registry=disturbed,
                peer=peer,
                make=lambda: EtcdRegistry(busy, namespace=folder, ttl=TTL),
                faults=proxy,
                lapse=lapse,
            )
            await disturbed.aclose()


class TestSource(SourceContract):
    patience = 60.0  # seconds, on a busy machine

    @pytest.fixture
    async def backend(
        self, address: str, folder: str, connect: Connect, client: EtcdClient
    ) -> AsyncIterator[SourceBackend]:
        host, _, port = address.rpartition(":")

        busy = connect(address, busy=True)

        def source(client: Any) -> Source:
            return EtcdSource(client, f"{folder}/", prefix=True)

        async def put(name: str, value: bytes) -> None:
            key = f"{folder}/{name}".encode()
            await client.ask(PUT, pb.PutRequest(key=key, value=value))

        async def remove(name: str) -> None:
            await client.ask(DELETE, pb.RangeRequest(key=f"{folder}/{name}".encode()))

        await get_service(EtcdRegistry(client), "nobody")  # gRPC has its thread from now on
        async with FaultProxy(host, int(port)) as proxy:
            yield SourceBackend(
                source=source(connect(proxy.address, busy=True)),
                make=lambda: source(busy),
                put=put,
                remove=remove,
                faults=proxy,
            )


async def test_user_of_the_client_is_the_one_that_asks(guarded: Any, connect: Connect) -> None:
    one = ServiceInstance(id="1", name="orders")
    registry = EtcdRegistry(connect(guarded.address, user="app", password="hunter2"))
    registration = await registry.register(one)
    assert list(await get_service(registry, "orders")) == [one]
    await registration.withdraw()
    await registry.aclose()

    nobody = EtcdRegistry(connect(guarded.address))
    with pytest.raises(EtcdUnavailable, match="asks for a user"):
        await get_service(nobody, "orders")


async def test_client_stays_open_and_its_owner_closes_it(address: str, connect: Connect) -> None:
    client = connect(address)
    registry = EtcdRegistry(client)
    watcher = await registry.watch(f"orders-{uuid4()}")
    state = await watcher.read()
    waiting = asyncio.ensure_future(watcher.changed(state.token))
    await asyncio.sleep(0)
    await registry.aclose()
    assert str(registry) == f"etcd://{address}/microservices"
    client.status()

    client.close()

    with pytest.raises(EtcdUnavailable):
        await waiting
    with pytest.raises(EtcdUnavailable, match="closed"):
        await get_service(EtcdRegistry(client), "orders")


async def test_more_watches_than_threads_are_refused_and_calls_need_none(
    address: str, folder: str, connect: Connect
) -> None:
    registry = EtcdRegistry(connect(address), namespace=folder)
    registration = await registry.register(ServiceInstance(id="1", name="orders"))
    watchers = [await registry.watch("orders") for _ in range(65)]
    states = [await watcher.read() for watcher in watchers]
    waits = [
        asyncio.ensure_future(watcher.changed(state.token))
        for watcher, state in zip(watchers, states, strict=True)
    ]
    done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)

    (refused,) = done
    with pytest.raises(EtcdUnavailable, match=r"no thread can watch over a client of etcd3: .*64"):
        await refused
    await registration.renew()
    await registration.withdraw()
    async with asyncio.timeout(10):
        seen = await asyncio.gather(*(wait for wait in waits if wait is not refused))
    assert [list(state.value) for state in seen if state] == [[]] * 64
    for watcher in watchers:
        await watcher.aclose()
    await registry.aclose()


async def test_server_that_is_away_is_named(connect: Connect) -> None:
    registry = EtcdRegistry(connect("127.0.0.1:1"))
    with pytest.raises(EtcdUnavailable, match=r"etcd at 127\.0\.0\.1:1 does not answer"):
        await get_service(registry, "orders")
