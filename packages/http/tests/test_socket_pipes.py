"""What a WebSocket asks of the connection beneath it: to be read, or not, and to be cut off."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from kratos.errors import Error
from kratos.transport.http import Endpoint, Head, Socket
from kratos_http._connection import ServerConnection
from kratos_http._frames import Frames, Side
from kratos_http._socket import FramedSocket
from kratos_http._streaming import StreamConnection
from kratos_http.testing import HANDSHAKE, Listening, eventually, frame, listening

TEXT, CLOSE, PING = 1, 8, 9
PINGS = frame(PING, b"x" * 125) * 80
ASK = "".join(f"{name}: {value}\r\n" for name, value in (("Host", "test"), *HANDSHAKE))


class Talks:
    """Echoes at every path."""

    def route(self, _head: Head, /) -> Endpoint:
        return self

    async def talk(self, _head: Head, socket: Socket, /) -> None:
        await socket.accept()
        while (message := await socket.receive()) is not None:
            await socket.send(message)
        await socket.close()


class Peer:
    """A peer with a small buffer, that reads when it is told to."""

    def __init__(self, sock: socket.socket) -> None:
        self.sent = 0
        self.got = 0
        self.refused = 0  # times in a row that nothing could be sent
        self._sock = sock
        self._rest = b""

    def send_some(self) -> None:
        """Send as many pings as are taken."""
        self._rest = self._rest or PINGS
        try:
            size = self._sock.send(self._rest)
        except BlockingIOError:
            self.refused += 1
            return
        self.refused = 0
        self.sent += size
        self._rest = self._rest[size:]

    def read_some(self) -> bytes:
        """Return what has come."""
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return b""
        self.got += len(data)
        return data


@asynccontextmanager
async def stuck() -> AsyncGenerator[tuple[Listening, Peer, ServerConnection]]:
    """Open a WebSocket whose peer sends pings, and reads none of the pongs."""
    async with listening(Talks()) as opened:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", opened.port))
            sock.setblocking(False)
            sock.send(f"GET /chat HTTP/1.1\r\n{ASK}\r\n".encode())
            peer = Peer(sock)
            answer = b""

            def opens() -> bool:
                nonlocal answer
                answer += peer.read_some()
                return answer.endswith(b"\r\n\r\n")

            await eventually(opens)
            peer.got = 0
            connection = await opened.connection()

            def stops() -> bool:
                peer.send_some()
                return peer.refused == 100

            await eventually(stops)
            yield opened, peer, connection


async def test_peer_that_reads_no_pongs_is_not_read_until_it_does() -> None:
    async with stuck() as (_, peer, connection):
        assert connection.paused
        assert not connection.writable
        whole = peer.sent // 131  # pings, of which each is answered by 127 bytes

        def takes() -> bool:
            peer.read_some()
            return peer.got == whole * 127

        await eventually(takes)
        await eventually(lambda: not connection.paused)


async def test_peer_that_never_reads_its_pongs_is_cut_off() -> None:
    async with stuck() as (opened, _, _connection):
        now = asyncio.get_running_loop().time()
        opened.engine.sweep(now + 32)
        opened.engine.sweep(now + 64)
        await eventually(lambda: not opened.engine.connections)


class Transport(asyncio.Transport):
    """Notes whether it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = True
        self.written = bytearray()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def close(self) -> None:
        self.reads = False

    abort = close


def opened() -> tuple[StreamConnection, FramedSocket, Transport]:
    """Return a client's end of a WebSocket."""
    transport = Transport()
    connection = StreamConnection(max_head=1000)
    connection.connection_made(transport)
    connection.begin(b"", upgrade=True)
    connection.data_received(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    framed = FramedSocket(
        connection, Frames(Side.CLIENT, max_message=1_000_000), close_timeout=1000
    )
    connection.attach(framed)
    return connection, framed, transport


async def test_server_that_reads_no_pongs_is_not_read_until_it_does() -> None:
    connection, _, transport = opened()
    connection.pause_writing()
    pings = frame(PING, b"x" * 125, masked=False) * 100
    for _ in range(5):
        connection.data_received(pings)
        await eventually(lambda: transport.reads)
    connection.data_received(pings)
    for _ in range(100):
        await asyncio.sleep(0)
    assert not transport.reads
    connection.resume_writing()
    await eventually(lambda: transport.reads)


async def test_what_handlers_send_does_not_keep_a_socket_from_being_read() -> None:
    connection, framed, transport = opened()
    connection.pause_writing()
    sending = asyncio.ensure_future(framed.send(b"x" * 500_000))
    await eventually(lambda: len(transport.written) > 500_000)
    connection.data_received(frame(TEXT, b"first", masked=False))
    assert transport.reads
    assert await framed.receive() == "first"
    connection.resume_writing()
    await sending


async def test_socket_whose_pongs_nobody_reads_can_still_be_closed() -> None:
    connection, framed, transport = opened()
    connection.pause_writing()
    connection.data_received(frame(PING, b"x" * 125, masked=False) * 600)
    await eventually(lambda: not transport.reads)
    closing = asyncio.ensure_future(framed.close())
    await eventually(lambda: framed.full)
    connection.resume_writing()
    connection.data_received(frame(CLOSE, b"\x03\xe8", masked=False))
    await closing
    assert framed.close_code == 1000
    with pytest.raises(Error):
        await framed.send("late")


async def test_others_have_their_turn_between_many_small_frames() -> None:
    connection, framed, transport = opened()
    pings = frame(PING, masked=False)
    connection.data_received(pings * 30_000)
    assert len(transport.written) <= 6 * 1024
    assert not transport.reads
    await eventually(lambda: len(transport.written) == 6 * 30_000)
    await eventually(lambda: transport.reads)
    assert not framed.unread


async def test_others_have_their_turn_between_many_small_pieces() -> None:
    connection, _, transport = opened()
    for _ in range(1000):
        connection.data_received(frame(PING, masked=False))
    assert len(transport.written) <= 6 * 65
    await eventually(lambda: len(transport.written) == 6 * 1000)


async def test_what_came_before_the_end_of_a_connection_is_received() -> None:
    connection, framed, _ = opened()
    connection.data_received(b"".join(_text(f"{n}") for n in range(10_000)))
    connection.connection_lost(None)
    assert [await framed.receive() for _ in range(10_000)] == [f"{n}" for n in range(10_000)]
    with pytest.raises(Error):
        await framed.receive()


async def test_pongs_that_cannot_be_sent_any_more_hold_nothing_up() -> None:
    connection, framed, _ = opened()
    connection.pause_writing()
    connection.data_received(frame(PING, b"x" * 125, masked=False) * 2000 + _text("last"))
    for _ in range(100):
        await asyncio.sleep(0)
    assert framed.full
    connection.connection_lost(None)
    assert await framed.receive() == "last"


async def test_messages_that_nobody_receives_are_not_read() -> None:
    connection, framed, transport = opened()
    connection.data_received(_text("x" * 100) * 10_000)
    for _ in range(100):
        await asyncio.sleep(0)
    assert framed.unread
    for _ in range(10_000):
        assert await framed.receive() == "x" * 100
    await eventually(lambda: transport.reads)


async def test_close_frame_behind_many_messages_is_the_end() -> None:
    connection, framed, _ = opened()
    close = frame(CLOSE, b"\x03\xe8", masked=False)
    connection.data_received(_text("x") * 10_000 + close + _text("late") * 1000)
    for _ in range(10_000):
        assert await framed.receive() == "x"
    assert await framed.receive() is None
    assert not framed.unread


async def test_socket_is_closed_though_many_messages_still_came() -> None:
    connection, framed, _ = opened()
    connection.data_received(_text("x") * 10_000 + frame(CLOSE, b"\x03\xe8", masked=False))
    await framed.close()
    assert framed.close_code == 1000


def _text(text: str) -> bytes:
    return frame(TEXT, text.encode(), masked=False)
