"""A ZooKeeper for the tests: the one that the environment names, and others to be disturbed."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from kratos.testing.program import Program, free_port
from kratos.testing.proxy import FaultProxy
from kratos.url import parse_url

pytest.register_assert_rewrite("kratos.testing.registry_contract", "kratos.testing.source_contract")

URL: Final = "KRATOS_TEST_ZOOKEEPER"
PROGRAM: Final = "KRATOS_TEST_ZOOKEEPER_SERVER"


class Server(Program):
    """A ZooKeeper that a test may kill, freeze and start again, always at the same address."""

    def __init__(self, folder: Path, **options: object) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.options = options  # they come on top; an underscore stands for a dot

    def command(self) -> Sequence[str]:
        options: dict[str, object] = {
            "tickTime": 500,
            "dataDir": self.folder,
            "clientPort": self.port,
            "clientPortAddress": "127.0.0.1",
            "admin_enableServer": "false",
            "4lw_commands_whitelist": "*",
            "forceSync": "no",
            **self.options,
        }
        file = self.folder / "zoo.cfg"
        lines = [f"{name.replace('_', '.')}={value}\n" for name, value in options.items()]
        file.write_text("".join(lines))
        return [os.environ[PROGRAM], str(file)]

    def answers(self) -> bool:
        return bool(self.mode())

    def mode(self) -> str:
        """Return what part it plays, as ``standalone``; empty while it does not serve."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"srvr")
                said = b"".join(iter(lambda: connection.recv(4096), b""))
        except OSError:
            return ""
        found = re.search(rb"Mode: (\w+)", said)
        return found[1].decode() if found else ""


@pytest.fixture(scope="session")
def host() -> str:
    """The address of the ZooKeeper that all tests share."""
    (found,) = parse_url(os.environ[URL]).addresses(2181)
    return found


@pytest.fixture(name="free_port", scope="session")
def _free_port() -> Callable[[], int]:
    """Returns a port that nobody listens on."""
    return free_port


@pytest.fixture(scope="session")
def server_class() -> type[Server]:
    """For a test that needs a ZooKeeper with options of its own."""
    return Server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A running ZooKeeper that nobody else uses."""
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def proxy(host: str) -> AsyncIterator[FaultProxy]:
    """A line to the shared ZooKeeper."""
    name, _, port = host.partition(":")
    async with FaultProxy(name, int(port)) as line:
        yield line


@pytest.fixture
def kazoo(host: str) -> Iterator[Any]:
    """A client of the shared ZooKeeper, as others use it."""
    untyped: Any = import_module("kazoo.client")
    client = untyped.KazooClient(hosts=host)
    client.start()
    yield client
    client.stop()
    client.close()


@pytest.fixture
def unique() -> str:
    """Keeps the nodes of one test apart from those of others."""
    return uuid4().hex
