"""The life of a gRPC server as clients of plain grpc-go see it: keeping alive, and draining."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.interop.building import built_of

from kratos.testing.echo import CHAT, COLLECT, WATCH, EchoService
from kratos.transport import Method, Mount
from kratos_grpc import GrpcServer, ServerLimits

HERE = Path(__file__).parent
SOURCES = (HERE / "golife" / "main.go", HERE / "go" / "go.mod", HERE / "go" / "go.sum")

pytestmark = [pytest.mark.go, pytest.mark.slow]


@pytest.fixture(scope="session")
def life() -> Path:
    """Path of the program, built at most once; see golife/main.go for what it does."""
    return built_of("life", *SOURCES)


@asynccontextmanager
async def serving(
    service: EchoService | None = None, **options: Any
) -> AsyncGenerator[tuple[GrpcServer, str]]:
    server = GrpcServer("127.0.0.1:0", timeout=None, **options)
    server.mount(Mount(services=[service or EchoService()]))
    (url,) = await server.bind()
    running = asyncio.create_task(server.start())
    await server.ready()
    try:
        yield server, url.removeprefix("grpc://")
    finally:
        await server.stop()
        await running


@asynccontextmanager
async def going(program: Path, *arguments: str) -> AsyncGenerator[asyncio.StreamReader]:
    """Run the program, and yield what it prints."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(program, *arguments, stdout=pipe)
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def told(output: asyncio.StreamReader) -> dict[str, str]:
    line: dict[str, str] = json.loads(await output.readline())
    return line


@pytest.mark.timeout(150)  # it waits for four pings, ten seconds apart
async def test_client_that_keeps_alive_every_ten_seconds_is_not_sent_away(
    life: Path, engine: Any
) -> None:
    async with serving(engine=engine) as (_, address), going(life, "idle", address, "40") as output:
        assert (await told(output))["code"] == "OK"
        assert await told(output) == {"code": "OK", "reason": "", "detail": ""}


@pytest.mark.timeout(150)
async def test_client_that_pings_more_often_than_it_may_is_sent_away(
    life: Path, engine: Any
) -> None:
    limits = ServerLimits(min_ping_interval=300.0)
    async with (
        serving(limits=limits, engine=engine) as (_, address),
        going(life, "idle", address, "60") as output,
    ):
        assert (await told(output))["code"] == "OK"
        assert (await told(output))["code"] == "Unavailable"


@pytest.mark.parametrize("method", [WATCH, COLLECT, CHAT], ids=lambda each: each.arity.value)
async def test_draining_is_no_end_of_a_stream_but_unavailable_with_a_reason(
    life: Path, method: Method[Any, Any], engine: Any
) -> None:
    service = EchoService()
    async with (
        serving(service, engine=engine) as (server, address),
        going(life, method.name, address) as output,
    ):
        assert (await told(output))["code"] == "OK"
        await service.entered.wait()  # of a stream of requests the client hears nothing before
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        stopping.cancel()  # as an application does whose time to stop is over
        await asyncio.wait((stopping,))
        end = await told(output)
    assert (end["code"], end["reason"]) == ("Unavailable", "DRAINING")


@pytest.mark.parametrize("method", [WATCH, COLLECT, CHAT], ids=lambda each: each.arity.value)
async def test_stream_that_outlives_the_grace_of_its_connection_is_unavailable(
    life: Path, method: Method[Any, Any], engine: Any
) -> None:
    limits = ServerLimits(max_connection_age=1.0, max_connection_age_grace=0.5)
    async with (
        serving(limits=limits, engine=engine) as (_, address),
        going(life, method.name, address) as output,
    ):
        assert (await told(output))["code"] == "OK"
        assert (await told(output))["code"] == "Unavailable"
