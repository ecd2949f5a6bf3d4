"""A server of ours for clients of others: REST, gRPC and the rest on one port."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import trustme

from kratos import App
from kratos.middleware import recovery
from kratos.testing.app import running
from kratos.testing.echo import EchoService
from kratos.tls import ServerTls
from kratos.transport.http import Reply
from kratos_grpc import Grpc, GrpcWeb
from kratos_grpc.connect import Connect
from kratos_http import HttpServer, Request

TEXT = (b"content-type", b"text/plain; charset=utf-8")


@dataclass(frozen=True)
class Certificates:
    """A root, and what it issued for loopback, as files."""

    root: Path
    chain: Path
    key: Path


@dataclass(frozen=True)
class Served:
    """Where our server listens."""

    host: str
    port: int
    root: Path | None

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def url(self, path: str) -> str:
        return f"http{'s' if self.root else ''}://{self.address}{path}"


Serve: TypeAlias = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    found = Certificates(folder / "root.pem", folder / "chain.pem", folder / "key.pem")
    authority.cert_pem.write_to_path(found.root)
    for each in issued.cert_chain_pems:
        each.write_to_path(found.chain, append=True)
    issued.private_key_pem.write_to_path(found.key)
    return found


async def greet(request: Request) -> Reply:
    return Reply(200, (TEXT,), b"well met\n")


async def count(request: Request) -> Reply:
    body = await request.body()
    return Reply(200, (TEXT,), b"%d" % len(body))


@pytest.fixture
def serve(certificates: Certificates) -> Serve:
    """Returns what serves REST and RPC on one port for a block."""

    @asynccontextmanager
    async def served(*, tls: bool = False, **options: Any) -> AsyncGenerator[Served]:
        secret = ServerTls(certificate=certificates.chain, key=certificates.key) if tls else None
        server = HttpServer(
            "127.0.0.1:0", tls=secret, protocols=[Grpc(), GrpcWeb(), Connect()], **options
        )
        server.route("GET", "/")(greet)
        server.route("POST", "/")(count)
        app = App(
            name="http2",
            services=[EchoService()],
            middleware=[recovery()],
            servers=[server],
            signals=(),
        )
        async with running(app):
            host, _, port = app.endpoints[0].partition("://")[2].rpartition(":")
            yield Served(host, int(port), certificates.root if tls else None)

    return served


@pytest.fixture(params=[False, True], ids=["cleartext", "tls"])
def tls(request: pytest.FixtureRequest) -> bool:
    """Runs each test over TCP, with prior knowledge of HTTP/2, and over TLS."""
    return bool(request.param)
