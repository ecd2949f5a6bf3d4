"""grpcurl, which knows nothing of what is served but what reflection tells it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kratos.definition import MetadataService
from kratos.health import Health, Phase
from kratos.testing.echo import EchoService
from kratos.transport import Mount, Service
from kratos_grpc import GrpcServer

pytestmark = [pytest.mark.go, pytest.mark.slow]

Serve = Callable[..., AbstractAsyncContextManager[str]]


@pytest.fixture(scope="session")
def grpcurl(go_tool: Callable[[str], Path]) -> Path:
    """Path of the program."""
    return go_tool("grpcurl") / "grpcurl"


@pytest.fixture
def serve(engine: Any) -> Serve:
    """Serves services on each engine, and yields the address."""

    @asynccontextmanager
    async def serving(*services: Service, health: Health | None = None) -> AsyncGenerator[str]:
        server = GrpcServer("127.0.0.1:0", engine=engine)
        server.mount(Mount(services=services, health=health))
        (url,) = await server.bind()
        running = asyncio.create_task(server.start())
        await server.ready()
        try:
            yield url.removeprefix("grpc://")
        finally:
            await server.stop()
            await running

    return serving


@pytest.fixture
def health() -> Health:
    health = Health()
    health.advance(Phase.SERVING)
    return health


async def run(grpcurl: Path, *arguments: str) -> tuple[int | None, str]:
    """Run the program, and return what it ended with and what it said."""
    process = await asyncio.create_subprocess_exec(
        grpcurl,
        "-plaintext",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_services_are_listed(serve: Serve, grpcurl: Path, health: Health) -> None:
    async with serve(EchoService(), health=health) as address:
        code, said = await run(grpcurl, address, "list")
    assert (code, said.split()) == (
        0,
        [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "kratos.testing.Echo",
        ],
    )


@pytest.mark.parametrize(
    ("symbol", "line"),
    [
        ("kratos.api.Metadata", "rpc ListServices ( .kratos.api.ListServicesRequest )"),
        ("kratos.testing.Echo.Chat", "returns ( stream .google.protobuf.StringValue );"),
        ("grpc.health.v1.HealthCheckResponse", "SERVICE_UNKNOWN = 3;"),
        ("grpc.reflection.v1alpha.ErrorResponse", "string error_message = 2;"),
    ],
)
async def test_symbol_is_described(
    serve: Serve, grpcurl: Path, health: Health, symbol: str, line: str
) -> None:
    async with serve(EchoService(), MetadataService([]), health=health) as address:
        code, said = await run(grpcurl, address, "describe", symbol)
    assert code == 0, said
    assert line in said


async def test_unknown_symbol_is_told_to_be_none(serve: Serve, grpcurl: Path) -> None:
    async with serve(EchoService()) as address:
        code, said = await run(grpcurl, address, "describe", "no.Such")
    assert code != 0
    assert "no.Such" in said


@pytest.mark.parametrize(
    ("method", "sent", "replies"),
    [
        ("kratos.testing.Echo/Echo", '"hello"', ['"hello"']),
        ("kratos.testing.Echo/Collect", '"a" "b"', ['"a', 'b"']),
        ("kratos.testing.Echo/Watch", '"a b"', ['"a"', '"b"']),
        ("kratos.testing.Echo/Chat", '"a" "b"', ['"a"', '"b"']),
        ("grpc.health.v1.Health/Check", "{}", ["{", '"status":', '"SERVING"', "}"]),
    ],
)
async def test_method_is_called(
    serve: Serve, grpcurl: Path, health: Health, method: str, sent: str, replies: list[str]
) -> None:
    async with serve(EchoService(), health=health) as address:
        code, said = await run(grpcurl, "-d", sent, address, method)
    assert code == 0, said
    assert said.split() == replies


async def test_details_of_an_error_are_read(serve: Serve, grpcurl: Path) -> None:
    async with serve(EchoService()) as address:
        method = "kratos.testing.Echo/Echo"
        code, said = await run(grpcurl, "-d", '"fail"', address, method)
    assert code != 0
    assert '"reason": "BUSY"' in said


async def test_files_of_the_definition_are_written(
    serve: Serve, grpcurl: Path, tmp_path: Path
) -> None:
    async with serve(MetadataService([])) as address:
        out = ("-proto-out-dir", str(tmp_path))
        code, said = await run(grpcurl, *out, address, "describe", "kratos.api.Metadata")
    assert code == 0, said
    written = (tmp_path / "metadata" / "metadata.proto").read_text(encoding="utf-8")
    assert "repeated string services = 1;" in written
