"""Registries' own servers, to be killed and started again at the same address."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kratos.testing.program import free_ports

__all__ = ["KINDS", "Kind", "Server"]

_READY: Final = 60.0  # seconds to start


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How one is run.

    Attributes:
        program: The variable of the environment that names it, as `.ci/services` has it.
        arguments: Of its command line, for a folder and for ports.
        answers: What it is sent when it starts, and what its answer must hold.
        url: Of the registry, for a port.
        ports: How many it takes; the first is for clients.
        beside: What further ports are away from the first, where it chooses them itself.
        files: What to write into the folder before.
    """

    program: str
    arguments: Callable[[Path, Sequence[int]], Sequence[str]]
    answers: tuple[bytes, bytes]
    url: Callable[[int], str]
    ports: int = 1
    beside: Sequence[int] = ()
    files: Callable[[Path, Sequence[int]], Mapping[str, str]] = lambda _folder, _ports: {}


def _etcd(folder: Path, ports: Sequence[int]) -> Sequence[str]:
    client, peer = (f"http://127.0.0.1:{port}" for port in ports)
    return (
        *("--name", "test", "--data-dir", str(folder / "data"), "--log-level", "error"),
        *("--listen-client-urls", client, "--advertise-client-urls", client),
        *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
        *("--initial-cluster", f"test={peer}"),
    )


def _zoo_cfg(folder: Path, ports: Sequence[int]) -> Mapping[str, str]:
    options = {
        "tickTime": "500",
        "dataDir": str(folder / "data"),
        "clientPort": str(ports[0]),
        "clientPortAddress": "127.0.0.1",
        "admin.enableServer": "false",
        "4lw.commands.whitelist": "*",
    }
    return {"zoo.cfg": "".join(f"{name}={value}\n" for name, value in options.items())}


def _consul(folder: Path, ports: Sequence[int]) -> Sequence[str]:
    http, server, lan = map(str, ports)
    return (
        *("agent", "-dev", "-node", "test", "-bind", "127.0.0.1", "-client", "127.0.0.1"),
        *("-http-port", http, "-server-port", server, "-serf-lan-port", lan),
        *("-serf-wan-port", "-1", "-dns-port", "-1", "-grpc-port", "-1", "-grpc-tls-port", "-1"),
        *("-log-level", "error", "-data-dir", str(folder / "data")),
    )


KINDS: Final[Mapping[str, Kind]] = {
    "consul": Kind(
        program="KRATOS_TEST_CONSUL_SERVER",
        arguments=_consul,
        answers=(b"GET /v1/status/leader HTTP/1.0\r\n\r\n", b'"127.0.0.1:'),
        url=lambda port: f"consul://127.0.0.1:{port}?health_check_interval=1s&health_check=false",
        ports=3,
    ),
    "etcd": Kind(
        program="KRATOS_TEST_ETCD_SERVER",
        arguments=_etcd,
        answers=(b"GET /health HTTP/1.0\r\n\r\n", b'"true"'),
        url=lambda port: f"etcd://127.0.0.1:{port}/test?ttl=2s",
        ports=2,
    ),
    "nacos": Kind(
        program="KRATOS_TEST_NACOS_SERVER",
        arguments=lambda folder, ports: (str(folder / "home"), f"-Dserver.port={ports[0]}"),
        answers=(b"GET /nacos/v1/ns/operator/metrics HTTP/1.0\r\n\r\n", b'"UP"'),
        url=lambda port: f"nacos://127.0.0.1:{port}",
        beside=(1000, 1001, -1000),
    ),
    "redis": Kind(
        program="KRATOS_TEST_REDIS_SERVER",
        arguments=lambda folder, ports: (
            *("--bind", "127.0.0.1", "--port", str(ports[0])),
            *("--dir", str(folder), "--appendonly", "yes"),
        ),
        answers=(b"PING\r\n", b"+PONG"),
        url=lambda port: f"redis://127.0.0.1:{port}?ttl=2s",
    ),
    "zookeeper": Kind(
        program="KRATOS_TEST_ZOOKEEPER_SERVER",
        arguments=lambda folder, _ports: (str(folder / "zoo.cfg"),),
        answers=(b"srvr", b"Mode:"),
        url=lambda port: f"zookeeper://127.0.0.1:{port}/test?session_timeout=2s",
        files=_zoo_cfg,
    ),
}


class Server:
    """One server in a folder of its own.

    Args:
        kind: Which.
        folder: Where its files are; it is made.
    """

    def __init__(self, kind: Kind, folder: Path) -> None:
        self._kind = kind
        self._folder = folder
        self._ports = free_ports(kind.ports, beside=kind.beside)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Of a registry on it, with a ttl of two seconds."""
        return self._kind.url(self._ports[0])

    async def start(self) -> None:
        """Start it, and return when it serves."""
        self._folder.mkdir(exist_ok=True)
        for name, text in self._kind.files(self._folder, self._ports).items():
            (self._folder / name).write_text(text, encoding="utf-8")
        self._process = subprocess.Popen(  # noqa: ASYNC220 - `kill` must not wait for a loop
            [os.environ[self._kind.program], *self._kind.arguments(self._folder, self._ports)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        async with asyncio.timeout(_READY):
            while not await self._answers():
                if self._process.poll() is not None:
                    raise RuntimeError(f"{self._process.args!r} ended by itself")
                await asyncio.sleep(0.05)

    def kill(self) -> None:
        """End it at once; no harm if it is not running."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def forget(self) -> None:
        """Delete what it knows, once it is killed."""
        shutil.rmtree(self._folder)

    async def _answers(self) -> bool:
        asked, expected = self._kind.answers
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._ports[0])
        except OSError:
            return False
        try:
            async with asyncio.timeout(2):
                writer.write(asked)
                told = b""
                while part := await reader.read(4096):
                    told += part
                    if expected in told:
                        return True
                return False
        except (OSError, TimeoutError):
            return False
        finally:
            writer.close()
