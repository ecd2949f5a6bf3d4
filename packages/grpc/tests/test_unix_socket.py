"""Unix sockets: who may connect, and whose file it is."""

from __future__ import annotations

import asyncio
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from kratos import Client
from kratos.errors import ConfigError, StartupError
from kratos.testing.echo import ALL, ECHO, EchoService, text
from kratos.transport import Method, Mount
from kratos_grpc import GrpcServer

NAME = "a.sock"


@pytest.mark.parametrize("method", ALL, ids=lambda each: each.arity.value)
async def test_every_arity_is_served(
    serve: Any, say: Any, tmp_path: Path, method: Method[Any, Any]
) -> None:
    path = tmp_path / NAME
    async with serve(EchoService(), address=f"unix:{path}") as served:
        assert await say(served.caller, method, "ok") == ["ok"]


async def test_client_of_the_core_reaches_it(serve: Any, tmp_path: Path) -> None:
    path = tmp_path / NAME
    async with (
        serve(EchoService(), address=f"unix:{path}"),
        Client(f"unix:{path}", transport="grpc") as caller,
    ):
        assert (await caller.unary(ECHO, text("ok"))).value == "ok"


async def test_permissions_are_those_that_were_asked_for(serve: Any, tmp_path: Path) -> None:
    path = tmp_path / NAME
    server = GrpcServer(f"unix:{path}", socket_mode=0o600)
    await server.bind()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await server.stop()
    async with serve(EchoService(), address=f"unix:{path}", socket_mode=0o606) as served:
        assert stat.S_IMODE(path.stat().st_mode) == 0o606
        assert (await served.caller.unary(ECHO, text("ok"))).value == "ok"


@pytest.mark.parametrize(
    ("address", "mode"), [(":0", 0o660), ("unix:/tmp/a.sock", 0o1777), ("unix:/tmp/a.sock", -1)]
)
def test_permissions_of_anything_else_are_refused(address: str, mode: int) -> None:
    with pytest.raises(ConfigError, match="socket_mode"):
        GrpcServer(address, socket_mode=mode)


async def test_nothing_else_is_in_its_folder_while_it_serves_and_nothing_at_all_afterwards(
    serve: Any, tmp_path: Path
) -> None:
    path = tmp_path / NAME
    async with serve(EchoService(), address=f"unix:{path}"):
        assert list(path.parent.iterdir()) == [path]
    assert list(path.parent.iterdir()) == []


async def test_path_is_had_by_the_first_who_binds_it(tmp_path: Path) -> None:
    path = tmp_path / NAME
    first, second = GrpcServer(f"unix:{path}"), GrpcServer(f"unix:{path}")
    await first.bind()
    with pytest.raises(StartupError, match="in use"):
        await second.bind()
    await first.stop()
    await second.bind()
    await second.stop()
    assert not path.exists()


async def test_connections_are_refused_until_it_starts(tmp_path: Path) -> None:
    path = tmp_path / NAME
    server = GrpcServer(f"unix:{path}")
    await server.bind()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_unix_connection(path)
    await server.stop()


async def test_file_that_a_killed_process_left_behind_is_taken_over(
    serve: Any, tmp_path: Path
) -> None:
    path = tmp_path / NAME
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
        killed.listen()
    async with serve(EchoService(), address=f"unix:{path}") as served:
        assert (await served.caller.unary(ECHO, text("ok"))).value == "ok"


async def test_successor_keeps_its_file_when_the_predecessor_ends(
    serve: Any, tmp_path: Path
) -> None:
    path = tmp_path / NAME
    release = asyncio.Event()

    class Held(EchoService):
        async def _answer(self, request: Any) -> Any:
            await release.wait()
            return request

    service = Held()
    async with serve(service, address=f"unix:{path}") as old:
        held = asyncio.create_task(old.caller.unary(ECHO, text("held")))
        await service.entered.wait()
        stopping = asyncio.create_task(old.server.stop())
        await asyncio.sleep(0)
        async with serve(EchoService(), address=f"unix:{path}") as new:
            release.set()
            assert (await held).value == "held"
            await stopping
            await new.connection.aclose()
            async with Client(f"unix:{path}", transport="grpc") as caller:
                assert (await caller.unary(ECHO, text("ok"))).value == "ok"
    assert not path.exists()


async def test_file_of_somebody_else_is_not_removed(serve: Any, tmp_path: Path) -> None:
    path = tmp_path / NAME
    async with serve(EchoService(), address=f"unix:{path}"):
        path.unlink()
        path.write_text("precious")
    assert path.read_text() == "precious"


@pytest.mark.engine("grpcio")
async def test_folder_in_which_nothing_can_be_made_any_more_is_named(tmp_path: Path) -> None:
    path = tmp_path / NAME
    server = GrpcServer(f"unix:{path}")
    server.mount(Mount(services=[EchoService()]))
    await server.bind()
    path.unlink()
    path.parent.rmdir()
    with pytest.raises(StartupError, match=str(path.parent)):
        await server.start()
    await server.stop()


@pytest.mark.engine("grpcio")
@pytest.mark.parametrize("path", [f"/tmp/{'x' * 120}", f"/tmp/{'x' * 95}/s"])
async def test_path_that_is_too_long_is_refused(path: str) -> None:
    with pytest.raises(StartupError, match=r"cannot listen on .*too long"):
        await GrpcServer(f"unix:{path}").bind()
