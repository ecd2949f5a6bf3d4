"""The contract of registries, on a real Nacos behind a line that can be disturbed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import ClassVar
from uuid import uuid4

import pytest

from kratos.errors import RegistrationLost
from kratos.registry import Registration, ServiceInstance, get_service, same_instances
from kratos.testing.proxy import FaultProxy
from kratos.testing.registry_contract import Backend, RegistryContract
from kratos_nacos import NacosClient, NacosRegistry


async def notices(registration: Registration) -> None:
    """Renew until the registration is lost; Nacos tells the old for half a second."""
    async with asyncio.timeout(10):
        while True:
            try:
                await registration.renew()
            except RegistrationLost:
                return
            await asyncio.sleep(0.05)


def some_instance() -> ServiceInstance:
    return ServiceInstance(
        id=f"one-{uuid4()}",
        name=f"orders-{uuid4()}",
        metadata={"weight": "10"},
        endpoints=("grpc://10.0.0.1:9000", "http://10.0.0.1:8000"),
    )


@pytest.mark.service("nacos")
@pytest.mark.slow
class TestNacosRegistry(RegistryContract):
    patience = 60.0  # seconds, on a busy machine
    limit: ClassVar[float] = 1.0

    @pytest.fixture
    async def backend(
        self, client: NacosClient, disturbed: NacosClient, group: str, proxy: FaultProxy
    ) -> AsyncIterator[Backend]:
        peer = NacosRegistry(client, group=group)
        registry = NacosRegistry(disturbed, group=group)
        await get_service(peer, "nobody")  # gRPC keeps a thread from its first connection on

        def make() -> NacosRegistry:
            return NacosRegistry(client, group=group)

        yield Backend(registry=registry, peer=peer, make=make, faults=proxy)
        await registry.aclose()
        await peer.aclose()

    # Nacos answers out of what it pushed last, so what happened just now is not seen at once.

    async def test_superseded_publication_leaves_its_successor_alone(
        self, backend: Backend
    ) -> None:
        """A predecessor hears of its successor, and takes its own entries away, no others."""
        old = some_instance()
        new = replace(old, version="v2")
        early = await backend.registry.register(old)
        late = await backend.peer.register(new)

        await notices(early)
        await early.withdraw()

        async with self.watching(backend.peer, old.name) as seen:
            await seen.until(new)
        await late.renew()
        await late.withdraw()

    async def test_renewal_of_what_is_gone_says_so(self, backend: Backend) -> None:
        """Nobody but its connection can take an entry away, so that is what is broken."""
        one = some_instance()
        registration = await backend.registry.register(one)
        self.faults(backend).reset()
        async with asyncio.timeout(self.patience):
            await registration.lost()

        await self.raises_lost(registration.renew())

    # Each endpoint is told by itself, so an instance may come with one and then with both.

    async def test_keeper_changes_an_instance_in_place(self, backend: Backend) -> None:
        """For weights, and for draining."""
        one = some_instance()
        changed = replace(one, metadata={"weight": "0"})
        async with self.watching(backend.peer, one.name) as seen:
            async with self.keeping(backend.registry, one) as kept:
                await seen.until(one)
                before = len(seen.states)
                kept.keeper.update(changed)
                await seen.until(changed)
                assert same_instances([state[0] for state in seen.states[before:]], [changed])
            await seen.until()
