"""WebSockets through the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from kratos.errors import Error
from kratos.transport.http import Head, Reply, Socket
from kratos_gateway.exchange import Answer, Handler, Request
from kratos_gateway.testing import proxied, scripted
from kratos_http.testing import HANDSHAKE, SocketPeer, eventually, frame, listening, next_frame

TEXT, BINARY, CLOSE = 1, 2, 8


class Room:
    """A node that takes WebSockets."""

    def __init__(self, script: Callable[[Head, Socket], Awaitable[None]]) -> None:
        self._script = script
        self.head: Head
        self.ended = asyncio.Event()
        self.code: int | None = 0  # of the client's close frame, at the end

    def route(self, head: Head, /) -> Room:
        self.head = head
        return self

    async def talk(self, head: Head, socket: Socket, /) -> None:
        try:
            with suppress(Error):
                await self._script(head, socket)
        finally:
            self.code = socket.close_code
            self.ended.set()


@asynccontextmanager
async def tunnelled(
    script: Callable[[Head, Socket], Awaitable[None]],
    *middlewares: dict[str, Any],
    **options: Any,
) -> AsyncGenerator[tuple[SocketPeer, Room]]:
    room = Room(script)
    async with listening(room) as node:
        endpoint = {
            "path": "/*",
            "backends": [{"target": f"127.0.0.1:{node.port}"}],
            "middlewares": list(middlewares),
        }
        async with proxied(endpoint, **options) as gateway:
            yield await gateway.connect(), room
            await eventually(lambda: not gateway.proxy.in_flight)


async def echo(_head: Head, socket: Socket) -> None:
    await socket.accept()
    while (message := await socket.receive()) is not None:
        await socket.send(message)


async def opened(peer: SocketPeer, *more: tuple[str, str]) -> str:
    answer = await peer.request("GET", "/room?x=1", headers=[*HANDSHAKE, *more])
    assert answer.status == 101
    return answer.header("sec-websocket-protocol")


async def test_messages_go_both_ways_and_the_close_code_arrives() -> None:
    async with tunnelled(echo) as (peer, room):
        await opened(peer, ("X-Told", "1"))
        assert (room.head.path, room.head.query) == (b"/room", b"x=1")
        assert room.head.header(b"x-told") == b"1"
        assert room.head.header(b"x-forwarded-for") == b"127.0.0.1"
        for kind, data in ((TEXT, b"hi"), (BINARY, b"\0\xff"), (TEXT, b"x" * 100_000)):
            await peer.send(frame(kind, data))
            assert await next_frame(peer) == (kind, data)
        await peer.send(frame(CLOSE, (3001).to_bytes(2, "big")))
        assert (await next_frame(peer))[0] == CLOSE
        await room.ended.wait()
        assert room.code == 3001


async def test_the_nodes_close_code_reaches_the_client() -> None:
    async def script(_head: Head, socket: Socket) -> None:
        await socket.accept()
        await socket.send("bye")
        await socket.close(4002, "over")

    async with tunnelled(script) as (peer, _):
        await opened(peer)
        assert await next_frame(peer) == (TEXT, b"bye")
        kind, payload = await next_frame(peer)
        assert (kind, payload[:2]) == (CLOSE, (4002).to_bytes(2, "big"))
        await peer.send(frame(CLOSE, payload[:2]))


async def test_the_subprotocol_is_the_nodes_choice() -> None:
    async def script(_head: Head, socket: Socket) -> None:
        await socket.accept(((b"sec-websocket-protocol", b"b"), (b"x-room", b"7")))
        await socket.receive()

    async with tunnelled(script) as (peer, room):
        assert await opened(peer, ("Sec-WebSocket-Protocol", "a, b")) == "b"
        assert room.head.header(b"sec-websocket-protocol") == b"a, b"
        await peer.send(frame(CLOSE))
        await next_frame(peer)


async def test_a_refusal_of_the_node_is_passed_on() -> None:
    async def script(_head: Head, socket: Socket) -> None:
        await socket.refuse(Reply(403, ((b"x-why", b"rules"),), b"no"))

    async with tunnelled(script) as (peer, _):
        answer = await peer.request("GET", "/", headers=HANDSHAKE)
        assert (answer.status, answer.body, answer.header("x-why")) == (403, b"no", "rules")


async def test_a_client_that_is_lost_is_lost_to_the_node() -> None:
    async with tunnelled(echo) as (peer, room):
        await opened(peer)
        peer.reset()
        await room.ended.wait()
        assert room.code is None


async def test_a_node_that_is_lost_closes_the_client() -> None:
    async def script(_head: Head, socket: Socket) -> None:
        await socket.accept()
        raise RuntimeError("broken")

    async with tunnelled(script) as (peer, _):
        await opened(peer)
        kind, payload = await next_frame(peer)
        assert (kind, payload[:2]) == (CLOSE, (1014).to_bytes(2, "big"))
        await peer.send(frame(CLOSE, payload[:2]))


async def test_a_node_that_is_not_there_is_told_as_for_other_requests() -> None:
    async with proxied({"path": "/*", "backends": [{"target": "127.0.0.1:1"}]}) as gateway:
        peer = await gateway.connect()
        assert (await peer.request("GET", "/", headers=HANDSHAKE)).status == 502


async def test_an_answer_that_is_none_to_the_handshake_is_not_believed() -> None:
    wrong = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"
    )
    async with (
        scripted(wrong) as address,
        proxied({"path": "/*", "backends": [{"target": address}]}) as gateway,
    ):
        peer = await gateway.connect()
        assert (await peer.request("GET", "/", headers=HANDSHAKE)).status == 502


async def test_a_refusal_that_does_not_end_is_not_waited_for_for_ever() -> None:
    endless = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nno"
    async with (
        scripted(endless) as address,
        proxied({"path": "/*", "timeout": "0.1s", "backends": [{"target": address}]}) as gateway,
    ):
        peer = await gateway.connect()
        assert (await peer.request("GET", "/", headers=HANDSHAKE)).status == 504


async def test_a_client_of_http2_talks_to_a_node_of_http_1_1() -> None:
    room = Room(echo)
    async with listening(room) as node:
        endpoint = {"path": "/*", "backends": [{"target": f"127.0.0.1:{node.port}"}]}
        async with proxied(endpoint) as gateway:
            peer = await gateway.connect_http2()
            request = peer.begin(
                "CONNECT",
                "/",
                headers=[("sec-websocket-version", "13")],
                pseudo=[
                    (":method", "CONNECT"),
                    (":protocol", "websocket"),
                    (":scheme", "http"),
                    (":authority", "test"),
                    (":path", "/room"),
                ],
            )
            await request.begun()
            assert request.status == 200
            await request.send(frame(TEXT, b"hi"))
            assert await request.until(b"hi") == frame(TEXT, b"hi", masked=False)
            assert (room.head.version, room.head.path) == ("1.1", b"/room")
            await request.send(frame(CLOSE, (1000).to_bytes(2, "big")))
            await room.ended.wait()
            assert room.code == 1000


class Guard:
    """Middleware that lets some in."""

    def wrap(self, handler: Handler, _endpoint: object, /) -> Handler:
        async def guarded(request: Request) -> Answer:
            if not request.header(b"x-token"):
                return Answer(401, [(b"www-authenticate", b"token")], b"who?")
            return await handler(request)

        return guarded

    async def aclose(self) -> None:
        pass


async def test_middleware_sees_the_handshake() -> None:
    room = Room(echo)
    async with listening(room) as node:
        endpoint = {
            "path": "/*",
            "backends": [{"target": f"127.0.0.1:{node.port}"}],
            "middlewares": [{"name": "guard"}],
        }
        async with proxied(endpoint, middleware=lambda _config: Guard()) as gateway:
            answer = await (await gateway.connect()).request("GET", "/", headers=HANDSHAKE)
            assert (answer.status, answer.body) == (401, b"who?")
            peer = await gateway.connect()
            await opened(peer, ("X-Token", "1"))
            await peer.send(frame(TEXT, b"hi"))
            assert await next_frame(peer) == (TEXT, b"hi")


class Second(Guard):
    """Middleware that has something to do once the node has answered."""

    def __init__(self, thought: Callable[[], Awaitable[None]]) -> None:
        self._thought = thought

    def made(self, _config: object) -> Second:
        return self

    def wrap(self, handler: Handler, _endpoint: object, /) -> Handler:
        async def handle(request: Request) -> Answer:
            answer = await handler(request)
            await self._thought()
            return answer

        return handle


async def test_node_is_left_by_a_client_who_leaves_while_its_handshake_is_answered() -> None:
    thinking = asyncio.Event()

    async def think() -> None:
        thinking.set()
        await asyncio.get_running_loop().create_future()

    second = Second(think)
    async with tunnelled(echo, {"name": "second"}, middleware=second.made) as (peer, room):
        asking = asyncio.create_task(peer.request("GET", "/room", headers=HANDSHAKE))
        await thinking.wait()
        asking.cancel()
        await asyncio.wait([asking])
        peer.reset()
        async with asyncio.timeout(5):
            await room.ended.wait()


async def test_node_is_left_where_middleware_fails_after_its_handshake() -> None:
    async def fail() -> None:
        raise OSError("of the middleware")

    second = Second(fail)
    async with tunnelled(echo, {"name": "second"}, middleware=second.made) as (peer, room):
        answer = await peer.request("GET", "/room", headers=HANDSHAKE)
        assert answer.status == 502
        async with asyncio.timeout(5):
            await room.ended.wait()


async def test_websocket_ends_with_the_configuration_that_let_it_in() -> None:
    room = Room(echo)
    async with listening(room) as node:
        endpoint = {"path": "/*", "backends": [{"target": f"127.0.0.1:{node.port}"}]}
        async with proxied(endpoint) as gateway:
            peer = await gateway.connect()
            await opened(peer)
            closing = asyncio.create_task(gateway.proxy.aclose(drain=0.0))
            kind, payload = await next_frame(peer)
            assert (kind, payload[:2]) == (CLOSE, (1012).to_bytes(2, "big"))
            await peer.send(frame(CLOSE, payload[:2]))
            await closing
            assert gateway.proxy.in_flight == 0
            await room.ended.wait()
            assert room.code == 1012
