"""As many connections as there may be, and what becomes of those who wait."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from kratos.transport.http import Endpoint, Head, Reply
from kratos_http import Limits, _accepting
from kratos_http._accepting import Acceptor, connections_allowed
from kratos_http.engine import Engine
from kratos_http.testing import SocketPeer, eventually, listening


class Gate:
    """Holds requests for ``/wait`` until it is opened."""

    max_body = 0

    def __init__(self) -> None:
        self.entered = 0
        self.opened = asyncio.Event()

    def route(self, _head: Head, /) -> Endpoint:
        return self

    async def answer(self, head: Head, _body: bytes, /) -> Reply:
        self.entered += 1
        if head.path == b"/wait":
            await self.opened.wait()
        return Reply(200, ())


def later(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


class TestAtTheLimit:
    async def test_idle_connection_makes_room(self) -> None:
        async with listening(Gate(), limits=Limits(max_connections=2)) as opened:
            first, second = await opened.connect(), await opened.connect()
            for peer in (first, second):
                assert (await peer.request("GET", "/")).status == 200
            opened.engine.sweep(later(0.5))
            assert (await second.request("GET", "/")).status == 200
            third = await opened.connect()
            asking = asyncio.ensure_future(third.request("GET", "/"))
            await eventually(lambda: opened.engine.leaving)
            opened.engine.sweep(later(1.4))
            assert (await asking).status == 200
            assert await first.rest() == b""  # the one that was idle for longer

    async def test_connection_in_use_makes_room_after_its_answer(self) -> None:
        gate = Gate()
        async with listening(gate, limits=Limits(max_connections=1)) as opened:
            first = await opened.connect()
            busy = asyncio.ensure_future(first.request("GET", "/wait"))
            await eventually(lambda: gate.entered)
            second = await opened.connect()
            waiting = asyncio.ensure_future(second.request("GET", "/"))
            await eventually(lambda: opened.engine.leaving)
            opened.engine.sweep(later(60))
            assert not waiting.done()
            gate.opened.set()
            assert (await busy).header("connection") == "close"
            assert (await waiting).status == 200

    async def test_connections_are_kept_again_when_nobody_waits(self) -> None:
        gate = Gate()
        async with listening(gate, limits=Limits(max_connections=1)) as opened:
            first = await opened.connect()
            busy = asyncio.ensure_future(first.request("GET", "/wait"))
            await eventually(lambda: gate.entered)
            second = await opened.connect()
            await eventually(lambda: opened.engine.leaving)
            gate.opened.set()
            await busy
            await eventually(lambda: not opened.engine.leaving)
            assert (await second.request("GET", "/")).header("connection") == ""

    async def test_peer_that_goes_while_it_waits_holds_nobody_up(self) -> None:
        gate = Gate()
        async with listening(gate, limits=Limits(max_connections=1)) as opened:
            first = await opened.connect()
            busy = asyncio.ensure_future(first.request("GET", "/wait"))
            await eventually(lambda: gate.entered)
            gone = await SocketPeer.connect("127.0.0.1", opened.port)
            gone.reset()
            third = await opened.connect()
            gate.opened.set()
            await busy
            assert (await third.request("GET", "/")).status == 200
            await gone.aclose()

    async def test_everybody_has_a_turn(self) -> None:
        async with listening(Gate(), limits=Limits(max_connections=5)) as opened:
            peers = [await opened.connect() for _ in range(60)]
            answers = await asyncio.gather(*(peer.request("GET", "/") for peer in peers))
            assert {answer.status for answer in answers} == {200}
            assert len(opened.engine.connections) <= 5

    async def test_end_does_not_wait_for_those_who_wait(self) -> None:
        async with listening(Gate(), limits=Limits(max_connections=1)) as opened:
            await opened.connect()
            await opened.connect()
            await eventually(lambda: opened.engine.leaving)


class Scarce(socket.socket):
    """A socket of a process that has no file descriptor left, for a while."""

    failures = 2

    def accept(self) -> tuple[socket.socket, object]:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


@asynccontextmanager
async def scarce() -> AsyncGenerator[tuple[Engine, int]]:
    engine = Engine(Gate())
    engine.start()
    sock = Scarce(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    port: int = sock.getsockname()[1]
    acceptor = Acceptor(sock, engine)
    acceptor.start()
    try:
        yield engine, port
    finally:
        acceptor.close()
        await acceptor.wait_closed()
        await engine.aclose(grace=1.0)


class TestWithoutFileDescriptors:
    async def test_peers_wait_until_there_are_some(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(_accepting, "_RETRY", 0.01)
        async with scarce() as (_, port):
            peer = await SocketPeer.connect("127.0.0.1", port)
            assert (await peer.request("GET", "/")).status == 200
            await peer.aclose()
        (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
        assert "Too many open files; raise the limit" in record.message

    async def test_connection_that_ends_is_reason_enough_to_ask_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_accepting, "_RETRY", 3600)
        monkeypatch.setattr(Scarce, "failures", 0)
        async with scarce() as (engine, port):
            first = await SocketPeer.connect("127.0.0.1", port)
            assert (await first.request("GET", "/")).status == 200
            monkeypatch.setattr(Scarce, "failures", 1)
            second = await SocketPeer.connect("127.0.0.1", port)
            await eventually(lambda: engine.leaving)
            await first.aclose()
            assert (await second.request("GET", "/")).status == 200
            await second.aclose()


def allow_files(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    def getrlimit(_resource: int) -> tuple[int, int]:
        return count, count

    monkeypatch.setattr(resource, "getrlimit", getrlimit)


@pytest.mark.parametrize(
    ("files", "most"),
    [(1_000_000, 10_000), (4096, 3584), (1024, 896), (256, 192), (100, 50), (2, 1)],
)
def test_handlers_are_left_some_files(
    files: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow_files(monkeypatch, files)
    assert connections_allowed(Limits()) == most


def test_limit_of_ones_own_holds_where_files_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    allow_files(monkeypatch, resource.RLIM_INFINITY)
    assert connections_allowed(Limits(max_connections=70_000)) == 70_000


async def test_system_asks_after_peers_whose_machine_may_have_gone() -> None:
    async with listening(Gate(), limits=Limits(keepalive=20)) as opened:
        peer = await opened.connect()
        await peer.request("GET", "/")
        connection = await opened.connection()
        assert connection.option(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connection.option(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 20
