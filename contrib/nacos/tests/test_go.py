"""One Nacos for both languages: peers in Go use the clients and the layout of Go Kratos."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from kratos.config import Config
from kratos.registry import ServiceInstance
from kratos.testing.registry_contract import RegistryContract
from kratos_nacos import NacosClient, NacosRegistry, NacosSource

pytestmark = [pytest.mark.go, pytest.mark.service("nacos"), pytest.mark.slow]

PATIENCE = 30.0

Start = Callable[..., AsyncGenerator["Peer"]]


class Tools(RegistryContract):
    """The tools of the contract, without its tests."""

    __test__ = False
    patience: ClassVar[float] = PATIENCE
    limit: ClassVar[float] = 5.0


class Peer:
    """A process in Go that tells what it sees."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        assert process.stdin is not None
        self.process = process
        self._lines = process.stdout
        self.input = process.stdin

    async def until(self, wanted: str) -> None:
        """Return when it has told this line."""
        told = ""
        async with asyncio.timeout(PATIENCE):
            while told != wanted:
                line = await self._lines.readline()
                assert line, f"the peer ended; it told last: {told}"
                told = line.decode().strip()

    async def leave(self) -> None:
        self.input.close()
        async with asyncio.timeout(PATIENCE):
            assert await self.process.wait() == 0


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("go") / "peer"
    subprocess.run(
        ["go", "build", "-o", str(made), "."],
        cwd=Path(__file__).with_name("go"),
        env={**os.environ, "GOTOOLCHAIN": "local"},
        check=True,
    )
    return made


@asynccontextmanager
async def peer(program: Path, address: str, folder: Path, *words: str) -> AsyncGenerator[Peer]:
    process = await asyncio.create_subprocess_exec(
        program, address, folder, *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield Peer(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def go_instance(name: str, group: str, port: int) -> ServiceInstance:
    """Return how the peer is read."""
    return ServiceInstance(
        id=f"127.0.0.1#{port}#DEFAULT#{group}@@{name}.grpc",
        name=name,
        version="go",
        metadata={"zone": "b"},
        endpoints=(f"grpc://127.0.0.1:{port}",),
    )


@pytest.mark.parametrize("asked", ["orders", "orders.grpc"])
async def test_instances_of_both_languages_find_each_other(
    address: str, client: NacosClient, group: str, program: Path, tmp_path: Path, asked: str
) -> None:
    tools, registry = Tools(), NacosRegistry(client, group=group)
    ours = ServiceInstance(
        id="py",
        name="orders",
        version="py",
        metadata={"zone": "a"},
        endpoints=("grpc://127.0.0.1:1", "http://127.0.0.1:2"),
    )
    endpoints = ours.endpoints if asked == "orders" else ours.endpoints[:1]
    seen_ours = ServiceInstance(
        id="py", name=asked, version="py", metadata=ours.metadata, endpoints=endpoints
    )
    go = [go_instance("orders", group, port) for port in (3, 4)]
    seen_go = [
        ServiceInstance(
            id=one.id,
            name=asked,
            version="go",
            metadata=one.metadata,
            endpoints=one.endpoints,
        )
        for one in go
    ]
    registration = await registry.register(ours)
    words = ("register", group, "orders.grpc")
    async with (
        peer(program, address, tmp_path / "3", *words, "127.0.0.1:3") as leaving,
        peer(program, address, tmp_path / "4", *words, "127.0.0.1:4") as killed,
        tools.watching(registry, asked) as seen,
    ):
        await seen.until(seen_ours, *seen_go)
        for theirs in (leaving, killed):
            await theirs.until(
                "found grpc://127.0.0.1:1/py grpc://127.0.0.1:3/go grpc://127.0.0.1:4/go"
            )

        await leaving.leave()
        await seen.until(seen_ours, seen_go[1])
        await killed.until("found grpc://127.0.0.1:1/py grpc://127.0.0.1:4/go")

        await registration.withdraw()
        await seen.until(seen_go[1])
        await killed.until("found grpc://127.0.0.1:4/go")

        killed.process.kill()
        await seen.until()


async def test_configuration_that_go_publishes_is_followed(
    address: str, client: NacosClient, group: str, program: Path, tmp_path: Path
) -> None:
    source = NacosSource(client, "app.yaml", group=group)
    async with (
        peer(program, address, tmp_path, "publish", group, "app.yaml") as writer,
        peer(program, address, tmp_path / "reader", "follow", group, "app.yaml") as reader,
        Config(source) as config,
    ):
        assert dict(config.snapshot.tree) == {}
        # By the client of version 2 and by that of version 1, in turn.
        for value in (1, 2, 3, 4):
            changed = asyncio.Event()
            stop = config.watch("", lambda _old, _new, changed=changed: changed.set())
            writer.input.write(f"a: {value}\n".encode())
            async with asyncio.timeout(PATIENCE):
                while dict(config.snapshot.tree) != {"a": value}:
                    await changed.wait()
                    changed.clear()
            stop()
            await reader.until(f"content a: {value}")
        await writer.leave()
