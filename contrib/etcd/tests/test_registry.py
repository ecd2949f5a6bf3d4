"""The contract of registries, on a real etcd behind a line that can be disturbed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from kratos.registry import Registry, from_url, get_service
from kratos.testing.proxy import FaultProxy
from kratos.testing.registry_contract import Backend, RegistryContract

TTL = 2.0  # seconds; etcd grants no less


@pytest.mark.service("etcd")
@pytest.mark.slow
class TestEtcdRegistry(RegistryContract):
    patience = 60.0  # seconds, on a busy machine

    @pytest.fixture
    async def backend(self, address: str, folder: str) -> AsyncIterator[Backend]:
        host, _, port = address.rpartition(":")

        def registry(at: str) -> Registry:
            return from_url(f"etcd://{at}{folder}?ttl={TTL:.0f}s")

        async def lapse(seconds: float) -> None:
            if seconds <= TTL:  # a cancelled registration has to clean up, and not to lapse
                await asyncio.sleep(seconds)

        async with FaultProxy(host, int(port)) as proxy:
            disturbed, peer = registry(proxy.address), registry(address)
            await get_service(peer, "nobody")  # gRPC keeps a thread from its first connection on
            yield Backend(
                registry=disturbed,
                peer=peer,
                make=lambda: registry(address),
                faults=proxy,
                lapse=lapse,
            )
            await disturbed.aclose()
            await peer.aclose()
