"""A memcached for the tests: the one that the environment names, else one from PATH."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import pytest

pytest.register_assert_rewrite("kratos.testing.store_contract")

from kratos.testing.program import Program, free_port  # noqa: E402  after the rewriting

URL = "KRATOS_TEST_MEMCACHED"
PROGRAM = "KRATOS_TEST_MEMCACHED_SERVER"

# The root's conftest leaves tests out whose variable is not set, so it has to be set before.
if (found := shutil.which("memcached")) is not None:
    os.environ.setdefault(PROGRAM, found)
if PROGRAM in os.environ:
    os.environ.setdefault(URL, "start")  # one that lives as long as the tests


class Server(Program):
    """A memcached that a test may stop, freeze and start again, always at the same address."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"memcached://{self.address}"
        self._options = options

    def command(self) -> Sequence[str]:
        user = ["-u", "root"] if os.geteuid() == 0 else []
        here = ["-l", "127.0.0.1", "-p", str(self.port), "-U", "0", "-I", "2m"]
        return [os.environ[PROGRAM], *here, *user, *self._options]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                if "-Z" in self._options:  # it says nothing without TLS, and it listens
                    return True
                connection.sendall(b"version\r\n")
                return connection.recv(7) in (b"VERSION", b"CLIENT_")
        except OSError:
            return False


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers that nobody else uses."""
    made: list[Server] = []

    def start(*options: str) -> Server:
        made.append(Server(tmp_path / f"memcached-{len(made)}", *options))
        made[-1].start()
        return made[-1]

    yield start
    for server in made:
        server.kill()


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a memcached that all tests share."""
    if os.environ[URL] != "start":
        yield os.environ[URL]
        return
    server = Server(tmp_path_factory.mktemp("memcached"))
    server.start()
    yield server.url
    server.kill()


@pytest.fixture
def prefix() -> str:
    """Keeps the keys of one test apart from those of others."""
    return f"test:{uuid4()}:"
