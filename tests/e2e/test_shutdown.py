"""What a service leaves behind: answers to all its calls, and nothing else."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kratos import App, Client
from kratos.registry import from_url, get_service
from kratos.testing.echo import ECHO, EchoService, text
from kratos_grpc import GrpcServer
from kratos_http import HttpServer

CALLS = 200
SCRIPT = Path(__file__).with_name("holding_service.py")


@asynccontextmanager
async def service(registry: str, calls: int) -> AsyncGenerator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, SCRIPT, registry, str(calls), stdout=asyncio.subprocess.PIPE
    )
    try:
        await printed(process, "serving")
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def printed(process: asyncio.subprocess.Process, line: str) -> None:
    assert process.stdout is not None
    assert (await process.stdout.readline()).decode().strip() == line


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["http", "grpc"])
async def test_every_call_in_flight_is_answered_when_the_service_is_terminated(
    transport: str, tmp_path: Path
) -> None:
    registry = f"file://{tmp_path / 'registry'}"
    async with (
        service(registry, CALLS) as process,
        Client(
            "discovery:///holding", transport=transport, discovery=registry, timeout=50
        ) as caller,
    ):
        calls = [
            asyncio.create_task(caller.unary(ECHO, text(str(number)))) for number in range(CALLS)
        ]
        await printed(process, "full")
        process.send_signal(signal.SIGTERM)
        answers = await asyncio.gather(*calls)
        assert [answer.value for answer in answers] == [str(number) for number in range(CALLS)]
        assert await process.wait() == 0
    assert list(await get_service(from_url(registry), "holding")) == []


async def test_failing_after_start_hook_leaves_no_port_and_no_registration(tmp_path: Path) -> None:
    registry = f"file://{tmp_path / 'registry'}"
    seen: list[str] = []

    async def fail(app: App) -> None:
        seen.extend(app.endpoints)
        assert len(await get_service(from_url(registry), "failing")) == 1
        raise LookupError("no luck today")

    app = App(
        name="failing",
        services=[EchoService()],
        servers=[HttpServer("127.0.0.1:0"), GrpcServer("127.0.0.1:0")],
        registrar=registry,
        require_registration=True,
        after_start=[fail],
    )
    with pytest.raises(LookupError, match="no luck today"):
        await app.run()
    assert list(await get_service(from_url(registry), "failing")) == []
    assert len(seen) == 2
    for url in seen:
        host, _, port = url.partition("://")[2].rpartition(":")
        with socket.socket() as probe:
            probe.bind((host, int(port)))  # raises if somebody still has it
