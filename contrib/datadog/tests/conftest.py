"""An agent of the tests: a real socket that takes datagrams, and a strict reader of DogStatsD."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kratos.testing.log import MemoryLogger
from kratos_datadog import DogStatsdMeter

pytest.register_assert_rewrite("kratos.testing.meter_contract")

LINE = re.compile(
    r"(?P<name>[A-Za-z][A-Za-z0-9_.]*)(?P<values>(?::-?\d+(?:\.\d+)?(?:e[+-]\d+)?)+)"
    r"\|(?P<kind>c|g|ms|h|d)(?:\|@(?P<rate>[\d.]+))?(?:\|#(?P<tags>[^|\n]+))?"
)
PATIENCE = 10  # seconds for what another thread does


@dataclass(frozen=True)
class Line:
    name: str
    values: tuple[float, ...]
    kind: str
    tags: tuple[str, ...]
    rate: float = 1.0


class Agent:
    """Takes datagrams.

    Attributes:
        packets: All that have arrived so far.
    """

    def __init__(self, path: Path | None = None) -> None:
        if path is None:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            self._socket.bind(("127.0.0.1", 0))
            self.port: int = self._socket.getsockname()[1]
            self.address = f"udp://127.0.0.1:{self.port}"
        else:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.bind(str(path))
            self.address = f"unix://{path}"
        self.packets: list[bytes] = []

    def wait(self) -> None:
        """Wait for one more datagram."""
        self._socket.settimeout(PATIENCE)
        self.packets.append(self._socket.recv(1 << 16))

    def read(self) -> list[Line]:
        """Return the lines of all datagrams that have arrived."""
        self._socket.setblocking(False)
        while True:
            try:
                self.packets.append(self._socket.recv(1 << 16))
            except BlockingIOError:
                return [parse(line) for packet in self.packets for line in packet.split(b"\n")]

    def close(self) -> None:
        self._socket.close()


def parse(line: bytes) -> Line:
    found = LINE.fullmatch(line.decode())
    assert found is not None, line
    values = tuple(map(float, found["values"][1:].split(":")))
    assert len(values) == 1 or found["kind"] in ("ms", "h", "d")
    tags = tuple((found["tags"] or "").split(",")) if found["tags"] else ()
    assert all(len(tag) <= 200 for tag in tags)
    return Line(found["name"], values, found["kind"], tags, float(found["rate"] or 1))


@pytest.fixture
def agents() -> Iterator[Callable[..., Agent]]:
    made: list[Agent] = []

    def make(path: Path | None = None) -> Agent:
        made.append(Agent(path))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def agent(agents: Callable[..., Agent]) -> Agent:
    return agents()


@pytest.fixture
def log() -> MemoryLogger:
    return MemoryLogger()


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        *("DD_DOGSTATSD_URL", "DD_AGENT_HOST", "DD_DOGSTATSD_PORT", "DD_DOGSTATSD_SOCKET"),
        *("DD_TAGS", "DD_ENV", "DD_SERVICE", "DD_VERSION", "DD_ENTITY_ID"),
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def metering(log: MemoryLogger) -> Iterator[Callable[..., DogStatsdMeter]]:
    """Make meters that send when they are told to, and are closed at the end."""
    made: list[DogStatsdMeter] = []

    def make(address: str | None = None, **options: Any) -> DogStatsdMeter:
        options = {"interval": 3600, "log": log, **options}
        made.append(DogStatsdMeter(address, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()
