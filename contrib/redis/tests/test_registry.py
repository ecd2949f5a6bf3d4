"""The contract of registries, on a real Redis behind a line that can be disturbed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from kratos.registry import Registry, from_url
from kratos.testing.proxy import FaultProxy
from kratos.testing.registry_contract import Backend, RegistryContract
from kratos.url import parse_url

TTL = 4.0  # seconds; what is renewed three times in it stands on a busy machine, too


@pytest.mark.service("redis")
@pytest.mark.slow
class TestRedisRegistry(RegistryContract):
    patience = 60.0  # seconds, on a busy machine

    @pytest.fixture
    async def backend(self, url: str, prefix: str) -> AsyncIterator[Backend]:
        (address,) = parse_url(url).addresses(6379)
        host, _, port = address.rpartition(":")

        def registry(at: str) -> Registry:
            return from_url(f"redis://{at}/0?namespace={prefix}registry&ttl={TTL}s")

        async def lapse(seconds: float) -> None:
            if seconds <= TTL:  # a cancelled registration has to clean up, and not to lapse
                await asyncio.sleep(seconds)

        async with FaultProxy(host, int(port)) as proxy:
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
