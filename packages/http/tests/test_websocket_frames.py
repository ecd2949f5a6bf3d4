"""The WebSocket protocol at its limits, by raw frames; see ``autobahn`` for the rest of it."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from kratos.testing.echo import EchoService
from kratos.transport import Mount
from kratos_http import HttpServer, Limits
from kratos_http._frames import Frames, Side
from kratos_http.testing import HANDSHAKE, SocketPeer, frame, next_frame, running

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

Got = list[tuple[int, bytes]]


def word(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()


def code(number: int, reason: bytes = b"") -> bytes:
    return number.to_bytes(2, "big") + reason


@asynccontextmanager
async def chatting(limits: Limits | None = None) -> AsyncGenerator[SocketPeer]:
    """Open a WebSocket that echoes."""
    server = HttpServer("127.0.0.1:0", limits=limits)
    server.mount(Mount(services=[EchoService()]))
    async with running(server):
        (url,) = await server.bind()
        peer = await SocketPeer.connect("127.0.0.1", int(url.rpartition(":")[2]))
        lines = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE)
        await peer.send(f"GET /kratos.testing/chat HTTP/1.1\r\nHost: t\r\n{lines}\r\n".encode())
        head = await peer.until(b"\r\n\r\n")
        assert b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head  # RFC 6455, 1.3
        try:
            yield peer
        finally:
            await peer.aclose()


async def answers(peer: SocketPeer, data: bytes) -> Got:
    """Send bytes and return all frames up to a close frame, which gives its code alone."""
    await peer.send(data)
    got: Got = []
    while not got or got[-1][0] != CLOSE:
        opcode, payload = await next_frame(peer)
        got.append((opcode, payload[:2] if opcode == CLOSE else payload))
    return got


DONE = frame(TEXT, b"\x1eend")
CLOSED = (CLOSE, code(1000))
ABC = (TEXT, word("abc"))


async def test_text_comes_as_text_and_its_end_is_answered() -> None:
    async with chatting() as peer:
        assert await answers(peer, frame(TEXT, word("abc")) + DONE) == [ABC, CLOSED]


async def test_frame_that_is_not_masked_is_refused() -> None:
    async with chatting() as peer:
        got = await answers(peer, frame(TEXT, word("abc"), masked=False))
        assert got == [(CLOSE, code(1002))]
        assert await peer.rest() == b""


@pytest.mark.parametrize(
    "sent",
    [
        frame(TEXT, word("x" * 100)),
        frame(TEXT, b'"' + b"x" * 60, final=False) + frame(CONT, b"x" * 60),
        frame(BINARY, b"")[:1] + b"\xff" + b"\x7f" + b"\xff" * 7,
    ],
    ids=["whole", "fragments", "announced"],
)
async def test_message_beyond_the_limit_closes_with_1009(sent: bytes) -> None:
    async with chatting(Limits(max_message=100)) as peer:
        assert (await answers(peer, sent))[-1] == (CLOSE, code(1009))


async def test_silent_peer_is_pinged() -> None:
    async with chatting(Limits(ping_interval=0.01, ping_timeout=0.01)) as peer:
        for _ in range(3):  # Go's client may be silent for long: it is not given up
            assert await next_frame(peer) == (PING, b"")
        assert await answers(peer, frame(TEXT, word("abc")) + DONE)


@pytest.mark.parametrize("piece", [b"", b"x"])
async def test_message_in_endless_small_frames_is_too_large(piece: bytes) -> None:
    most = 1024 + 6400 // 32
    allowed = frame(TEXT, b'"', final=False) + frame(CONT, piece, final=False) * (most - 2)
    whole = word((piece * (most - 2)).decode())
    async with chatting(Limits(max_message=6400)) as peer:
        await peer.send(allowed + frame(CONT, b'"'))
        assert await next_frame(peer) == (TEXT, whole)
        got = await answers(peer, allowed + frame(CONT, piece, final=False) * 2)
        assert got == [(CLOSE, code(1009))]


def test_frames_of_a_message_take_no_more_memory_than_its_bytes() -> None:
    frames = Frames(Side.SERVER, max_message=1_000_000)
    frames.feed(frame(TEXT, b"", final=False))
    pieces = frame(CONT, "\u0100".encode(), final=False) * 500
    tracemalloc.start()
    try:
        for _ in range(20):
            assert frames.feed(pieces) == []
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()
    assert frames.feed(frame(CONT, b"")) == ["\u0100" * 10_000]


def test_client_is_told_of_a_message_in_too_many_frames() -> None:
    frames = Frames(Side.CLIENT, max_message=100)
    frames.feed(frame(BINARY, b"", final=False, masked=False))
    frames.feed(frame(CONT, b"", final=False, masked=False) * 2000)
    assert frames.failure is not None
    assert frames.failure.reason == "MESSAGE_TOO_LARGE"
    assert frames.failure.message == "a message comes in more than 1027 frames"
