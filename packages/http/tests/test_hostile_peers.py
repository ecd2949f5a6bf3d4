"""Peers that are slow, silent or gone: what they cost ends, whatever they do."""

from __future__ import annotations

import asyncio
import gc
import select
import socket
import struct
import sys
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from kratos.errors import Error
from kratos.transport.http import Endpoint, Head, Reply, Socket, Wire
from kratos_http import Limits
from kratos_http._request_body import Upload
from kratos_http.testing import Listening, eventually, listening

LARGE = b"x" * 4_000_000
LIMITS = Limits(body_grace=0.05, ping_interval=0.05, ping_timeout=0.05)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")


class Whole:
    """Takes a body and answers it."""

    max_body = 1_000_000

    async def answer(self, _head: Head, body: bytes, /) -> Reply:
        return Reply(200, (), body)


class Large(Whole):
    """Answers more than any buffer of the system takes."""

    async def answer(self, _head: Head, _body: bytes, /) -> Reply:
        return Reply(200, (), LARGE)


class Huge(Whole):
    """Answers more than all buffers take."""

    async def answer(self, _head: Head, _body: bytes, /) -> Reply:
        return Reply(200, (), LARGE * 5)


class Reading:
    """Reads a body in pieces, and answers when it has come, or comes too slowly."""

    async def converse(self, head: Head, wire: Wire, /) -> None:
        upload = Upload(wire, head, limit=1_000_000, limits=LIMITS)
        try:
            while await upload.read():
                continue
        except Error as error:
            wire.start(error.code, ())
        else:
            wire.start(200, ())
        await wire.finish()


class Writing:
    """Writes for ever."""

    async def converse(self, _head: Head, wire: Wire, /) -> None:
        wire.start(200, ())
        while True:
            await wire.write(LARGE)


class Refusing:
    """Answers before the body, which nobody reads."""

    async def converse(self, _head: Head, wire: Wire, /) -> None:
        wire.start(404, ((b"content-length", b"0"),))
        await wire.finish()


class Talking:
    """Accepts a WebSocket and waits for its messages."""

    async def talk(self, _head: Head, socket: Socket, /) -> None:
        await socket.accept(())
        while await socket.receive() is not None:
            continue


class Application:
    def route(self, head: Head, /) -> Endpoint:
        endpoints: dict[bytes, Endpoint] = {
            b"/whole": Whole(),
            b"/large": Large(),
            b"/huge": Huge(),
            b"/reading": Reading(),
            b"/writing": Writing(),
            b"/refusing": Refusing(),
            b"/talking": Talking(),
        }
        return endpoints[head.path]


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


def post(path: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"
    return head.encode() + b"the beginning"


CHUNKED = b"POST /whole HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
HANDSHAKE = (
    b"GET /talking HTTP/1.1\r\nHost: h\r\nOrigin: http://h\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

SILENT = {
    "says nothing": b"",
    "stops in its request line": b"GET /who",
    "stops in its headers": b"GET /whole HTTP/1.1\r\nHost: h\r\nX-A: ",
    "stops in its body": post("/whole"),
    "stops in a body that is read in pieces": post("/reading"),
    "stops in a body that nobody reads": post("/refusing"),
    "stops in a chunk": CHUNKED + b"ff\r\nx",
    "waits for leave to go on": post("/whole").replace(b"Host", b"Expect: 100-continue\r\nHost"),
    "asks and stays": get("/whole"),
    "does not read a large answer": get("/large"),
    "does not read answers": get("/whole").replace(b"Host", b"X: " + b"a" * 2000 + b"\r\nHost")
    * 400,
    "does not read a stream": get("/writing"),
    "stops in the trash after an error": b"NONSENSE\r\n" * 10,
    "opens a WebSocket and stays": HANDSHAKE,
    "stops in a frame": HANDSHAKE + b"\x81\xfe\x10",
    "sends much and reads nothing": get("/large") * 40,
}


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def tasks() -> int:
    return len(asyncio.all_tasks())


def nothing_is_left(before: tuple[int, int], peers: int) -> bool:
    """Tell whether there is no more than before, but for the peers' own ends."""
    return descriptors() - peers <= before[0] and tasks() <= before[1]


@asynccontextmanager
async def serving() -> AsyncGenerator[Listening]:
    async with listening(Application(), limits=LIMITS) as opened:
        with ExitStack() as stack:
            connect(opened, stack, 1, get("/whole"))  # loops open files of their own when used
            await eventually(lambda: opened.engine.connections)
        await eventually(lambda: not opened.engine.connections)
        gc.collect()  # what earlier tests left open shall not count, nor be missed later
        yield opened


def connect(
    opened: Listening, stack: ExitStack, count: int, data: bytes, *, buffer: int = 4096
) -> list[socket.socket]:
    """Return peers that send some bytes, as far as they are taken, and then do nothing."""
    peers: list[socket.socket] = []
    for _ in range(count):
        peer = stack.enter_context(socket.socket())
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        peer.connect(("127.0.0.1", opened.port))
        peer.setblocking(False)
        if data:
            peer.send(data)
        peers.append(peer)
    return peers


async def give_up(opened: Listening) -> None:
    """Let the engine believe that minutes pass, until it has given up every peer."""
    loop = asyncio.get_running_loop()
    ahead = 0.0
    async with asyncio.timeout(10):
        while opened.engine.connections:
            ahead += 1.0
            opened.engine.sweep(loop.time() + ahead)
            await asyncio.sleep(0)


@pytest.mark.parametrize("data", SILENT.values(), ids=SILENT.keys())
async def test_peer_that_stops_is_given_up(data: bytes) -> None:
    async with serving() as opened:
        before = descriptors(), tasks()
        with ExitStack() as stack:
            peers = connect(opened, stack, 5, data)
            await eventually(lambda: len(opened.engine.connections) == len(peers))
            await give_up(opened)
            await eventually(lambda: nothing_is_left(before, len(peers)))


@pytest.mark.slow
async def test_nothing_is_left_of_a_crowd_of_them() -> None:
    async with serving() as opened:
        before = descriptors(), tasks()
        with ExitStack() as stack:
            for data in SILENT.values():
                connect(opened, stack, 15, data)
                await asyncio.sleep(0)  # the queue of the system is short
            expected = 15 * len(SILENT)
            await eventually(lambda: len(opened.engine.connections) == expected)
            await give_up(opened)
            await eventually(lambda: nothing_is_left(before, expected))


async def test_peers_that_break_off_leave_nothing() -> None:
    async with serving() as opened:
        before = descriptors(), tasks()
        with ExitStack() as stack:
            for data in SILENT.values():
                for peer in connect(opened, stack, 3, data):
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await eventually(lambda: opened.engine.connections)
        await give_up(opened)
        await eventually(lambda: nothing_is_left(before, 0))


async def test_slow_reader_is_given_up_though_it_takes_a_little_now_and_then() -> None:
    async with serving() as opened:
        with ExitStack() as stack:
            (peer,) = connect(opened, stack, 1, get("/large"))
            connection = await opened.connection()
            await eventually(lambda: not connection.writable)
            start = asyncio.get_running_loop().time()
            step = 0
            while opened.engine.connections and step < 40:
                step += 1
                await eventually(lambda: is_readable(peer))
                peer.recv(64)
                opened.engine.sweep(start + 2 * step)
                await asyncio.sleep(0)
            assert step * 2 >= LIMITS.write_timeout
            assert not opened.engine.connections


def is_readable(peer: socket.socket) -> bool:
    return bool(select.select([peer], [], [], 0)[0])


async def test_reader_that_takes_its_part_is_served_to_the_end() -> None:
    async with serving() as opened:
        with ExitStack() as stack:
            (peer,) = connect(opened, stack, 1, get("/huge"), buffer=32 * 1024)
            connection = await opened.connection()
            await eventually(lambda: not connection.writable)
            start = asyncio.get_running_loop().time()
            got = 0
            while got < 3_000_000:  # less than the system holds back
                await eventually(lambda: is_readable(peer))
                got += len(peer.recv(16_000))
                opened.engine.sweep(start + got / 20_000)  # 20 kB a second: minutes
                await asyncio.sleep(0)
            assert opened.engine.connections
