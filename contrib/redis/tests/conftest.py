"""A Redis for the tests: the one that the environment names, else one from PATH."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

URL = "KRATOS_TEST_REDIS"
PROGRAM = "KRATOS_TEST_REDIS_SERVER"

# The root's conftest leaves tests out whose variable is not set, so it has to be set before.
if (found := shutil.which("redis-server")) is not None:
    os.environ.setdefault(PROGRAM, found)
if PROGRAM in os.environ:
    os.environ.setdefault(URL, "start")  # one that lives as long as the tests


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A Redis that a test may stop, freeze and start again, always at the same address."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(self._folder)}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [os.environ[PROGRAM], *words, "--save", "", "--appendonly", "no"],
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + 10
        while not self._answers():
            assert self._process.poll() is None, "Redis ended by itself"
            assert time.monotonic() < end, "Redis did not answer within 10 s"

    def stop(self) -> None:
        """End it at once, as the out-of-memory killer does; no harm if it is not running."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(7) == b"+PONG\r\n"
        except OSError:
            return False


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A running Redis that nobody else uses."""
    server = Server(tmp_path)
    server.start()
    yield server
    server.stop()


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
def prefix() -> str:
    """Keeps the keys of one test apart from those of others."""
    return f"test:{uuid4()}:"
