from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from kratos.registry import Registry, from_url
from kratos.testing.proxy import FaultProxy
from kratos.testing.registry_contract import Backend, RegistryContract
from kratos.testing.source_contract import SourceBackend, SourceContract
from kratos_zookeeper import ZooKeeperRegistry, ZooKeeperSource

pytestmark = [pytest.mark.service("zookeeper"), pytest.mark.timeout(60)]


class TestRegistry(RegistryContract):
    patience = 60.0  # seconds, on a busy machine

    @pytest.fixture
    async def backend(self, host: str, proxy: FaultProxy) -> AsyncIterator[Backend]:
        made: list[Registry] = []

        def make(where: str = host) -> ZooKeeperRegistry:
            registry = ZooKeeperRegistry([where], root="/contract/services", session_timeout=2.0)
            made.append(registry)
            return registry

        line = f"127.0.0.1:{proxy.port}"
        yield Backend(registry=make(line), peer=make(), make=make, faults=proxy)
        proxy.restore()
        for registry in made:
            await registry.aclose()


class TestRegistryByUrlWithPassword(RegistryContract):
    patience = 60.0  # seconds, on a busy machine

    @pytest.fixture
    async def backend(self, host: str) -> AsyncIterator[Backend]:
        made: list[Registry] = []

        def make() -> Registry:
            registry = from_url(f"zookeeper://orders:s%3Acret@{host}/private?session_timeout=2s")
            made.append(registry)
            return registry

        yield Backend(registry=make(), peer=make(), make=make)
        for registry in made:
            await registry.aclose()


class TestSource(SourceContract):
    patience = 60.0  # seconds, on a busy machine

    @pytest.fixture
    async def backend(
        self, host: str, proxy: FaultProxy, kazoo: Any
    ) -> AsyncIterator[SourceBackend]:
        path = f"/contract/config-{uuid4().hex}"

        def make(where: str = host) -> ZooKeeperSource:
            return ZooKeeperSource([where], path, session_timeout=2.0)

        async def put(name: str, data: bytes) -> None:
            kazoo.ensure_path(path)
            if kazoo.exists(f"{path}/{name}"):
                kazoo.set(f"{path}/{name}", data)
            else:
                kazoo.create(f"{path}/{name}", data)

        async def remove(name: str) -> None:
            kazoo.delete(f"{path}/{name}")

        line = f"127.0.0.1:{proxy.port}"
        yield SourceBackend(source=make(line), make=make, put=put, remove=remove, faults=proxy)
        proxy.restore()

    async def test_nothing_is_left_running(self, backend: SourceBackend) -> None:
        """The line between has tasks of its own, which end a moment after the connection."""
        await super().test_nothing_is_left_running(replace(backend, source=backend.make()))
