"""A Consul for the tests: the one that the environment names, and others to be disturbed."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest

from kratos.testing.program import Program, free_port, free_ports
from kratos.testing.proxy import FaultProxy

pytest.register_assert_rewrite("kratos.testing.registry_contract", "kratos.testing.source_contract")

from kratos_consul import ConsulClient  # noqa: E402  after the rewriting

ADDRESS: Final = "KRATOS_TEST_CONSUL"
PROGRAM: Final = "KRATOS_TEST_CONSUL_SERVER"


def operate(address: str, verb: str, path: str, body: Any = None, *, token: str = "") -> Any:
    """Ask an agent as an operator does, JSON or bytes; what it refuses is raised."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = Request(
        f"http://{address}/v1{quote(path, safe='/?&=')}",
        data,
        {"X-Consul-Token": token} if token else {},
        method=verb,
    )
    with urlopen(request, timeout=5) as answer:
        text = answer.read()
        return json.loads(text) if text.strip() else None


class Server(Program):
    """An agent that a test may kill, freeze and start again, always at the same address.

    Args:
        folder: For its files.
        name: Name of the node.
        keep: Whether it finds again what it knew when it is started once more.
        joins: The server that it belongs to, as its ``lan``; empty if it is one itself.
        token: Of a management that is asked for its state.
        wide: Whether other datacentres may join it.
        settings: More of its configuration.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "test",
        keep: bool = False,
        joins: str = "",
        token: str = "",
        wide: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(folder)
        http, server, gossip, wan = free_ports(4)
        self.port = http
        self.address = f"127.0.0.1:{http}"
        self.secure_address = ""
        self.lan = f"127.0.0.1:{gossip}"
        self.wan = f"127.0.0.1:{wan}"
        self._token = token
        self._dev = not keep and not joins
        self._settings: dict[str, Any] = {
            "node_name": name,
            "bind_addr": "127.0.0.1",
            "client_addr": "127.0.0.1",
            "log_level": "warn",
            "disable_update_check": True,
            "performance": {"raft_multiplier": 1},
            **settings,
            "ports": {
                "http": http,
                "server": server,
                "serf_lan": gossip,
                "serf_wan": wan if wide else -1,
                "dns": -1,
                "grpc": -1,
                "grpc_tls": -1,
                **settings.get("ports", {}),
            },
        }
        if keep:
            self._settings |= {"server": True, "bootstrap": True}
        if joins:
            self._settings |= {"retry_join": [joins], "retry_interval": "1s"}
        if not self._dev:
            self._settings["data_dir"] = str(folder / "data")

    def secure(self) -> None:
        """Let it speak TLS, on a port besides."""
        port = free_port()
        self.secure_address = f"127.0.0.1:{port}"
        self._settings["ports"]["https"] = port

    def listen(self, *more: str) -> None:
        """Let it listen elsewhere, too."""
        self._settings["addresses"] = {"http": " ".join(["127.0.0.1", *more])}

    def command(self) -> Sequence[str]:
        file = self.folder / "agent.json"
        file.write_text(json.dumps(self._settings))
        return [os.environ[PROGRAM], "agent", "-config-file", str(file), *["-dev"] * self._dev]

    def api(self, verb: str, path: str, body: Any = None) -> Any:
        """Ask it as an operator does; what it refuses is raised."""
        return operate(self.address, verb, path, body, token=self._token)

    def answers(self) -> bool:
        # A leader alone may not serve yet: it first restores what it knew, and tokens.
        try:
            return bool(self.api("GET", "/status/leader")) and bool(
                self.api("GET", f"/catalog/node/{self._settings['node_name']}")
            )
        except OSError:
            return False


@pytest.fixture(scope="session")
def address() -> str:
    """The address of the Consul that all tests share."""
    return os.environ[ADDRESS]


@pytest.fixture
def api(address: str) -> Callable[..., Any]:
    """Ask the shared Consul as an operator does."""
    return partial(operate, address)


@pytest.fixture
def server_class() -> type[Server]:
    """For a test that needs an agent with options of its own."""
    return Server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A running Consul that nobody else uses, and that forgets all when it is killed."""
    server = Server(tmp_path / "consul")
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def client(address: str) -> AsyncIterator[ConsulClient]:
    async with ConsulClient(address) as opened:
        yield opened


@pytest.fixture
async def connected() -> AsyncIterator[Callable[..., ConsulClient]]:
    """Make clients that are closed at the end."""
    made: list[ConsulClient] = []

    def connect(address: str, **options: Any) -> ConsulClient:
        made.append(ConsulClient(address, **options))
        return made[-1]

    yield connect
    for each in made:
        await each.aclose()


@pytest.fixture
async def own_client(own_server: Server) -> AsyncIterator[ConsulClient]:
    """A client of the Consul that nobody else uses."""
    async with ConsulClient(own_server.address, timeout=1.0) as opened:
        yield opened


@pytest.fixture
async def proxy(address: str) -> AsyncIterator[FaultProxy]:
    """A line to the shared Consul."""
    host, _, port = address.rpartition(":")
    async with FaultProxy(host, int(port)) as line:
        yield line


@pytest.fixture
def unique() -> str:
    """Keeps what one test registers apart from that of others."""
    return uuid4().hex
