"""HTTP/2 to back ends that serve HTTP: by prior knowledge, or as TLS begins."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trustme

from kratos.testing.program import free_port
from kratos.transport.http import Head, Socket, Wire
from kratos.transport.listening import place_of
from kratos_gateway.testing import Backend, backend, proxied, say
from kratos_http.listening import Engine, Listening, Place
from kratos_http.testing import HANDSHAKE, SocketPeer, eventually, frame, next_frame

AUTHORITY = trustme.CA()
STORE = {"inner": {"cacert": AUTHORITY.cert_pem.bytes().decode()}}
TEXT, CLOSE = 1, 8


def to(address: str, *, tls: bool = False, **more: Any) -> dict[str, Any]:
    target = {"target": address, "http2": True, "tls": tls}
    if tls:
        target["tlsConfigName"] = "inner"
    return {"path": "/*", "protocol": "HTTP", "timeout": "5s", "backends": [target], **more}


async def plain(head: Head, wire: Wire) -> None:
    await say(wire, 200, head.version.encode())


class Node(Backend):
    """A back end that speaks TLS, and offers some protocols."""

    engine: Engine

    def context(self, protocols: Sequence[str]) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate: Any = AUTHORITY.issue_cert("127.0.0.1")
        certificate.configure_cert(context)
        context.set_alpn_protocols(list(protocols))
        return context

    @asynccontextmanager
    async def serving(self, *protocols: str, at: str = "127.0.0.1:0") -> AsyncGenerator[str]:
        self.engine = Engine(self)
        place = Place("")
        server = Listening(
            place_of(at),
            engine=self.engine,
            place=place,
            endpoint=None,
            tls=self.context(protocols),
            sock=None,
            cancel_grace=1.0,
        )

        @asynccontextmanager
        async def nothing() -> AsyncGenerator[None]:
            yield

        await server.bind()
        running = asyncio.create_task(server.start(nothing))
        await server.ready()
        try:
            yield place.endpoint.rpartition("//")[2]
        finally:
            await server.stop()
            await running


async def ask(peer: SocketPeer) -> bytes:
    answer = await peer.request("GET", "/")
    assert answer.status == 200
    return answer.body


async def test_http2_is_spoken_without_tls_because_the_configuration_says_so() -> None:
    async with backend(plain) as node, proxied(to(node.address)) as gateway:
        assert await ask(await gateway.connect()) == b"2"
        (head,) = node.heads
        assert (head.scheme, head.header(b"host")) == ("http", b"test")


@pytest.mark.parametrize(
    ("offered", "spoken"),
    [(("h2", "http/1.1"), b"2"), (("http/1.1",), b"1.1"), ((), b"1.1")],
)
async def test_node_chooses_as_tls_begins(offered: Sequence[str], spoken: bytes) -> None:
    node = Node(plain)
    async with node.serving(*offered) as address:
        async with proxied(to(address, tls=True), tls_store=STORE) as gateway:
            peer = await gateway.connect()
            assert [await ask(peer) for _ in range(3)] == [spoken] * 3
            assert len(node.engine.connections) == 1
            answer = await peer.request("POST", "/", body=b"x" * 100_000)
            assert answer.body == spoken
        await eventually(lambda: not node.engine.connections)


async def test_requests_at_once_share_a_connection() -> None:
    count = 20
    together = asyncio.Barrier(count)

    async def script(_head: Head, wire: Wire) -> None:
        await together.wait()
        await say(wire)

    node = Node(script)
    async with (
        node.serving("h2") as address,
        proxied(to(address, tls=True), tls_store=STORE) as gateway,
    ):
        peer = await gateway.connect_http2()
        answers = await asyncio.gather(*(peer.request("GET", "/") for _ in range(count)))
        assert [answer.status for answer in answers] == [200] * count
        assert len(node.engine.connections) == 1


async def test_both_ends_may_speak_in_turns() -> None:
    async def script(_head: Head, wire: Wire) -> None:
        wire.start(200, [(b"x-accel-buffering", b"no")])
        while piece := await wire.read():
            await wire.write(piece.upper())
        await wire.finish([(b"x-count", b"2")])

    async with backend(script) as node, proxied(to(node.address, stream=True)) as gateway:
        request = (await gateway.connect_http2()).begin("POST", "/")
        for word in (b"one", b"two"):
            await request.send(word)
            assert await request.until(word.upper()) == word.upper()
        await request.send(b"", end=True)
        answer = await request.answer()
        assert list(answer.trailers) == [("x-count", "2")]


class Room(Node):
    """A node that takes WebSockets."""

    async def talk(self, _head: Head, socket: Socket, /) -> None:
        await socket.accept()
        while (message := await socket.receive()) is not None:
            await socket.send(message)


async def test_websockets_stay_on_http_1_1() -> None:
    room = Room(plain)
    async with (
        room.serving("h2", "http/1.1") as address,
        proxied(to(address, tls=True), tls_store=STORE) as gateway,
    ):
        peer = await gateway.connect()
        assert (await peer.request("GET", "/", headers=HANDSHAKE)).status == 101
        assert room.heads[-1].version == "1.1"
        await peer.send(frame(TEXT, b"hi"))
        assert await next_frame(peer) == (TEXT, b"hi")
        await peer.send(frame(CLOSE))
        await next_frame(peer)
        await eventually(lambda: not gateway.proxy.in_flight)


async def test_node_that_was_replaced_may_choose_otherwise() -> None:
    node = Node(plain)
    at = f"127.0.0.1:{free_port()}"
    async with proxied(to(at, tls=True), tls_store=STORE) as gateway:
        peer = await gateway.connect()
        for offered, spoken in (("http/1.1", b"1.1"), ("h2", b"2"), ("http/1.1", b"1.1")):
            async with node.serving(offered, at=at):
                assert await ask(peer) == spoken
            await eventually(lambda: not gateway.proxy.show()[0]["nodes"][0]["connections"])
