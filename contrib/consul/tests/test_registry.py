"""The contract of registries, on a real Consul behind a line that can be disturbed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any

import pytest

from kratos.registry import Registry, ServiceInstance, from_url, get_service
from kratos.testing.proxy import FaultProxy
from kratos.testing.registry_contract import Backend, RegistryContract
from kratos_consul import ConsulRegistry

INTERVAL = 1.0  # seconds

pytestmark = [pytest.mark.service("consul"), pytest.mark.slow]


async def lapse(seconds: float) -> None:
    if seconds <= 2 * INTERVAL:  # a cancelled registration has to clean up, and not to lapse
        await asyncio.sleep(seconds)


class ConsulContract(RegistryContract):
    async def test_service_whose_name_begins_alike_is_another(  # type: ignore[override]
        self, backend: Backend, unique: str
    ) -> None:
        """Consul, and so the layout of Go, has one service of an id at each agent."""
        one = ServiceInstance(id=unique, name=unique)
        other = ServiceInstance(id=f"{unique}2", name=f"{unique}2")
        first = await backend.registry.register(one)
        second = await backend.registry.register(other)

        assert list(await get_service(backend.peer, one.name)) == [one]
        assert list(await get_service(backend.peer, other.name)) == [other]
        await first.withdraw()
        await second.withdraw()


class TestConsulRegistry(ConsulContract):
    patience = 60.0  # seconds, on a busy machine

    @pytest.fixture
    async def backend(self, address: str, proxy: FaultProxy) -> AsyncIterator[Backend]:
        def registry(at: str) -> Registry:
            # Nobody listens at the addresses of the contract, so no agent may look.
            options = f"health_check=false&health_check_interval={INTERVAL:.0f}s"
            return from_url(f"consul://{at}?{options}")

        disturbed, peer = registry(proxy.address), registry(address)
        yield Backend(
            registry=disturbed,
            peer=peer,
            make=lambda: registry(address),
            faults=proxy,
            lapse=lapse,
        )
        await disturbed.aclose()
        await peer.aclose()


class TestRegistryOfPythonConsul(ConsulContract):
    """The same through a client of python-consul, which blocks, in threads."""

    patience = 60.0  # seconds, on a busy machine
    limit = 2.0  # seconds; it has no limits of its own, so an attempt over a dead line is left

    @pytest.fixture
    async def backend(self, address: str, proxy: FaultProxy) -> AsyncIterator[Backend]:
        consul: Any = import_module("consul")

        def registry(at: str) -> ConsulRegistry:
            host, _, port = at.rpartition(":")
            client = consul.Consul(host=host, port=int(port))
            return ConsulRegistry(client, health_check=False, health_check_interval=INTERVAL)

        made = [registry(proxy.address), registry(address)]
        yield Backend(
            registry=made[0],
            peer=made[1],
            make=lambda: registry(address),
            faults=proxy,
            lapse=lapse,
        )
        await proxy.aclose()  # what is left waiting in a thread ends with its connection
        for each in made:
            await each.aclose()
