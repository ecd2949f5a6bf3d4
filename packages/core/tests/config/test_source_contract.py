"""The sources of the core against the contract that all sources have."""

from __future__ import annotations

from pathlib import Path

import pytest

from kratos.config import ArgumentsSource, EnvSource, FileSource, MemorySource
from kratos.testing.faults import FaultySource
from kratos.testing.source_contract import SourceBackend, SourceContract


class TestMemory(SourceContract):
    @pytest.fixture
    def backend(self) -> SourceBackend:
        source = MemorySource()
        line = FaultySource(source)

        async def put(key: str, content: bytes) -> None:
            source.put(key, content)

        async def remove(key: str) -> None:
            source.remove(key)

        return SourceBackend(source=line, make=lambda: source, put=put, remove=remove, faults=line)


class TestFiles(SourceContract):
    poll: float | None = None

    @pytest.fixture
    def backend(self, tmp_path: Path) -> SourceBackend:
        def make() -> FileSource:
            return FileSource(tmp_path, poll=self.poll)

        async def put(key: str, content: bytes) -> None:
            (tmp_path / f".{key}").write_bytes(content)
            (tmp_path / f".{key}").replace(tmp_path / key)

        async def remove(key: str) -> None:
            (tmp_path / key).unlink()

        line = FaultySource(make())
        return SourceBackend(source=line, make=make, put=put, remove=remove, faults=line)


class TestPolledFiles(TestFiles):
    poll = 0.02


class TestEnvironment(SourceContract):
    @pytest.fixture
    def backend(self) -> SourceBackend:
        def make() -> EnvSource:
            environ = {"APP_A": "1", "APP_B__C": "hunter2", "OTHER": "2"}
            return EnvSource("APP_", nested="__", environ=environ)

        return SourceBackend(
            source=make(), make=make, holds={"a": b"1", "b.c": b"hunter2"}, secret="hunter2"
        )


class TestArguments(SourceContract):
    @pytest.fixture
    def backend(self) -> SourceBackend:
        def make() -> ArgumentsSource:
            return ArgumentsSource(["a=1", "b.c=hunter2"])

        return SourceBackend(
            source=make(), make=make, holds={"a": b"1", "b.c": b"hunter2"}, secret="hunter2"
        )


class TestNoArguments(SourceContract):
    @pytest.fixture
    def backend(self) -> SourceBackend:
        return SourceBackend(source=ArgumentsSource([]), make=lambda: ArgumentsSource([]), holds={})
