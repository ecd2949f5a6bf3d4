"""An etcd for the tests: the one that the environment names, else one from PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from urllib.request import urlopen
from uuid import uuid4

import pytest

pytest.register_assert_rewrite("kratos.testing.registry_contract", "kratos.testing.source_contract")

from kratos.testing.program import Program, free_port  # noqa: E402  after the rewriting
from kratos_etcd import EtcdClient  # noqa: E402

ADDRESS = "KRATOS_TEST_ETCD"
PROGRAM = "KRATOS_TEST_ETCD_SERVER"

# The root's conftest leaves tests out whose variable is not set, so it has to be set before.
if (found := shutil.which("etcd")) is not None:
    os.environ.setdefault(PROGRAM, found)
if PROGRAM in os.environ:
    os.environ.setdefault(ADDRESS, "start")  # one that lives as long as the tests


class Server(Program):
    """An etcd that a test may stop, freeze and start again, always at the same address."""

    def __init__(
        self, folder: Path, *options: str, version: str = "ETCD", scheme: str = "http"
    ) -> None:
        super().__init__(folder)
        self._program = os.environ[f"KRATOS_TEST_{version}_SERVER"]
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.options = list(options)  # they win
        self._client = f"{scheme}://{self.address}"
        self._peer = f"http://127.0.0.1:{free_port()}"
        self._health = f"http://127.0.0.1:{free_port()}"

    @property
    def peer(self) -> str:
        """Where it hears other members of its cluster."""
        return self._peer

    def command(self) -> Sequence[str]:
        options = {
            "--name": "test",
            "--data-dir": str(self.folder / "data"),
            "--log-level": "error",
            "--listen-client-urls": self._client,
            "--advertise-client-urls": self._client,
            "--listen-metrics-urls": self._health,
            "--listen-peer-urls": self._peer,
            "--initial-advertise-peer-urls": self._peer,
            "--initial-cluster": f"test={self._peer}",
        }
        words = [word for option in options.items() for word in option]
        return [self._program, "--unsafe-no-fsync", *words, *self.options]

    def stop(self) -> None:
        self.kill()

    def control(self, *words: str) -> str:
        """Run etcdctl, which comes with the server."""
        program = Path(os.environ[PROGRAM]).with_name("etcdctl")
        done = subprocess.run(
            [program, f"--endpoints={self._client}", *words],
            env={"ETCDCTL_API": "3"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def answers(self) -> bool:
        try:
            with urlopen(f"{self._health}/health", timeout=1) as answer:
                return b'"true"' in answer.read()
        except OSError:
            return False


@pytest.fixture(
    scope="session",
    params=[
        pytest.param("ETCD", id="etcd"),
        pytest.param("ETCD37", id="etcd37", marks=pytest.mark.service("etcd37")),
    ],
)
def version(request: pytest.FixtureRequest) -> str:
    """Of which etcd: what its variables are called."""
    found: str = request.param
    return found


@pytest.fixture(scope="session")
def address(version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an etcd that all tests share."""
    given = os.environ[f"KRATOS_TEST_{version}"]
    if given != "start":
        yield given
        return
    server = Server(tmp_path_factory.mktemp("etcd"))
    server.start()
    yield server.address
    server.stop()


@pytest.fixture
def own_server(server_class: Callable[..., Server], tmp_path: Path) -> Iterator[Server]:
    """A running etcd that nobody else uses."""
    server = server_class(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def client(address: str) -> AsyncIterator[EtcdClient]:
    async with EtcdClient([address]) as opened:
        yield opened


@pytest.fixture
async def connected() -> AsyncIterator[Callable[..., EtcdClient]]:
    """Make clients that are closed at the end."""
    made: list[EtcdClient] = []

    def connect(address: str, **options: object) -> EtcdClient:
        made.append(EtcdClient([address], **options))  # type: ignore[arg-type]
        return made[-1]

    yield connect
    for each in made:
        await each.aclose()


@pytest.fixture
def folder() -> str:
    """Keeps the keys of one test apart from those of others."""
    return f"/test/{uuid4()}"


@pytest.fixture
def server_class(version: str) -> Callable[..., Server]:
    """For a test that needs an etcd with options of its own."""
    return partial(Server, version=version)


@pytest.fixture
async def own_client(own_server: Server) -> AsyncIterator[EtcdClient]:
    """A client of the etcd that nobody else uses."""
    async with EtcdClient([own_server.address]) as opened:
        yield opened


@pytest.fixture
def guarded(own_server: Server) -> Server:
    """An etcd whose user app may use /microservices/, and nothing else."""
    for command in (
        "user add root:root",
        "user grant-role root root",
        "user add app:hunter2",
        "role add app",
        "role grant-permission app --prefix=true readwrite /microservices/",
        "user grant-role app app",
        "auth enable",
    ):
        own_server.control(*command.split())
    return own_server
