"""Go's gateway and ours, called alike: the same flags, files and requests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from tests.interop.gateway.node import Message, Node, read_message

__all__ = ["BOTH", "OURS", "Both", "Running", "differences", "running", "unused_port"]

Name = Literal["go", "kratos"]
BOTH: Final[tuple[Name, Name]] = ("go", "kratos")
PATIENCE: Final = 60.0  # seconds
# What the machine may take to connect is no part of what is compared.
ENVIRONMENT: Final = {"PROXY_DIAL_TIMEOUT": "5s"}
PASSED: Final = ("PATH", "HOME", "LANG", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE")
OURS: Final = Path(sys.executable).with_name("kratos-gateway")


@dataclass(slots=True)
class Running:
    """A gateway in a process of its own.

    Attributes:
        process: The process.
        port: Where it serves.
        debug: Where its pages for debugging are, if it was asked for them.
        log: What it writes.
    """

    process: subprocess.Popen[bytes]
    port: int
    debug: int
    log: Path

    def ask(self, request: bytes, *, port: int | None = None) -> Message:
        """Return the answer to a request, which is sent as it is.

        Raises:
            EOFError: It closed the connection without one.
        """
        with socket.create_connection(("127.0.0.1", port or self.port), PATIENCE) as connection:
            connection.sendall(request)
            bare = request.startswith(b"HEAD ")
            return read_message(connection.makefile("rb"), request=False, bare=bare)

    def get(self, path: str, *, port: int | None = None) -> Message:
        """Return what is at a path."""
        return self.ask(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), port=port)


@dataclass(slots=True)
class Both:
    """Go's gateway and ours before the same back end.

    Attributes:
        by_name: Each of them.
        node: Their back end.
        answers: What came of the newest request.
        requests: What the back end got of it.
    """

    by_name: Mapping[Name, Running]
    node: Node
    answers: dict[Name, Message] = field(default_factory=dict[Name, Message])
    requests: dict[Name, list[Message]] = field(default_factory=dict[Name, list[Message]])

    def ask(self, request: bytes, *answers: bytes) -> set[str]:
        """Send a request to both, while the back end gives some answers; return what differs."""
        for name, each in self.by_name.items():
            self.node.play(*(answers or (OK,)))
            self.answers[name] = each.ask(request)
            self.requests[name] = list(self.node.seen)
        go, ours = (self.requests[name] for name in BOTH)
        found = differences("answer", self.answers["go"], self.answers["kratos"])
        if len(go) != len(ours):
            return found | {f"requests: {len(go)} of Go's, {len(ours)} of ours"}
        for theirs, own in zip(go, ours, strict=True):
            found |= differences("request", theirs, own)
        return found


OK: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


def differences(what: str, go: Message, ours: Message) -> set[str]:
    """Return what differs between two messages.

    Headers are the same in any order and case, as HTTP has it; values of one name are not.
    """
    found = {
        f"{what} {part}" for part in ("line", "body") if getattr(go, part) != getattr(ours, part)
    }
    for kind in ("headers", "trailers"):
        theirs, own = _by_name(getattr(go, kind)), _by_name(getattr(ours, kind))
        found |= {
            f"{what} {kind.removesuffix('s')} {name}"
            for name in {*theirs, *own} - {"date"}
            if theirs.get(name) != own.get(name)
        }
    return found


def _by_name(headers: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    return found


def unused_port() -> int:
    """Return a port that nobody listens at just now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@contextmanager
def running(
    go: Path,
    node: Node,
    folder: Path,
    arguments: Sequence[str],
    *,
    ours: Sequence[str] = (),
    environment: Mapping[str, str] = {},
) -> Generator[Both]:
    """Start both.

    Args:
        go: The program of Go's.
        node: The back end.
        folder: For what they write; each is in a folder of its own below it, which has the files
            of this one.
        arguments: Flags, without addresses; ``{folder}`` is that folder, and ``{name}`` tells the
            one from the other.
        ours: Flags of ours alone.
        environment: Variables.
    """
    with ExitStack() as stack:
        made: dict[Name, Running] = {
            name: stack.enter_context(_one(name, go, folder, words, environment))
            for name, words in zip(BOTH, (arguments, (*arguments, *ours)), strict=True)
        }
        for each in made.values():
            _await(each)
        yield Both(made, node)


@contextmanager
def _one(
    name: Name, go: Path, folder: Path, arguments: Sequence[str], environment: Mapping[str, str]
) -> Generator[Running]:
    own = folder.with_name(f"{folder.name}-{name}")
    shutil.copytree(folder, own, dirs_exist_ok=True)
    port, debug = unused_port(), unused_port()
    words = [each.format(folder=own, name=name) for each in arguments]
    words += ["-addr", f"127.0.0.1:{port}"]
    if name == "go":
        command, debug = [str(go), *words], port
    else:
        command = [str(OURS), *words, "-debug.addr", f"127.0.0.1:{debug}"]
    passed = {each: os.environ[each] for each in PASSED if each in os.environ}
    log = own / "log"
    with log.open("wb") as writes:
        process = subprocess.Popen(
            command,
            env={**passed, **ENVIRONMENT, **environment},
            stdout=writes,
            stderr=writes,
            cwd=own,
        )
    try:
        yield Running(process, port, debug, log)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def _await(one: Running) -> None:
    """Wait until it serves."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", one.port), 1).close()
        except OSError as error:
            if one.process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"it does not serve: {one.log.read_text()}") from error
            time.sleep(0.05)
        else:
            return
