"""The contracts once more, over Toxiproxy: lines that lose what is sent, and that end late."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from kratos.registry import RegistrationState, Registry, ServiceInstance
from kratos.testing.registry_contract import Backend, RegistryContract
from kratos.testing.source_contract import SourceBackend, SourceContract
from kratos.testing.toxiproxy import ToxiProxy
from kratos_zookeeper import ZooKeeperRegistry, ZooKeeperSource

pytestmark = [pytest.mark.service("zookeeper"), pytest.mark.service("toxiproxy"), pytest.mark.slow]

SESSION = 2.0  # seconds


@pytest.fixture
async def line(host: str) -> AsyncIterator[ToxiProxy]:
    name, _, port = host.partition(":")
    async with ToxiProxy(name, int(port), api=os.environ["KRATOS_TEST_TOXIPROXY"]) as made:
        yield made


class TestRegistry(RegistryContract):
    patience = 60.0  # seconds, on a busy machine

    @pytest.fixture
    async def backend(self, host: str, line: ToxiProxy) -> AsyncIterator[Backend]:
        made: list[Registry] = []

        def make(where: str = host) -> ZooKeeperRegistry:
            registry = ZooKeeperRegistry([where], root="/toxiproxy", session_timeout=SESSION)
            made.append(registry)
            return registry

        yield Backend(registry=make(line.address), peer=make(), make=make, faults=line)
        line.restore()
        for registry in made:
            await registry.aclose()

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
            await theirs.until()  # its session has ended
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
        async with self.watching(backend.peer, one.name) as seen:
            async with asyncio.timeout(self.patience):
                registry = ZooKeeperRegistry([line.address], root="/toxiproxy", timeout=2.0)
                await registry.register(one)
                await seen.until(one)
                await registry.aclose()
            await seen.until()

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


class TestSource(SourceContract):
    patience = 60.0  # seconds, on a busy machine

    @pytest.fixture
    async def backend(self, host: str, line: ToxiProxy, kazoo: Any) -> AsyncIterator[SourceBackend]:
        path = f"/toxiproxy/config-{uuid4().hex}"

        async def put(name: str, data: bytes) -> None:
            kazoo.ensure_path(path)
            if kazoo.exists(f"{path}/{name}"):
                kazoo.set(f"{path}/{name}", data)
            else:
                kazoo.create(f"{path}/{name}", data)

        yield SourceBackend(
            source=ZooKeeperSource([line.address], path, session_timeout=SESSION),
            make=lambda: ZooKeeperSource([host], path, session_timeout=SESSION),
            put=put,
            faults=line,
        )
        line.restore()
