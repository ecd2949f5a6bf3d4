from __future__ import annotations

from pathlib import Path

import pytest

from kratos.registry.file import FileRegistry
from kratos.testing.clock import FakeClock
from kratos.testing.faults import FaultyRegistry
from kratos.testing.registry_contract import Backend, RegistryContract


class TestFile(RegistryContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        clock = FakeClock()

        def make() -> FileRegistry:
            return FileRegistry(tmp_path / "registry", clock=clock)

        registry = make()
        line = FaultyRegistry(registry, registry)
        return Backend(registry=line, peer=make(), make=make, faults=line, lapse=clock.advance)


class TestPolledFile(RegistryContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        def make() -> FileRegistry:
            return FileRegistry(tmp_path / "registry", poll=0.005)

        registry = make()
        line = FaultyRegistry(registry, registry)
        return Backend(registry=line, peer=make(), make=make, faults=line)
