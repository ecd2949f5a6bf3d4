"""Two servers on one port, without workers: the second start fails, and says why."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from kratos import App
from kratos.errors import StartupError
from kratos.testing.app import running
from kratos.testing.echo import EchoService
from kratos_grpc import GrpcServer
from kratos_http import HttpServer

Make = Callable[[str], Any]
KINDS: tuple[Make, ...] = (HttpServer, GrpcServer)


def app_of(*servers: Any) -> App:
    return App(services=[EchoService()], servers=list(servers), signals=())


def port_of(app: App) -> str:
    return app.endpoints[0].rpartition(":")[2]


@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize(
    ("host", "other"), [("127.0.0.1", "127.0.0.1"), ("", ""), ("", "127.0.0.1")]
)
async def test_second_application_on_a_port_does_not_start_and_names_port_and_option(
    first: Make, second: Make, host: str, other: str
) -> None:
    serving = app_of(first(f"{host}:0"))
    async with running(serving):
        address = f"{other}:{port_of(serving)}"
        with pytest.raises(StartupError) as refusal:
            await app_of(second(address)).run()
    text = str(refusal.value)
    assert f"cannot listen on {address}: the address is in use" in text
    assert "workers=" in text


@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", KINDS)
async def test_one_application_does_not_start_with_two_servers_on_a_port(
    first: Make, second: Make
) -> None:
    probe = first("127.0.0.1:0")
    (url,) = await probe.bind()
    address = url.rpartition("/")[2]
    await probe.stop()
    with pytest.raises(
        StartupError, match=re.escape(f"listen on {address}: the address is in use")
    ):
        await app_of(first(address), second(address)).run()


@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", KINDS)
async def test_first_server_goes_on_when_a_second_could_not_start(
    first: Make, second: Make
) -> None:
    serving = app_of(first("127.0.0.1:0"))
    async with running(serving):
        port = int(port_of(serving))
        for _ in range(3):
            with pytest.raises(StartupError):
                await app_of(second(f"127.0.0.1:{port}")).run()
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()


@pytest.mark.parametrize("first", KINDS)
async def test_port_that_only_the_second_would_share_is_not_shared(first: Make) -> None:
    alone = app_of(first("127.0.0.1:0"))
    async with running(alone):
        address = f"127.0.0.1:{port_of(alone)}"
        with pytest.raises(StartupError, match="in use"):
            await app_of(GrpcServer(address, share_port=True)).run()
