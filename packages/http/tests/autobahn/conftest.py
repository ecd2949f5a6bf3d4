"""Both our ends of a WebSocket, each sending back what it gets, and a peer of raw frames.

The tests here restate the cases of the Autobahn suite, section by section, under its numbers.
Sections 12 and 13 are about compression, which is neither offered nor accepted here.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, ClassVar, TypeAlias

import pytest

from kratos.client import Client
from kratos.errors import Error
from kratos.transport import Arity, HttpRule, Method, Mount, Service
from kratos_http import HttpConnector, HttpServer, Limits
from kratos_http.testing import HANDSHAKE, SocketPeer, frame, running

HttpBody: Any = import_module("google.api.httpbody_pb2").HttpBody  # ships without types

CLOSE = 8
END = (1, b"\x1eend")  # ours: no more messages
LARGEST = 20 << 20
ROUND = Method(
    operation="/test.Autobahn/Round",
    name="round",
    arity=Arity.BIDI_STREAM,
    request=HttpBody,
    reply=HttpBody,
    http=(HttpRule(verb="GET", path="/round"),),
)


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Name one event loop: what is tested here is above them."""
    return {"asyncio": asyncio.new_event_loop}


Spec: TypeAlias = tuple[Any, ...]
"""Opcode and payload of a frame, and if need be whether it is final, and its reserved bits."""
Got: TypeAlias = list[tuple[int, bytes]]
Exactly: TypeAlias = Callable[[int], Awaitable[bytes]]
Send: TypeAlias = Callable[[bytes], Awaitable[None]]


class Rounds(Service):
    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (ROUND,)

    async def round(self, requests: AsyncIterator[Any], /) -> AsyncIterator[Any]:
        async for request in requests:
            yield request


async def read(exactly: Exactly) -> Got:
    """Return all frames up to a close frame, or to the end of the connection."""
    got: Got = []
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while not got or got[-1][0] != CLOSE:
            first, second = await exactly(2)
            assert first & 0x70 == 0
            size = second & 0x7F
            if size > 125:
                size = int.from_bytes(await exactly(2 if size == 126 else 8), "big")
            mask = await exactly(4) if second & 0x80 else bytes(4)
            payload = await exactly(size)
            key = (mask * (size // 4 + 1))[:size]
            plain = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
            frame = (first & 0x0F, plain.to_bytes(size, "big"))
            if frame != END:
                got.append(frame)
    return got


async def write(send: Send, pieces: Sequence[bytes]) -> None:
    with suppress(ConnectionError):  # the other end may have seen enough
        for piece in pieces:
            await send(piece)
            await asyncio.sleep(0)


async def with_server(pieces: Sequence[bytes]) -> Got:
    server = HttpServer("127.0.0.1:0", limits=Limits(max_message=LARGEST, close_timeout=5.0))
    server.mount(Mount(services=[Rounds()]))
    async with running(server):
        (url,) = await server.bind()
        peer = await SocketPeer.connect("127.0.0.1", int(url.rpartition(":")[2]))
        lines = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE)
        await peer.send(f"GET /round HTTP/1.1\r\nHost: t\r\n{lines}\r\n".encode())
        assert b" 101 " in await peer.until(b"\r\n\r\n")
        reading = asyncio.ensure_future(read(peer.exactly))
        await write(peer.send, pieces)
        got = await reading
        await peer.aclose()
    return got


async def with_client(pieces: Sequence[bytes]) -> Got:
    got: asyncio.Future[Got] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if b"-key: " in line)
        guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key + guid, usedforsecurity=False).digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
        )

        async def send(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        reading = asyncio.ensure_future(read(reader.readexactly))
        await write(send, pieces)
        got.set_result(await reading)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with Client(url, transport=HttpConnector(max_reply=LARGEST)) as client:
            with suppress(Error):  # what the peer sees is what counts
                async with client.bidi_stream(ROUND, None) as stream:
                    async for message in stream:
                        await stream.send(message)
            return await got


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


class Talk:
    """Sends frames to one of our ends.

    Attributes:
        normal: How it ends the WebSocket when it has no more messages: our client, which then
            has all that it wants, ends the connection.
    """

    def __init__(self, end: str) -> None:
        self._masked = end == "server"
        self._end = with_server if self._masked else with_client
        self.normal: Got = [(CLOSE, b"\x03\xe8")] if self._masked else []

    async def __call__(self, *frames: Spec, chop: int | None = None) -> Got:
        """Return what the end sends, up to its close frame.

        The frames may go in one piece, which is the default, in one each (``chop=0``), or in
        pieces of so many bytes.
        """
        raw = [self._raw(*spec) for spec in frames]
        whole = b"".join(raw)
        return await self._end([whole] if chop is None else cut(whole, chop) if chop else raw)

    def _raw(self, opcode: int, payload: bytes, final: Any = True, reserved: int = 0) -> bytes:
        return frame(opcode, payload, final=final, reserved=reserved, masked=self._masked)


@pytest.fixture(params=["server", "client"])
def talk(request: pytest.FixtureRequest) -> Talk:
    """Return what sends frames to one of our ends."""
    return Talk(request.param)
