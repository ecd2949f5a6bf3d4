from __future__ import annotations

import pytest

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
