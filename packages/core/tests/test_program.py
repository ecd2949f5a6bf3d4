"""Programs beside the tests, shown with one in Python."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from kratos.testing.program import Program, free_port, free_ports

SERVING = """
import socket, sys
print("here", flush=True)
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        server.accept()[0].sendall(b"x")
"""


class Server(Program):
    patience = 20.0

    def __init__(self, folder: Path, program: str = SERVING) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.program = program

    def command(self) -> Sequence[str]:
        return [sys.executable, "-c", self.program, str(self.port)]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.5) as connection:
                return connection.recv(1) == b"x"
        except OSError:
            return False


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "server")
    yield server
    server.kill()


def test_program_that_was_killed_is_back_at_the_same_address(server: Server) -> None:
    for _ in range(2):
        server.start()
        assert server.answers()
        server.kill()
        assert not server.answers()
    server.kill()
    assert server.last_words() == "here\n" * 2


def test_program_that_is_frozen_answers_again_when_it_is_thawed(server: Server) -> None:
    server.start()
    server.freeze()
    try:
        assert not server.answers()
    finally:
        server.thaw()
    server.wait()


def test_program_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    server = Server(tmp_path, "raise SystemExit('no room')")
    with pytest.raises(AssertionError, match=r"Server in .* ended by itself: no room"):
        server.start()


def test_program_that_does_not_serve_is_told(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Server, "patience", 0.0)
    server.program = "import time; time.sleep(60)"
    with pytest.raises(AssertionError, match="did not serve within 0 s"):
        server.start()
    with pytest.raises(AssertionError, match="is not running"):
        server.wait()  # it was ended


def test_program_that_does_not_run_hears_no_signal(server: Server) -> None:
    with pytest.raises(AssertionError, match="is not running"):
        server.signal(signal.SIGTERM)


def test_ports_are_free_and_each_another() -> None:
    ports = free_ports(50, beside=(1, -1))
    assert len(set(ports)) == 50
    for port in ports[:5]:
        socket.create_server(("127.0.0.1", port)).close()


def test_ports_that_one_process_was_given_are_not_given_to_another() -> None:
    ask = "from kratos.testing.program import free_ports; print(*free_ports(300)); input()"
    with subprocess.Popen(
        [sys.executable, "-c", ask], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs = set(map(int, other.stdout.readline().split()))
        ours = set(free_ports(300))
        other.communicate("\n")
    assert len(theirs) == len(ours) == 300
    assert not theirs & ours


def test_ports_of_a_process_that_has_ended_are_given_again() -> None:
    ask = "from kratos.testing.program import free_port; print(free_port())"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    free_port()
    table = Path(tempfile.gettempdir(), f"kratos-ports-{os.getuid()}").read_text(encoding="ascii")
    assert f"{done.stdout.strip()} " not in table
