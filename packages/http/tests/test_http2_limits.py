"""Peers of HTTP/2 that take too long or too much, and the end of connections.

Each attack is made over a socket, beside an honest connection that has to be served meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from kratos.metrics import MemoryMeter
from kratos.transport import Mount
from kratos.transport.cause import Cause
from kratos.transport.http import Endpoint, Head, Reply
from kratos_http import HttpServer, Limits
from kratos_http._endpoints import Constant
from kratos_http._http2_connection import Http2Connection
from kratos_http.conduct import Governed
from kratos_http.testing import (
    Http2Peer,
    Listening,
    SocketPeer,
    eventually,
    listening,
    running,
)
from kratos_http2 import ErrorCode, Settings, encode_fields

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"


class Gate:
    """Holds requests of /wait until it is opened; answers others at once, /large with a lot."""

    max_body = 1_000_000

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.running = 0
        self.most = 0
        self.cancelled = 0
        self.begun = 0

    def route(self, head: Head, /) -> Endpoint:
        return self

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        self.running += 1
        self.begun += 1
        self.most = max(self.most, self.running)
        try:
            if head.path == b"/wait":
                await self.opened.wait()
            elif head.path == b"/stubborn":
                await asyncio.shield(self.opened.wait())
        except asyncio.CancelledError:
            self.cancelled += 1
            if head.path == b"/stubborn":
                await self.opened.wait()
            raise
        finally:
            self.running -= 1
        return Reply(200, (), b"x" * 500_000 if head.path == b"/large" else body)


@dataclass
class Attack:
    """A server, an honest peer of it, and one that is not."""

    opened: Listening
    gate: Gate
    honest: Http2Peer
    peer: Http2Peer

    def sweep(self, seconds: float) -> None:
        """Let the engine believe that time has passed."""
        self.opened.engine.sweep(asyncio.get_running_loop().time() + seconds)

    async def fails(self, code: ErrorCode) -> None:
        """Wait until the connection is ended with a code, and the other is as it was."""
        await self.peer.closed()
        assert self.peer.goaways[-1][1] == code, self.peer.goaways
        assert (await self.honest.request("POST", "/", body=b"still")).body == b"still"


@asynccontextmanager
async def attack(
    *, limits: Limits | None = None, settings: Settings | None = None
) -> AsyncGenerator[Attack]:
    gate = Gate()
    async with listening(gate, limits=limits) as opened:
        honest = await opened.connect_http2()
        yield Attack(opened, gate, honest, await opened.connect_http2(settings))


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big")
    return head + payload


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """Return types and payloads of frames."""
    found: list[tuple[int, bytes]] = []
    while data:
        end = 9 + int.from_bytes(data[:3], "big")
        found.append((data[3], data[9:end]))
        data = data[end:]
    return found


async def raw(opened: Listening) -> tuple[SocketPeer, Http2Connection]:
    """Return a connection that has spoken the preface, and the server's end of it."""
    peer = await opened.connect()
    await peer.send(PREFACE)
    head = await peer.exactly(9)
    await peer.exactly(int.from_bytes(head[:3], "big"))  # the settings
    await eventually(lambda: opened.engine.connections)
    (connection,) = opened.engine.connections
    assert isinstance(connection, Http2Connection)
    return peer, connection


class TestRapidReset:
    async def test_streams_reset_at_once_never_run_more_handlers_than_there_may_be(self) -> None:
        async with attack(limits=Limits(max_streams=10)) as it:
            for _ in range(300):
                request = it.peer.begin("GET", "/stubborn", end=True)
                for _ in range(5):
                    await asyncio.sleep(0)
                request.reset()
            await eventually(lambda: it.gate.cancelled == 10)
            assert it.gate.most <= 10
            assert (await it.honest.request("GET", "/")).status == 200
            it.gate.opened.set()
            await eventually(lambda: not it.gate.running)

    async def test_connections_that_have_most_of_all_requests_are_refused(self) -> None:
        async with attack(limits=Limits(max_streams=10, max_requests=12)) as it:
            second = await it.opened.connect_http2()
            for peer, count in ((it.peer, 10), (second, 2)):
                for _ in range(count):
                    peer.begin("GET", "/wait", end=True)
            await eventually(lambda: it.gate.running == 12)
            held = [second.begin("GET", "/wait", end=True) for _ in range(3)]
            assert await held[-1].broken() == ErrorCode.REFUSED_STREAM  # its part is a third of 12
            assert (await it.honest.request("GET", "/")).status == 200
            assert it.opened.engine.offences["max_requests"] == 1
            it.gate.opened.set()
            await eventually(lambda: it.opened.engine.requests == 0)

    async def test_requests_of_connections_that_break_off_are_none_any_more(self) -> None:
        async with attack() as it:
            for _ in range(3):
                it.peer.begin("GET", "/wait", end=True)
            await eventually(lambda: it.gate.running == 3)
            await it.peer.aclose()
            await eventually(lambda: it.opened.engine.requests == 0)

    async def test_handler_that_ignores_its_cancellation_holds_its_place(self) -> None:
        async with attack(limits=Limits(max_streams=2)) as it:
            requests = [it.peer.begin("GET", "/stubborn", end=True) for _ in range(2)]
            await eventually(lambda: it.gate.running == 2)
            for request in requests:
                request.reset()
            await eventually(lambda: it.gate.cancelled == 2)
            assert await it.peer.begin("GET", "/", end=True).broken() == ErrorCode.REFUSED_STREAM
            assert it.opened.engine.offences["max_streams"] == 1
            it.gate.opened.set()
            await eventually(lambda: not it.gate.running)
            assert (await it.peer.request("GET", "/")).status == 200

    async def test_endless_resets_end_the_connection(self) -> None:
        async with attack() as it:
            it.peer.h2.peer.max_streams = 2**31 - 1
            while not it.peer.lost:
                for _ in range(100):
                    if it.peer.h2.usable:
                        it.peer.begin("GET", "/wait", end=True).reset()
                await asyncio.sleep(0)
            await it.fails(ErrorCode.ENHANCE_YOUR_CALM)
            assert it.opened.engine.offences["resets"] == 1
            await eventually(lambda: not it.gate.running)


class TestTurns:
    """What comes in one piece may be a lot of work."""

    async def test_thousand_requests_of_one_piece_are_begun_in_several_turns(self) -> None:
        gate = Gate()
        async with listening(gate, limits=Limits(max_streams=1000)) as opened:
            peer, connection = await raw(opened)
            block = encode_fields(
                (
                    (b":method", b"GET"),
                    (b":scheme", b"http"),
                    (b":authority", b"x" * 60),
                    (b":path", b"/wait"),
                )
            )
            data = b"".join(frame(1, 5, 2 * number + 1, block) for number in range(1000))
            connection.data_received(data)
            assert 0 < opened.engine.requests < 600
            connection.data_received(frame(6, 0, 0, b"the last"))
            await eventually(lambda: gate.running == 1000)
            await peer.until(b"the last")
            gate.opened.set()
            await eventually(lambda: opened.engine.requests == 0)

    async def test_peer_that_goes_meanwhile_leaves_nothing(self) -> None:
        async with listening(Gate(), limits=Limits(max_streams=1000)) as opened:
            peer, connection = await raw(opened)
            block = encode_fields(((b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")))
            data = b"".join(frame(1, 5, 2 * number + 1, block) for number in range(3000))
            connection.data_received(data)
            connection.abort()
            await eventually(lambda: not opened.engine.connections)
            await peer.aclose()

    async def test_body_of_one_piece_is_read_in_one_turn(self) -> None:
        async with attack() as it:
            request = it.peer.begin("POST", "/")
            await self._reach(it)
            (connection,) = (
                each
                for each in it.opened.engine.connections
                if isinstance(each, Http2Connection) and not each.is_idle
            )
            connection.data_received(frame(0, 0, 1, b"x" * 16_000) * 4)
            assert connection.uploads.size == 64_000
            request.reset()

    async def _reach(self, it: Attack) -> None:
        await it.peer.request("GET", "/")


async def test_idle_connection_remembers_nothing_of_its_requests() -> None:
    async with listening(Gate()) as opened:
        peer = await opened.connect_http2()
        (connection,) = opened.engine.connections
        assert isinstance(connection, Http2Connection)
        for _ in range(3):
            assert (await peer.request("GET", "/")).status == 200
        inner: Any = connection.h2
        reader = inner._reader
        assert reader.known
        await eventually(lambda: connection.is_idle)
        opened.engine.sweep(asyncio.get_running_loop().time() + 15)
        assert not reader.known
        assert not reader._bases
        assert (await peer.request("GET", "/")).status == 200


class Refusing:
    """Answers all with an error that was ready before."""

    def route(self, head: Head, /) -> Endpoint:
        return Constant(Reply(405, (), b"not so"))


async def test_peer_that_breaks_an_answer_off_writes_nothing_into_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with listening(Refusing()) as opened:
        peer = await opened.connect_http2(Settings(stream_window=1))
        request = peer.begin("GET", "/", end=True)
        await request.begun()
        request.reset()
        await peer.request("HEAD", "/")
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


class TestFloods:
    @pytest.mark.parametrize(
        ("name", "data"),
        [
            ("pings", frame(6, 0, 0, b"12345678")),
            ("settings", frame(4, 0, 0)),
            ("priorities", frame(2, 0, 1, b"\0\0\0\0\1")),
            ("window_updates", frame(8, 0, 0, b"\0\0\0\1")),
            ("unknown", frame(99, 0, 0, b"x")),
        ],
    )
    async def test_flood_of_frames_ends_the_connection(self, name: str, data: bytes) -> None:
        async with listening(Gate()) as opened:
            peer, _ = await raw(opened)
            await peer.send(data * 5000)
            (goaway,) = [payload for kind, payload in frames(await peer.rest()) if kind == 7]
            assert int.from_bytes(goaway[4:8], "big") == ErrorCode.ENHANCE_YOUR_CALM
            assert opened.engine.offences == {name: 1}
            assert (await (await opened.connect_http2()).request("GET", "/")).status == 200

    async def test_offences_are_counted_in_the_meter_of_the_application(self) -> None:
        server, meter = HttpServer("127.0.0.1:0"), MemoryMeter()
        server.mount(Mount(metrics=meter))
        async with running(server):
            port = urlsplit((await server.bind())[0]).port or 0
            for _ in range(2):
                peer = await SocketPeer.connect("127.0.0.1", port)
                await peer.send(PREFACE + frame(6, 0, 0, b"12345678") * 5000)
                await peer.rest()
                await peer.aclose()
        count = meter.value("server_connection_offences_total", kind="http", limit="pings")
        assert count == 2

    async def test_flood_of_empty_data_ends_the_connection(self) -> None:
        async with attack() as it:
            it.peer.begin("POST", "/")
            it.peer.write(frame(0, 0, 1) * 5000)
            await it.fails(ErrorCode.ENHANCE_YOUR_CALM)
            assert it.opened.engine.offences == {"empty_frames": 1}

    async def test_endless_continuation_ends_the_connection(self) -> None:
        async with attack() as it:
            it.peer.write(frame(1, 0, 1, b"\x82") + frame(9, 0, 1, b"\x84") * 5000)
            await it.fails(ErrorCode.ENHANCE_YOUR_CALM)
            assert it.opened.engine.offences == {"max_continuations": 1}

    async def test_header_list_that_explodes_ends_the_connection(self) -> None:
        async with attack(limits=Limits(max_head=10_000)) as it:
            # A field of 4 KB enters the table, and is then named again and again.
            big = b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4000
            it.peer.write(frame(1, 4, 1, b"\x82\x84\x86" + big + b"\xbe" * 10_000))
            await it.fails(ErrorCode.ENHANCE_YOUR_CALM)

    async def test_pings_of_a_peer_that_does_not_read_take_bounded_memory(self) -> None:
        async with listening(Gate()) as opened:
            peer, connection = await raw(opened)
            data = frame(6, 0, 0, b"12345678") * 1000
            while opened.engine.connections and not connection.offended:
                await peer.send(data)
                await asyncio.sleep(0)
            assert opened.engine.offences["pings"] + opened.engine.offences["max_output"] == 1


class TestTime:
    async def test_header_block_that_is_never_completed_is_given_up(self) -> None:
        async with attack() as it:
            it.peer.write(frame(1, 0, 1, b""))  # nothing of it, and more is to follow
            await self._reach(it)
            it.sweep(12)
            await it.fails(ErrorCode.ENHANCE_YOUR_CALM)
            assert it.opened.engine.offences == {"head_timeout": 1}

    async def test_header_block_that_comes_in_drops_is_given_up(self) -> None:
        async with listening(Gate()) as opened:
            peer, connection = await raw(opened)
            await peer.send(frame(1, 0, 1, b"\x82"))
            await eventually(lambda: connection.h2.in_headers)
            opened.engine.now += 9.5
            await peer.send(frame(9, 0, 1, b"\x84"))
            await eventually(lambda: connection.h2.buffered == 2)
            connection.check(opened.engine.now + 2)
            assert b"a frame took too long" in await peer.rest()

    async def test_frame_that_is_never_completed_is_given_up(self) -> None:
        async with listening(Gate()) as opened:
            peer, connection = await raw(opened)
            await peer.send(frame(6, 0, 0, b"12345678")[:12])
            await eventually(lambda: connection.h2.buffered)
            opened.engine.sweep(asyncio.get_running_loop().time() + 12)
            assert b"a frame took too long" in await peer.rest()

    async def test_body_that_comes_too_slowly_is_refused_and_the_connection_stays(self) -> None:
        async with attack() as it:
            request = it.peer.begin("POST", "/")
            await request.send(b"x")
            await self._reach(it)
            it.sweep(8)
            assert (await request.answer()).status == 408
            assert (await it.peer.request("GET", "/")).status == 200

    async def test_large_frame_of_a_slow_but_steady_peer_is_waited_for(self) -> None:
        async with listening(Gate()) as opened:
            peer, connection = await raw(opened)
            head = b"\x83\x86\x84\x01\x04test"
            await peer.send(frame(1, 4, 1, head) + frame(0, 1, 1, b"x" * 10_000)[:5000])
            await eventually(lambda: connection.h2.buffered == 5000)
            opened.engine.sweep(asyncio.get_running_loop().time() + 20)
            await peer.send(frame(0, 1, 1, b"x" * 10_000)[5000:])
            assert b"x" * 10_000 in await peer.until(b"x" * 10_000)

    async def test_handler_may_take_as_long_as_it_wants(self) -> None:
        async with attack() as it:
            request = it.peer.begin("GET", "/wait", end=True)
            await eventually(lambda: it.gate.running)
            it.sweep(10_000)
            it.gate.opened.set()
            assert (await request.answer()).status == 200

    async def test_idle_connection_is_sent_away_in_time(self) -> None:
        async with attack() as it:
            await it.peer.request("GET", "/")
            it.sweep(74)
            assert (await it.peer.request("GET", "/")).status == 200
            it.sweep(74 + 77)
            await it.peer.closed()
            assert [code for _, code, _ in it.peer.goaways] == [0, 0]

    async def test_connection_that_does_not_greet_is_sent_away_in_time(self) -> None:
        async with listening(Gate(), versions=["2"]) as opened:
            peer = await opened.connect()
            await eventually(lambda: opened.engine.connections)
            opened.engine.sweep(asyncio.get_running_loop().time() + 32)
            opened.engine.sweep(asyncio.get_running_loop().time() + 40)
            assert frames(await peer.rest())[-1] == (7, bytes(8))

    async def test_answer_that_gets_no_window_is_broken_off(self) -> None:
        limits = Limits(idle_timeout=1000)
        async with attack(limits=limits, settings=Settings(stream_window=1)) as it:
            it.peer.reads = False
            stuck = it.peer.begin("GET", "/large", end=True)
            await stuck.begun()
            it.sweep(0)
            it.sweep(32)
            assert await stuck.broken() == ErrorCode.ENHANCE_YOUR_CALM
            assert it.opened.engine.offences == {"write_timeout": 1}
            assert (await it.honest.request("GET", "/")).status == 200

    async def test_answer_that_is_taken_steadily_is_not(self) -> None:
        async with attack(settings=Settings(stream_window=10_000)) as it:
            it.peer.reads = False
            slow = it.peer.begin("GET", "/large", end=True)
            await slow.begun()
            assert slow.stream is not None
            for step in range(1, 6):
                it.sweep(32 * (step - 1))
                it.peer.h2.consumed(slow.stream, 10_000)
                await eventually(lambda step=step: len(slow.body) == 10_000 * (step + 1))  # type: ignore[misc]
                it.sweep(32 * step)
            assert slow.code is None

    async def test_peer_that_does_not_read_its_socket_is_cut_off(self) -> None:
        big = Settings(stream_window=2**31 - 1, connection_window=2**31 - 1)
        async with attack(settings=big) as it:
            it.peer.pause()
            connection = self._connection_of(it)
            while connection.writable:
                it.peer.begin("GET", "/large", end=True)
                await asyncio.sleep(0)
            it.sweep(0)
            it.sweep(32)
            await eventually(lambda: len(it.opened.engine.connections) == 1)
            assert it.opened.engine.offences == {"write_timeout": 1}

    async def test_requests_of_a_peer_that_does_not_read_do_not_run(self) -> None:
        big = Settings(stream_window=2**31 - 1, connection_window=2**31 - 1)
        async with attack(settings=big) as it:
            it.peer.pause()
            connection = self._connection_of(it)
            while connection.writable:
                it.peer.begin("GET", "/large", end=True)
                await asyncio.sleep(0)
            begun = it.gate.begun
            for _ in range(20):
                it.peer.begin("GET", "/large", end=True)
            for _ in range(100):
                await asyncio.sleep(0)
            assert it.gate.begun - begun <= 1

    @staticmethod
    def _connection_of(it: Attack) -> Http2Connection:
        port = it.peer.port
        (found,) = (each for each in it.opened.engine.connections if str(each).endswith(f":{port}"))
        assert isinstance(found, Http2Connection)
        return found

    @classmethod
    async def _reach(cls, it: Attack) -> None:
        """Wait until the server has read all that was sent."""
        connection = cls._connection_of(it)
        await eventually(lambda: connection.h2.in_headers or not connection.is_idle)


class TestMemory:
    async def test_thousands_of_streams_with_tiny_windows_wait_instead_of_running(self) -> None:
        limits = Limits(max_streams=5000, max_unsent=2_000_000)
        async with attack(limits=limits, settings=Settings(stream_window=1)) as it:
            it.peer.reads = False
            first = [it.peer.begin("GET", "/large", end=True) for _ in range(5)]
            for request in first:
                await request.begun()
            more = [it.peer.begin("GET", "/large", end=True) for _ in range(4000)]
            it.peer.h2.ping(b"12345678")
            await eventually(lambda: it.peer.pongs)  # all of them were read
            assert it.gate.begun == 5
            assert (await it.honest.request("GET", "/")).status == 200
            it.sweep(0)
            it.sweep(32)  # nothing was taken: those streams end, and others have their turn
            for request in first:
                assert await request.broken() == ErrorCode.ENHANCE_YOUR_CALM
            await eventually(lambda: more[0].status)

    async def test_bodies_beyond_the_limit_wait_and_come_through_one_by_one(self) -> None:
        limits = Limits(max_bodies=300_000, stream_window=65_535)
        async with attack(limits=limits) as it:
            requests = [it.peer.begin("POST", "/") for _ in range(10)]
            for request in requests:
                await request.send(b"x" * 200_000)
            (connection,) = (
                each
                for each in it.opened.engine.connections
                if isinstance(each, Http2Connection) and not each.is_idle
            )
            await eventually(lambda: requests[0].stream and not requests[0].stream.pending)
            assert connection.uploads.size < 300_000 + 10 * 65_535
            assert (await it.peer.request("POST", "/", body=b"small")).body == b"small"
            for request in reversed(requests):
                await request.send(b"!", end=True)
            for request in requests:
                assert len((await request.answer()).body) == 200_001
            assert connection.uploads.size == 0

    async def test_body_of_a_request_that_is_broken_off_is_forgotten(self) -> None:
        async with attack() as it:
            request = it.peer.begin("POST", "/")
            await request.send(b"x" * 1000)
            (connection,) = (
                each
                for each in it.opened.engine.connections
                if isinstance(each, Http2Connection) and str(each).endswith(f":{it.peer.port}")
            )
            await eventually(lambda: connection.uploads.size == 1000)
            request.reset()
            await eventually(lambda: connection.uploads.size == 0)
            assert connection.is_idle


class TestEnd:
    async def test_draining_says_good_bye_twice_and_answers_what_was_on_its_way(self) -> None:
        async with attack() as it:
            waiting = it.peer.begin("GET", "/wait", end=True)
            await eventually(lambda: it.gate.running)
            draining = asyncio.ensure_future(it.opened.engine.drain())
            late = it.peer.begin("GET", "/", end=True)  # before it hears of it
            assert (await late.answer()).status == 200
            await eventually(lambda: len(it.peer.goaways) == 2)
            assert not it.peer.h2.usable
            assert [last for last, _, _ in it.peer.goaways] == [2**31 - 1, 3]
            assert not draining.done()
            it.gate.opened.set()
            assert (await waiting.answer()).status == 200
            await draining
            await it.peer.closed()

    async def test_peer_that_does_not_answer_the_last_ping_is_left_in_time(self) -> None:
        async with listening(Gate()) as opened:
            peer, _ = await raw(opened)
            draining = asyncio.ensure_future(opened.engine.drain())
            await asyncio.sleep(0)
            assert not draining.done()
            opened.engine.sweep(asyncio.get_running_loop().time() + 5)
            await draining
            assert (await peer.rest()).endswith(frame(7, 0, 0, bytes(8)))

    async def test_peers_are_sent_away_after_their_next_answer(self) -> None:
        async with attack() as it:
            it.opened.engine.send_away(away=True)
            assert (await it.peer.request("GET", "/")).status == 200
            await it.peer.closed()
            assert it.peer.goaways[-1][:2] == (1, 0)

    async def test_connection_is_closed_for_others_that_wait(self) -> None:
        async with attack() as it:
            await it.honest.request("GET", "/wait-not")
            it.opened.engine.crowd(crowded=True)
            it.sweep(2)
            await it.peer.closed()

    async def test_peer_that_says_good_bye_gets_its_answers(self) -> None:
        async with attack() as it:
            waiting = it.peer.begin("GET", "/wait", end=True)
            await eventually(lambda: it.gate.running)
            it.peer.write(frame(7, 0, 0, bytes(8)))
            await eventually(lambda: it.peer.goaways)
            it.gate.opened.set()
            assert (await waiting.answer()).status == 200
            await it.peer.closed()

    async def test_closing_the_engine_cuts_requests_off(self) -> None:
        async with attack() as it:
            waiting = it.peer.begin("GET", "/wait", end=True)
            await eventually(lambda: it.gate.running)
            await it.opened.engine.aclose(grace=1)
            with pytest.raises(ConnectionError):
                await waiting.answer()
            assert it.gate.cancelled == 1

    async def test_lost_connection_leaves_nothing_behind(self) -> None:
        async with attack() as it:
            for path in ("/wait", "/large", "/"):
                it.peer.begin("POST", path)
            it.peer.begin("GET", "/wait", end=True)
            await eventually(lambda: it.gate.running)
            it.peer.reset()
            await eventually(lambda: len(it.opened.engine.connections) == 1)
            assert (it.gate.running, it.gate.cancelled) == (0, 1)


class Rules:
    """Notes what it is told."""

    def __init__(self, connection: Governed) -> None:
        self.connection = connection
        self.seen: list[str] = []

    def on_ping(self) -> None:
        self.seen.append("ping")

    def on_answer(self) -> None:
        self.seen.append("answer")

    def close(self) -> None:
        self.seen.append("close")


class TestConduct:
    @staticmethod
    @asynccontextmanager
    async def conducted() -> AsyncGenerator[tuple[Gate, Http2Peer, Rules]]:
        made: list[Rules] = []

        def conduct(connection: Governed) -> Rules:
            made.append(Rules(connection))
            return made[-1]

        gate = Gate()
        async with listening(gate, conductor=conduct) as opened:
            peer = await opened.connect_http2()
            yield gate, peer, made[0]

    async def test_rules_are_told_of_pings_answers_and_the_end(self) -> None:
        async with self.conducted() as (_, peer, rules):
            peer.h2.ping(b"12345678")
            await eventually(lambda: peer.pongs)
            await peer.request("GET", "/")
            peer.reset()
            await eventually(lambda: "close" in rules.seen)
            assert rules.seen == ["ping", "answer", "close"]

    async def test_rules_may_expel_a_peer(self) -> None:
        async with self.conducted() as (gate, peer, rules):
            peer.begin("GET", "/wait", end=True)
            await eventually(lambda: gate.running)
            rules.connection.expel(b"too_many_pings")
            await peer.closed()
            assert peer.goaways == [(1, ErrorCode.ENHANCE_YOUR_CALM, b"too_many_pings")]
            await eventually(lambda: gate.cancelled == 1)

    async def test_rules_may_let_a_connection_end_of_age(self) -> None:
        async with self.conducted() as (gate, peer, rules):
            waiting = peer.begin("GET", "/wait", end=True)
            await eventually(lambda: gate.running)
            rules.connection.leave()
            await eventually(lambda: len(peer.goaways) == 2)
            rules.connection.cancel(Cause.AGED)
            with pytest.raises(ConnectionError):
                await waiting.answer()
            await peer.closed()
