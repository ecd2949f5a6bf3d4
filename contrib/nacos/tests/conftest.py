"""A Nacos for the tests: the one that the environment names, and more of the same program."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from urllib.request import urlopen
from uuid import uuid4

import pytest

pytest.register_assert_rewrite("kratos.testing.registry_contract", "kratos.testing.source_contract")

from kratos.testing.program import Program, free_ports  # noqa: E402  after the rewriting
from kratos.testing.proxy import FaultProxy  # noqa: E402
from kratos_nacos import NacosClient  # noqa: E402

ADDRESS = "KRATOS_TEST_NACOS"
PROGRAM = "KRATOS_TEST_NACOS_SERVER"
HEALTH = "/nacos/v1/ns/operator/metrics"

# The root's conftest leaves tests out whose variable is not set, so it has to be set before.
if PROGRAM in os.environ:
    os.environ.setdefault(ADDRESS, "start")  # one that lives as long as the tests


class Server(Program):
    """A Nacos that a test may stop, freeze and start again, always at the same address."""

    patience = 90.0

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder)
        (self.port,) = free_ports(1, beside=(1000, 1001, -1000))
        self.address = f"127.0.0.1:{self.port}"
        self.home = folder / "home"
        self.options = list(options)

    def start(self) -> None:
        """Start it, up to three times: it gives its database ten seconds to open."""
        for _ in range(2):
            try:
                super().start()
            except AssertionError:
                self.kill()
            else:
                return
        super().start()

    def command(self) -> Sequence[str]:
        port = f"-Dserver.port={self.port}"
        return [os.environ[PROGRAM], str(self.home), port, *self.options]

    def answers(self) -> bool:
        try:
            with urlopen(f"http://{self.address}{HEALTH}", timeout=1) as answer:
                return b"UP" in answer.read()
        except OSError:
            return False

    def stop(self) -> None:
        self.kill()

    def last_words(self) -> str:
        lines = (self.folder / "log").read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(line for line in lines if "aused by" in line or "ERROR" in line)[-2000:]


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Nacos that all tests share."""
    if os.environ[ADDRESS] != "start":
        yield os.environ[ADDRESS]
        return
    server = Server(tmp_path_factory.mktemp("nacos"))
    server.start()
    yield server.address
    server.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A running Nacos that nobody else uses."""
    server = Server(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def server_class() -> type[Server]:
    """For a test that needs a Nacos with options of its own."""
    return Server


@pytest.fixture
async def client(address: str) -> AsyncIterator[NacosClient]:
    async with NacosClient([address]) as opened:
        yield opened


@pytest.fixture
async def connected() -> AsyncIterator[Callable[..., NacosClient]]:
    """Make clients that are closed at the end."""
    made: list[NacosClient] = []

    def connect(address: str, **options: object) -> NacosClient:
        made.append(NacosClient([address], **options))  # type: ignore[arg-type]
        return made[-1]

    yield connect
    for each in made:
        await each.aclose()


@pytest.fixture
async def proxy(address: str) -> AsyncIterator[FaultProxy]:
    """A line to the gRPC of the shared Nacos."""
    host, _, port = address.rpartition(":")
    async with FaultProxy(host, int(port) + 1000) as made:
        yield made


@pytest.fixture
def disturbed(
    address: str, proxy: FaultProxy, connected: Callable[..., NacosClient]
) -> NacosClient:
    """A client over that line."""
    return connected(address, grpc_offset=proxy.port - int(address.rpartition(":")[2]))


@pytest.fixture
def group() -> str:
    """Keeps what one test does apart from what others do."""
    return f"test-{uuid4()}"
