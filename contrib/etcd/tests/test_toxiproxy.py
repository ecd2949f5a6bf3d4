"""The contracts once more, over Toxiproxy: lines that lose what is sent, and that end late."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from kratos.registry import RegistrationState, ServiceInstance, get_service
from kratos.testing.registry_contract import Backend, RegistryContract
from kratos.testing.source_contract import SourceBackend, SourceContract
from kratos.testing.toxiproxy import ToxiProxy
from kratos_etcd import EtcdClient, EtcdRegistry, EtcdSource
from kratos_etcd import etcd_pb2 as pb
from kratos_etcd.rpc import PUT

pytestmark = [pytest.mark.service("etcd"), pytest.mark.service("toxiproxy"), pytest.mark.slow]

TTL = 2.0  # seconds


@pytest.fixture
async def line(address: str) -> AsyncIterator[ToxiProxy]:
    host, _, port = address.rpartition(":")
    async with ToxiProxy(host, int(port), api=os.environ["KRATOS_TEST_TOXIPROXY"]) as made:
        yield made


class TestEtcdRegistry(RegistryContract):
    patience = 60.0  # seconds, on a busy machine

    @pytest.fixture
    async def backend(
        self, address: str, folder: str, line: ToxiProxy, client: EtcdClient
    ) -> AsyncIterator[Backend]:
        def registry(at: EtcdClient) -> EtcdRegistry:
            return EtcdRegistry(at, namespace=folder, ttl=TTL)

        peer = registry(client)
        await get_service(peer, "nobody")  # gRPC keeps a thread from its first connection on
        async with EtcdClient([line.address], timeout=1.0) as disturbed:
            yield Backend(
                registry=registry(disturbed), peer=peer, make=lambda: registry(client), faults=line
            )

    async def test_half_open_connection_is_noticed_and_what_was_known_stays_known(
        self, backend: Backend, line: ToxiProxy
    ) -> None:
        """What is sent is lost in silence: the instance goes, and comes back."""
        one = ServiceInstance(id="1", name=f"orders-{uuid4()}")
        async with (
            self.watching(backend.peer, one.name) as theirs,
            self.watching(backend.registry, one.name) as ours,
            self.keeping(backend.registry, one) as kept,
        ):
            await kept.until(RegistrationState.HELD)
            await theirs.until(one)
            await ours.until(one)

            line.stall()
            await theirs.until()  # its lease has run out
            await kept.until(RegistrationState.LOST)
            assert list(ours.states[-1]) == [one]
            line.restore()

            await kept.until(RegistrationState.HELD)
            await theirs.until(one)
            await ours.until(one)

    async def test_connection_that_ends_late_holds_nothing_up(
        self, backend: Backend, line: ToxiProxy
    ) -> None:
        """Its other end is gone long before it is told."""
        line.linger(60.0)
        one = ServiceInstance(id="1", name=f"orders-{uuid4()}")
        async with asyncio.timeout(self.patience):
            async with EtcdClient([line.address]) as client:
                registry = EtcdRegistry(client, namespace="/linger")
                registration = await registry.register(one)
                watcher = await registry.watch(one.name)
                state = await watcher.read()
                waiting = asyncio.ensure_future(watcher.changed(state.token))
                await registration.withdraw()
                await waiting
            await watcher.aclose()

    async def test_narrow_line_is_slow_and_not_broken(
        self, backend: Backend, line: ToxiProxy
    ) -> None:
        """Twenty kilobytes per second."""
        line.poison("bandwidth", rate=20)
        one = ServiceInstance(id="1", name=f"orders-{uuid4()}")
        async with (
            self.watching(backend.registry, one.name) as seen,
            self.keeping(backend.registry, one) as kept,
        ):
            await kept.until(RegistrationState.HELD)
            await seen.until(one)


class TestEtcdSource(SourceContract):
    patience = 60.0  # seconds, on a busy machine

    @pytest.fixture
    async def backend(
        self, folder: str, line: ToxiProxy, client: EtcdClient
    ) -> AsyncIterator[SourceBackend]:
        async def put(name: str, value: bytes) -> None:
            key = f"{folder}/{name}".encode()
            await client.ask(PUT, pb.PutRequest(key=key, value=value))

        async with EtcdClient([line.address], timeout=1.0) as disturbed:
            yield SourceBackend(
                source=EtcdSource(disturbed, f"{folder}/", prefix=True),
                make=lambda: EtcdSource(client, f"{folder}/", prefix=True),
                put=put,
                faults=line,
            )
