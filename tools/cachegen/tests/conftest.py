"""Servers that tests start, stop and start again, always at the same address."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from kratos.testing.program import Program, free_port

PROGRAMS = {"redis": "redis-server", "memcached": "memcached"}
HELLO = {"redis": b"PING\r\n", "memcached": b"version\r\n"}

# The root's conftest leaves tests out whose variable is not set, so it has to be set before.
for name, program in PROGRAMS.items():
    if (found := shutil.which(program)) is not None:
        os.environ.setdefault(f"KRATOS_TEST_{name.upper()}_SERVER", found)
    if f"KRATOS_TEST_{name.upper()}_SERVER" in os.environ:
        os.environ.setdefault(f"KRATOS_TEST_{name.upper()}", "start")


class Server(Program):
    """A Redis or a memcached."""

    def __init__(self, folder: Path, kind: str) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.url = f"{kind}://127.0.0.1:{self.port}"
        self._kind = kind

    def command(self) -> Sequence[str]:
        program = os.environ[f"KRATOS_TEST_{self._kind.upper()}_SERVER"]
        if self._kind == "redis":
            return [
                *(program, "--port", str(self.port), "--bind", "127.0.0.1"),
                *("--dir", str(self.folder), "--save", "", "--appendonly", "no"),
            ]
        user = ["-u", "root"] if os.geteuid() == 0 else []
        return [program, "-p", str(self.port), "-l", "127.0.0.1", "-U", "0", *user]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(HELLO[self._kind])
                return connection.recv(64) != b""
        except OSError:
            return False


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.service(name)) for name in ("redis", "memcached")]
)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A running server of each kind, that nobody else uses."""
    started = Server(tmp_path / request.param, request.param)
    started.start()
    yield started
    started.kill()
