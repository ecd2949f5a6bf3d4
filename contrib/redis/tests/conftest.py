"""A Redis for the tests: the one that the environment names, else one from PATH."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

pytest.register_assert_rewrite("kratos.testing.registry_contract", "kratos.testing.source_contract")

from kratos.testing.program import Program, free_port  # noqa: E402  after the rewriting

URL = "KRATOS_TEST_REDIS"
PROGRAM = "KRATOS_TEST_REDIS_SERVER"

# The root's conftest leaves tests out whose variable is not set, so it has to be set before.
if (found := shutil.which("redis-server")) is not None:
    os.environ.setdefault(PROGRAM, found)
if PROGRAM in os.environ:
    os.environ.setdefault(URL, "start")  # one that lives as long as the tests


class Server(Program):
    """A Redis that a test may stop, freeze and start again, always at the same address."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        file: str = "",
        tls: Callable[[int], list[str]] | None = None,
    ) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"redis://{self.address}/0"
        self.options = list(options)  # they win
        self._sentinel = [file] if file else []
        self._tls = tls

    def command(self) -> Sequence[str]:
        options = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(self.folder)}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        if self._tls is not None:
            words += self._tls(self.port)
        last = ["--sentinel"] if self._sentinel else ["--save", "", "--appendonly", "no"]
        return [os.environ[PROGRAM], *self._sentinel, *words, *last, *self.options]

    def stop(self) -> None:
        self.kill()

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                if self._tls is not None:
                    return True
                connection.sendall(b"PING\r\n")
                return connection.recv(7) in (b"+PONG\r\n", b"-NOAUTH")
        except OSError:
            return False


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A running Redis that nobody else uses."""
    server = Server(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers with options of their own."""
    made: list[Server] = []

    def start(*options: str, **more: Any) -> Server:
        made.append(Server(tmp_path / f"redis-{len(made)}", *options, **more))
        made[-1].start()
        return made[-1]

    yield start
    for server in made:
        server.stop()


@pytest.fixture
async def cluster(serve: Callable[..., Server]) -> list[Server]:
    """Three nodes that share the slots, each on its own."""
    ports = [str(free_port()) for _ in range(3)]
    nodes = [serve("--cluster-enabled", "yes", "--cluster-port", port) for port in ports]
    ends = [0, 5461, 10923, 16384]
    for at, node in enumerate(nodes):
        async with connected(node.url) as client:
            await client.execute_command("CLUSTER", "ADDSLOTSRANGE", ends[at], ends[at + 1] - 1)
            await client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", at + 1)
            for other, port in zip(nodes[:at], ports, strict=False):
                await client.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port, port)
    async with asyncio.timeout(15):
        for node in nodes:
            async with connected(node.url) as client:
                while (await client.cluster("INFO"))["cluster_state"] != "ok":  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
    return nodes


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Redis that all tests share."""
    if os.environ[URL] != "start":
        yield os.environ[URL]
        return
    server = Server(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server.url
    server.stop()


def connected(url: str) -> Any:
    redis: Any = Redis  # its own types are not complete
    return redis.from_url(url)


@pytest.fixture
async def client(url: str) -> AsyncIterator[Any]:
    async with connected(url) as opened:
        yield opened


@pytest.fixture
async def own_client(own_server: Server) -> AsyncIterator[Any]:
    """A client of the Redis that nobody else uses."""
    async with connected(own_server.url) as opened:
        yield opened


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[str], Any]]:
    """Make clients of any server; they are closed at the end."""
    made: list[Any] = []

    def connect(url: str) -> Any:
        made.append(connected(url))
        return made[-1]

    yield connect
    for each in made:
        await each.aclose()


@pytest.fixture
def until() -> Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]:
    """Wait until what a server is asked is true."""

    async def until(condition: Callable[[], Awaitable[object]]) -> None:
        async with asyncio.timeout(15):
            while not await condition():  # noqa: ASYNC110  a server has no events
                await asyncio.sleep(0.02)

    return until


@pytest.fixture
def prefix() -> str:
    """Keeps the keys of one test apart from those of others."""
    return f"test:{uuid4()}:"
