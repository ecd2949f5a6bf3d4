"""WebSockets over HTTP/2 (RFC 8441), which share their connection with other requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, Protocol, Side, State

from kratos.errors import Error
from kratos.transport.http import Endpoint, Head, Reply, Socket
from kratos_http import Limits
from kratos_http._endpoints import Constant
from kratos_http.testing import Http2Peer, Http2Request, eventually, frame, listening
from kratos_http2 import ErrorCode, Settings

Talk = Callable[[Head, Socket], Awaitable[None]]

HANDSHAKE = (
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":authority", "test"),
    (":path", "/chat"),
)
VERSION = (("sec-websocket-version", "13"),)


class Talks:
    """Hands sockets to a function; at /plain there is none."""

    max_body = 1000

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self.heads: list[Head] = []

    def route(self, head: Head, /) -> Endpoint:
        self.heads.append(head)
        if head.path == b"/plain":
            return _Plain()
        if head.path == b"/missing":
            return Constant(Reply(404, (), b"nothing"))
        return self

    async def talk(self, head: Head, socket: Socket, /) -> None:
        await self._talk(head, socket)


class _Plain:
    max_body = 1000

    async def answer(self, _head: Head, _body: bytes, /) -> Reply:
        return Reply(200, (), b"plain")


async def echo(_head: Head, socket: Socket) -> None:
    await socket.accept()
    while (message := await socket.receive()) is not None:
        await socket.send(message)
    await socket.close()


class Client:
    """A WebSocket on one stream; its frames are the library's."""

    def __init__(self, request: Http2Request) -> None:
        self.request = request
        self._protocol = Protocol(Side.CLIENT, state=State.OPEN)
        self._frames: list[Event] = []

    async def send(self, text: str) -> None:
        self._protocol.send_text(text.encode())
        await self._flush()

    async def close(self) -> None:
        self._protocol.send_close(1000, "")
        await self._flush()

    async def receive(self) -> Frame:
        while not self._frames:
            await eventually(lambda: self.request.body)
            self._protocol.receive_data(bytes(self.request.body))
            self.request.body.clear()
            self._frames += self._protocol.events_received()
        frame = self._frames.pop(0)
        assert isinstance(frame, Frame)
        return frame

    async def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                await self.request.send(data)


@asynccontextmanager
async def chatting(
    talk: Talk,
    *,
    limits: Limits | None = None,
    settings: Settings | None = None,
) -> AsyncGenerator[tuple[Http2Peer, Talks]]:
    app = Talks(talk)
    async with listening(app, limits=limits) as opened:
        yield await opened.connect_http2(settings), app


def ask(
    peer: Http2Peer, path: str = "/chat", headers: Iterable[tuple[str, str]] = VERSION
) -> Http2Request:
    pseudo = [(name, path if name == ":path" else value) for name, value in HANDSHAKE]
    return peer.begin("CONNECT", path, headers=headers, pseudo=pseudo)


async def open_socket(peer: Http2Peer) -> Client:
    request = ask(peer)
    await request.begun()
    assert request.status == 200
    return Client(request)


async def test_server_says_that_it_knows_websockets() -> None:
    async with chatting(echo) as (peer, _):
        assert peer.h2.peer.enable_connect == 1


async def test_messages_go_both_ways_and_the_stream_ends_well() -> None:
    async with chatting(echo) as (peer, app):
        client = await open_socket(peer)
        await client.send("hello")
        frame = await client.receive()
        assert (frame.opcode, bytes(frame.data)) == (Opcode.TEXT, b"hello")
        await client.close()
        assert (await client.receive()).opcode is Opcode.CLOSE
        await eventually(lambda: client.request.stream is not None and client.request.stream.closed)
        assert client.request.code in (None, ErrorCode.NO_ERROR)
        (head,) = app.heads
        assert (head.method, head.path, head.version) == ("GET", b"/chat", "2")


async def test_sockets_share_a_connection_with_each_other_and_with_requests() -> None:
    async with chatting(echo) as (peer, _):
        clients = [await open_socket(peer) for _ in range(3)]
        for number, client in enumerate(clients):
            await client.send(f"{number}")
        assert (await peer.request("GET", "/plain")).body == b"plain"
        for number, client in enumerate(clients):
            assert bytes((await client.receive()).data) == b"%d" % number


async def test_refused_socket_is_an_ordinary_answer() -> None:
    async def refuse(_head: Head, socket: Socket) -> None:
        await socket.refuse(Reply(403, ((b"x-why", b"tired"),), b"no"))

    async with chatting(refuse) as (peer, _):
        answer = await ask(peer).answer()
        assert (answer.status, answer.header("x-why"), answer.body) == (403, "tired", b"no")


async def test_refusal_that_would_accept_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    async def refuse(_head: Head, socket: Socket) -> None:
        await socket.refuse(Reply(200))

    async with chatting(refuse) as (peer, _):
        assert (await ask(peer).answer()).status == 500
    assert "which accepts it" in caplog.text


async def test_endpoint_that_answers_nothing_is_500(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(_head: Head, _socket: Socket) -> None:
        raise LookupError("secret")

    async with chatting(fail) as (peer, _):
        answer = await ask(peer).answer()
        assert answer.status == 500
        assert b"secret" not in answer.body


@pytest.mark.parametrize(("path", "status"), [("/plain", 400), ("/missing", 404)])
async def test_handshake_where_no_socket_is_served_is_never_a_success(
    path: str, status: int
) -> None:
    async with chatting(echo) as (peer, _):
        assert (await ask(peer, path).answer()).status == status


async def test_other_version_of_websockets_is_told_ours() -> None:
    async with chatting(echo) as (peer, _):
        answer = await ask(peer, headers=(("sec-websocket-version", "12"),)).answer()
        assert (answer.status, answer.header("sec-websocket-version")) == (426, "13")


async def test_ordinary_request_gets_no_socket() -> None:
    async with chatting(echo) as (peer, _):
        assert (await peer.request("GET", "/chat")).status == 400


async def test_other_protocol_than_websocket_is_not_served() -> None:
    async with chatting(echo) as (peer, _):
        pseudo = [(n, "connect-udp" if n == ":protocol" else v) for n, v in HANDSHAKE]
        answer = await peer.begin("CONNECT", "/chat", headers=VERSION, pseudo=pseudo).answer()
        assert answer.status == 501


async def test_handshake_that_ends_its_stream_is_refused() -> None:
    async with chatting(echo) as (peer, _):
        answer = await peer.begin(
            "CONNECT", "/chat", headers=VERSION, pseudo=HANDSHAKE, end=True
        ).answer()
        assert answer.status == 400


@pytest.mark.parametrize("how", ["reset", "end", "lost"])
async def test_peer_that_goes_without_good_bye_is_gone(how: str) -> None:
    seen: list[str] = []
    done = asyncio.Event()

    async def wait(_head: Head, socket: Socket) -> None:
        await socket.accept()
        try:
            await socket.receive()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        except Error as error:
            seen.append(error.reason)
        finally:
            done.set()

    async with chatting(wait) as (peer, _):
        client = await open_socket(peer)
        if how == "reset":
            client.request.reset()
        elif how == "end":
            await client.request.send(b"", end=True)
        else:
            peer.reset()
        await done.wait()
    assert seen[0] in ("cancelled", "CLIENT_CLOSED")


async def test_message_beyond_the_limit_closes_the_socket_and_not_the_connection() -> None:
    async with chatting(echo, limits=Limits(max_message=100)) as (peer, _):
        client = await open_socket(peer)
        await client.send("x" * 101)
        frame = await client.receive()
        assert (frame.opcode, bytes(frame.data)[:2]) == (Opcode.CLOSE, (1009).to_bytes(2, "big"))
        assert (await peer.request("GET", "/plain")).status == 200


async def test_endpoint_that_does_not_receive_holds_the_peer_back() -> None:
    go_on = asyncio.Event()
    got = 0

    async def late(_head: Head, socket: Socket) -> None:
        nonlocal got
        await socket.accept()
        await go_on.wait()
        while (message := await socket.receive()) is not None:
            got += len(message)
        await socket.close()

    limits = Limits(stream_window=64 * 1024)
    async with chatting(late, limits=limits) as (peer, _):
        client = await open_socket(peer)
        for _ in range(40):
            await client.send("x" * 10_000)
        stream = client.request.stream
        assert stream is not None
        await eventually(lambda: stream.pending > 100_000)
        assert (await peer.request("GET", "/plain")).status == 200
        go_on.set()
        await client.close()
        await eventually(lambda: got == 400_000)


async def test_endpoint_that_sends_waits_for_a_peer_that_does_not_read() -> None:
    sent = 0

    async def flood(_head: Head, socket: Socket) -> None:
        nonlocal sent
        await socket.accept()
        for _ in range(100):
            await socket.send(b"x" * 10_000)
            sent += 1

    async with chatting(flood, settings=Settings(stream_window=64 * 1024)) as (peer, _):
        peer.reads = False
        client = await open_socket(peer)
        await eventually(lambda: len(client.request.body) == 65_536)
        assert (await peer.request("GET", "/plain")).status == 200
        assert sent < 10
        peer.reads = True
        assert client.request.stream is not None
        peer.h2.consumed(client.request.stream, 65_536)
        await eventually(lambda: sent == 100)


async def test_stream_that_ends_behind_many_messages_ends_well() -> None:
    got: list[str | bytes] = []
    closed = asyncio.Event()

    async def collect(_head: Head, socket: Socket) -> None:
        await socket.accept()
        while (message := await socket.receive()) is not None:
            got.append(message)
        await socket.close()
        closed.set()

    async with chatting(collect) as (peer, _):
        request = (await open_socket(peer)).request
        words = [b"%d" % number for number in range(5000)]
        sent = b"".join(frame(Opcode.TEXT, word) for word in words)
        await request.send(sent + frame(Opcode.CLOSE, b"\x03\xe8"), end=True)
        await closed.wait()
        assert got == [word.decode() for word in words]
        assert request.stream is not None
        await eventually(lambda: request.stream is not None and request.stream.closed)
        assert request.code in (None, ErrorCode.NO_ERROR)


async def test_stream_that_ends_behind_many_messages_without_good_bye_is_gone() -> None:
    seen: list[str] = []
    done = asyncio.Event()

    async def collect(_head: Head, socket: Socket) -> None:
        await socket.accept()
        try:
            while await socket.receive() is not None:
                pass
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        except Error as error:
            seen.append(error.reason)
        finally:
            done.set()

    async with chatting(collect) as (peer, _):
        request = (await open_socket(peer)).request
        await request.send(frame(Opcode.TEXT, b"x") * 5000, end=True)
        await done.wait()
    assert seen[0] in ("cancelled", "CLIENT_CLOSED")


PINGS = frame(Opcode.PING, b"x" * 125) * 80


async def test_peer_that_does_not_take_its_pongs_is_held_back_until_it_does() -> None:
    limits = Limits(stream_window=64 * 1024)
    settings = Settings(stream_window=16 * 1024)
    async with chatting(echo, limits=limits, settings=settings) as (peer, _):
        peer.reads = False
        request = (await open_socket(peer)).request
        stream = request.stream
        assert stream is not None
        for _ in range(40):
            await request.send(PINGS)
        for _ in range(20):  # each is answered after what the server could give back by then
            assert (await peer.request("GET", "/plain")).status == 200
        assert stream.pending > 100_000
        peer.reads = True
        peer.h2.consumed(stream, len(request.body))
        await eventually(lambda: len(request.body) == 40 * 80 * 127)
        assert not stream.pending


async def test_peer_that_never_takes_its_pongs_is_given_up() -> None:
    async with listening(Talks(echo)) as opened:
        peer = await opened.connect_http2(Settings(stream_window=5))
        request = (await open_socket(peer)).request
        peer.reads = False
        await request.send(PINGS)
        assert (await peer.request("GET", "/plain")).status == 200
        now = asyncio.get_running_loop().time()
        opened.engine.sweep(now)
        opened.engine.sweep(now + 32)
        await eventually(lambda: request.code == ErrorCode.ENHANCE_YOUR_CALM)
        assert opened.engine.offences == {"write_timeout": 1}


async def test_silent_peer_is_pinged_and_given_up() -> None:
    limits = Limits(ping_interval=0.01, ping_timeout=0.01)
    async with chatting(echo, limits=limits) as (peer, _):
        request = ask(peer, headers=(*VERSION, ("origin", "http://test")))
        await request.begun()
        client = Client(request)
        assert (await client.receive()).opcode is Opcode.PING
        frame = await client.receive()
        assert (frame.opcode, bytes(frame.data)[:2]) == (Opcode.CLOSE, (1011).to_bytes(2, "big"))
        assert await request.broken() == ErrorCode.CANCEL
        assert (await peer.request("GET", "/plain")).status == 200
