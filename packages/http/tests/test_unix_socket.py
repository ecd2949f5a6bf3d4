"""Unix sockets: who may connect, and whose file it is."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from kratos import Client
from kratos.errors import ConfigError, StartupError
from kratos.testing.echo import ECHO, EchoService, text
from kratos.transport import Mount
from kratos_http import HttpServer
from kratos_http.testing import SocketPeer, running


def server_of(path: Path, *, mode: int | None = None) -> HttpServer:
    server = HttpServer(f"unix:{path}", socket_mode=mode)
    server.mount(Mount(services=[EchoService()]))
    return server


async def test_permissions_are_those_that_were_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    server = server_of(path, mode=0o600)
    await server.bind()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await server.stop()


@pytest.mark.parametrize(
    ("address", "mode"), [(":0", 0o660), ("unix:/tmp/a.sock", 0o1777), ("unix:/tmp/a.sock", -1)]
)
def test_permissions_of_anything_else_are_refused(address: str, mode: int) -> None:
    with pytest.raises(ConfigError, match="socket_mode"):
        HttpServer(address, socket_mode=mode)


async def test_client_reaches_it(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    async with running(server_of(path, mode=0o600)), Client(f"unix:{path}") as caller:
        assert (await caller.unary(ECHO, text("ok"))).value == "ok"


async def test_successor_keeps_its_file_when_the_predecessor_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    old, new = server_of(path), server_of(path)
    async with running(old):
        peer = await SocketPeer.connect_unix(str(path))
        stopping = asyncio.ensure_future(old.stop())
        await asyncio.sleep(0)
        async with running(new):
            await peer.aclose()
            await stopping
            async with Client(f"unix:{path}") as caller:
                assert (await caller.unary(ECHO, text("ok"))).value == "ok"
    assert not path.exists()


async def test_path_is_had_by_the_first_who_binds_it(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    first, second = server_of(path), server_of(path)
    await first.bind()
    with pytest.raises(StartupError, match="in use"):
        await second.bind()
    async with running(first), Client(f"unix:{path}") as caller:
        assert (await caller.unary(ECHO, text("ok"))).value == "ok"


async def test_file_of_somebody_else_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    async with running(server_of(path)):
        path.unlink()
        path.write_text("precious")
    assert path.read_text() == "precious"
