from __future__ import annotations

import asyncio
import gc

import pytest

from kratos.errors import ConfigError
from kratos.registry import ServiceInstance, from_url, get_service, instance_feed
from kratos.registry.memory import MemoryRegistry
from kratos.testing.clock import FakeClock
from kratos.testing.faults import FaultyRegistry
from kratos.testing.registry_contract import Backend, RegistryContract


class TestMemory(RegistryContract):
    @pytest.fixture
    def backend(self) -> Backend:
        registry = MemoryRegistry()
        line = FaultyRegistry(registry, registry)
        return Backend(registry=line, peer=registry, make=lambda: registry, faults=line)


class TestMemoryWithTtl(RegistryContract):
    @pytest.fixture
    def backend(self) -> Backend:
        clock = FakeClock()
        registry = MemoryRegistry(ttl=15.0, clock=clock)
        line = FaultyRegistry(registry, registry)
        return Backend(
            registry=line, peer=registry, make=lambda: registry, faults=line, lapse=clock.advance
        )


ONE = ServiceInstance(id="1", name="orders")


async def test_services_of_one_name_meet_by_url() -> None:
    server = from_url("memory://meeting")
    client = from_url("memory://meeting?")

    await server.register(ONE)

    assert await get_service(client, "orders") == (ONE,)
    assert await get_service(from_url("memory://elsewhere"), "orders") == ()


async def test_named_registry_is_empty_again_when_nobody_holds_it() -> None:
    registry = from_url("memory://passing")
    await registry.register(ONE)
    del registry
    gc.collect()

    assert await get_service(from_url("memory://passing"), "orders") == ()


async def test_url_may_give_a_ttl() -> None:
    registration = await from_url("memory://expiring?ttl=15s").register(ONE)

    assert registration.ttl == 15.0


async def test_url_with_another_ttl_than_the_open_registry_is_refused() -> None:
    held = from_url("memory://one-ttl?ttl=15s")

    with pytest.raises(ConfigError, match=r"memory://one-ttl is open with ttl 15\.0"):
        from_url("memory://one-ttl?ttl=20s")
    assert held is from_url("memory://one-ttl?ttl=15s")


@pytest.mark.parametrize("url", ["memory://a,b", "memory://a/path", "memory://user@a"])
def test_url_with_more_than_a_name_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="a name and nothing else"):
        from_url(url)


def test_unknown_option_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown option 'size'"):
        from_url("memory://?size=1")


@pytest.mark.parametrize("ttl", [0.0, -1.0, float("nan")])
def test_ttl_must_be_positive(ttl: float) -> None:
    with pytest.raises(ValueError, match="ttl must be positive"):
        MemoryRegistry(ttl=ttl)


async def test_loss_by_silence_is_told() -> None:
    clock = FakeClock()
    registration = await MemoryRegistry(ttl=15.0, clock=clock).register(ONE)
    losing = asyncio.create_task(registration.lost())

    await clock.advance(14)
    assert not losing.done()

    await clock.advance(1)
    assert losing.done()


async def test_loss_by_a_successor_is_told() -> None:
    registry = MemoryRegistry()
    registration = await registry.register(ONE)
    losing = asyncio.create_task(registration.lost())
    await asyncio.sleep(0)

    await registry.register(ONE)

    async with asyncio.timeout(5):
        await losing


async def test_feed_shows_what_was_registered() -> None:
    registry = MemoryRegistry()
    feed = instance_feed(registry, "orders")
    await registry.register(ONE)

    assert await feed.first() == (ONE,)
    await feed.aclose()
    await registry.aclose()
