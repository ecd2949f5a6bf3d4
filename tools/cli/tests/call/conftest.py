"""A depot that is served in the test's loop, and ``kratos call`` beside it."""

from __future__ import annotations

import asyncio
import atexit
import io
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest

from kratos import App, Error, server_call
from kratos.definition import MetadataService
from kratos.errors import FieldViolation
from kratos.testing.app import running
from kratos_cli.main import main
from kratos_cli.proto import compile_protos
from kratos_grpc import GrpcServer
from kratos_http import HttpServer

PROTO = Path(__file__).parent / "proto"

Engine: TypeAlias = Literal["kratos", "grpcio"]


def _compile() -> Path:
    """Compile the definitions before the tests that import them are collected."""
    generated = tempfile.TemporaryDirectory(prefix="kratos-depot-")
    atexit.register(generated.cleanup)
    out = Path(generated.name)
    compile_protos([PROTO], roots=[PROTO], out=out)
    return out


sys.path.insert(0, str(_compile()))


def depot() -> Any:
    """Return the service."""
    generated: Any = import_module("depot.v1.depot_kratos")

    class Depot(generated.Depot):  # type: ignore[misc]  # it is compiled above
        async def put(self, request: Any, /) -> Any:
            call = server_call()
            assert call is not None
            call.reply_headers.set("x-shelf", call.headers.get("x-shelf", "none"))
            if request.weight > 100:
                raise refused(request.name)
            return request

        async def put_all(self, requests: AsyncIterator[Any], /) -> Any:
            names = [request.name async for request in requests]
            return item(name="+".join(names))

        async def split(self, request: Any, /) -> AsyncIterator[Any]:
            for part in request.name:
                yield item(name=part)

        async def weigh(self, requests: AsyncIterator[Any], /) -> AsyncIterator[Any]:
            async for request in requests:
                if request.weight > 100:
                    raise refused(request.name)
                yield item(name=request.name, weight=7)

    return Depot()


def gate() -> Any:
    """Return a service whose messages are all defined in another file."""
    generated: Any = import_module("depot.v1.gate_kratos")

    class Gate(generated.Gate):  # type: ignore[misc]  # it is compiled above
        async def pass_(self, request: Any, /) -> Any:
            return request

    return Gate()


def refused(name: str) -> Error:
    """Return an error with everything that one can have."""
    error = Error(409, "TOO_HEAVY", f"no shelf holds {name}", {"limit": "100"})
    return error.with_field_violations(FieldViolation("weight", "is more than 100"))


def item(**fields: Any) -> Any:
    """Make an item."""
    return import_module("depot.v1.depot_pb2").Item(**fields)


@dataclass(frozen=True, kw_only=True)
class Served:
    """Where a depot is.

    Attributes:
        grpc: ``host:port``.
        http: URL.
    """

    grpc: str
    http: str


Serve: TypeAlias = Callable[..., Any]


@pytest.fixture
def serve() -> Serve:
    """Returns a context of a depot that is served by gRPC, on an engine, and by HTTP."""

    @asynccontextmanager
    async def served(
        engine: Engine = "kratos",
        *,
        describes: bool = True,
        service: Callable[[], Any] = depot,
        **options: Any,
    ) -> AsyncGenerator[Served]:
        services = [service()]
        if describes:
            services.append(MetadataService(services))
        grpc = GrpcServer("127.0.0.1:0", engine=engine, **options)
        app = App(name="depot", services=services, servers=[grpc, HttpServer("127.0.0.1:0")])
        async with running(app):
            by_scheme = dict(url.split("://") for url in app.endpoints)
            address = by_scheme.get("grpc") or by_scheme["grpcs"]
            yield Served(grpc=address, http=f"http://{by_scheme['http']}")

    return served


@pytest.fixture(name="gate")
def _gate() -> Callable[[], Any]:
    """What makes the gate, for ``serve(service=…)``."""
    return gate


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a command line left behind.

    Attributes:
        status: Its exit status.
        out: What it wrote to standard output.
        err: What it wrote to standard error.
    """

    status: int
    out: str
    err: str


Call: TypeAlias = Callable[..., Awaitable[Ran]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Returns what runs ``kratos call`` in a thread, so that the server's loop goes on."""

    async def ran(*words: str, stdin: str = "") -> Ran:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        status = await asyncio.to_thread(main, ["call", *words])
        told = capsys.readouterr()
        return Ran(status=status, out=told.out, err=told.err)

    return ran
