"""Peers that take too long, and the end of an engine."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest

from kratos.transport.http import Endpoint, Head, Reply
from kratos_http import Limits
from kratos_http._pieces import add_piece
from kratos_http.testing import Listening, SocketPeer, eventually, listening

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class Gate:
    """Holds requests until it is opened."""

    max_body = 1_000_000

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.opened = asyncio.Event()
        self.heads: list[Head] = []

    def route(self, head: Head, /) -> Endpoint:
        self.heads.append(head)
        return self

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        self.entered.set()
        if head.path == b"/wait":
            await self.opened.wait()
        return Reply(200, (), body)


async def until_read(opened: Listening, peer: SocketPeer, data: bytes) -> None:
    """Send bytes that make no request yet, and wait until the engine has them."""
    await peer.send(data)
    connection = await opened.connection()
    await eventually(lambda: not connection.is_idle)


def sweep(opened: Listening, seconds: float) -> None:
    """Let the engine believe that time has passed."""
    opened.engine.sweep(asyncio.get_running_loop().time() + seconds)


async def test_flood_of_small_requests_is_not_taken_in_at_once() -> None:
    gate = Gate()
    async with listening(gate) as opened:
        peer = await opened.connect()
        await peer.send(GET.replace(b" / ", b" /wait "))
        await gate.entered.wait()
        connection = await opened.connection()
        connection.data_received(GET * 8000)
        assert connection.paused
        assert len(gate.heads) < 1500
        gate.opened.set()
        for _ in range(8001):
            assert (await peer.answer()).status == 200


async def test_idle_connection_is_closed_in_time() -> None:
    async with listening(Gate()) as opened:
        peer = await opened.connect()
        assert (await peer.request("GET", "/")).status == 200
        sweep(opened, 70)
        assert len(opened.engine.connections) == 1
        sweep(opened, 80)
        assert await peer.rest() == b""


async def test_connection_that_never_says_anything_is_closed_in_time() -> None:
    async with listening(Gate()) as opened:
        peer = await opened.connect()
        await eventually(lambda: opened.engine.connections)
        sweep(opened, 29)
        assert len(opened.engine.connections) == 1
        sweep(opened, 32)
        assert await peer.rest() == b""


async def test_head_that_comes_too_slowly_is_refused() -> None:
    async with listening(Gate()) as opened:
        peer = await opened.connect()
        await until_read(opened, peer, b"GET / HT")
        sweep(opened, 9)
        sweep(opened, 12)
        refusal = await peer.answer()
        assert await peer.rest() == b""
    assert (refusal.status, refusal.json()["reason"]) == (408, "REQUEST_TIMEOUT")


async def test_body_that_comes_too_slowly_is_refused() -> None:
    gate = Gate()
    async with listening(gate) as opened:
        peer = await opened.connect()
        head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n"
        await until_read(opened, peer, head + b"x" * 2400)
        await eventually(lambda: gate.heads)
        sweep(opened, 14)  # 5 s of grace, and 10 s for what has come
        sweep(opened, 17)
        assert (await peer.answer()).status == 408


async def test_body_that_comes_steadily_is_taken() -> None:
    async with listening(Gate()) as opened:
        peer = await opened.connect()
        head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 24001\r\n\r\n"
        await until_read(opened, peer, head + b"x" * 24000)
        sweep(opened, 100)
        await peer.send(b"x")
        assert (await peer.answer()).status == 200


async def test_handler_may_take_as_long_as_it_wants() -> None:
    gate = Gate()
    async with listening(gate) as opened:
        peer = await opened.connect()
        asking = asyncio.ensure_future(peer.request("GET", "/wait"))
        await gate.entered.wait()
        sweep(opened, 10_000)
        gate.opened.set()
        assert (await asking).status == 200


async def test_peer_that_takes_nothing_is_cut_off() -> None:
    class Large(Gate):
        async def answer(self, head: Head, body: bytes, /) -> Reply:
            return Reply(200, (), b"x" * 20_000_000)

    async with listening(Large()) as opened:
        peer = await opened.connect()
        await peer.send(GET)
        connection = await opened.connection()
        await eventually(lambda: not connection.writable)
        sweep(opened, 20)
        assert len(opened.engine.connections) == 1
        sweep(opened, 60)  # up to here the system took much of it, which it sends by itself
        sweep(opened, 100)
        await opened.engine.drain()
        assert not opened.engine.connections


async def test_lingering_peer_is_cut_off_in_time() -> None:
    async with listening(Gate(), limits=Limits(max_head=100)) as opened:
        peer = await opened.connect()
        await peer.send(b"GET / HTTP/1.1\r\nX: " + b"a" * 200 + b"\r\n\r\n")
        assert (await peer.answer()).status == 431
        assert len(opened.engine.connections) == 1
        sweep(opened, 10)
        await opened.engine.drain()


async def test_draining_closes_idle_connections_at_once() -> None:
    async with listening(Gate()) as opened:
        peer = await opened.connect()
        assert (await peer.request("GET", "/")).status == 200
        await opened.engine.drain()
        assert await peer.rest() == b""


async def test_draining_waits_for_answers_and_says_that_they_are_the_last() -> None:
    gate = Gate()
    async with listening(gate) as opened:
        peer = await opened.connect()
        asking = asyncio.ensure_future(peer.request("GET", "/wait"))
        await gate.entered.wait()
        draining = asyncio.ensure_future(opened.engine.drain())
        await asyncio.sleep(0)
        assert not draining.done()
        gate.opened.set()
        answer = await asking
        assert (answer.status, answer.header("connection")) == (200, "close")
        assert await peer.rest() == b""
        await draining


async def test_draining_answers_all_that_was_pipelined() -> None:
    gate = Gate()
    async with listening(gate) as opened:
        peer = await opened.connect()
        await peer.send(GET.replace(b" / ", b" /wait ") + GET * 3)
        await gate.entered.wait()
        draining = asyncio.ensure_future(opened.engine.drain())
        await asyncio.sleep(0)
        gate.opened.set()
        answers = [await peer.answer() for _ in range(4)]
        assert [answer.header("connection") for answer in answers] == ["", "", "", "close"]
        await draining


async def test_draining_takes_a_request_that_had_begun() -> None:
    async with listening(Gate()) as opened:
        peer = await opened.connect()
        await until_read(opened, peer, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na")
        draining = asyncio.ensure_future(opened.engine.drain())
        await asyncio.sleep(0)
        await peer.send(b"bc")
        answer = await peer.answer()
        assert (answer.body, answer.header("connection")) == (b"abc", "close")
        await draining


async def test_closing_the_engine_cuts_requests_off() -> None:
    gate = Gate()
    async with listening(gate) as opened:
        peer = await opened.connect()
        asking = asyncio.ensure_future(peer.request("GET", "/wait"))
        await gate.entered.wait()
        await opened.engine.aclose(grace=1.0)
        assert not opened.engine.connections
        with pytest.raises(ConnectionError):
            await asking


@pytest.mark.parametrize("name", ["max_body", "head_timeout", "max_pipelined"])
def test_limit_must_be_positive(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Limits(**{name: 0})


def test_body_in_tiny_pieces_takes_little_more_than_its_size() -> None:
    pieces: list[bytes | bytearray] = []
    tracemalloc.start()
    try:
        for number in range(50_000):
            add_piece(pieces, b"%04x" % number)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert b"".join(pieces) == b"".join(b"%04x" % number for number in range(50_000))
    assert taken < 400_000
