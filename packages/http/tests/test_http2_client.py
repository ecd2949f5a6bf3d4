"""A client's HTTP/2 connections against a server on another library, which follows a script."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, cast

import pytest
import trustme
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes
from h2.settings import Settings as H2Settings

from kratos_http.http2 import (
    ClientStream,
    ConnectionOptions,
    Dialer,
    Http2Channel,
    Http2ClientConnection,
    Lost,
    Refused,
    Reset,
    TooLarge,
    Whole,
)
from kratos_http.testing import eventually
from kratos_http2 import ErrorCode, Settings, encode_fields

OK: Final = [(":status", "200"), ("x-kind", "test")]
MOST: Final = 4 * 1024 * 1024

Script = Callable[["Served", Event], None]


def block(path: str = "/", *more: tuple[bytes, bytes]) -> bytes:
    return encode_fields(
        (
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", path.encode()),
            (b":authority", b"here"),
            *more,
        )
    )


class Served(asyncio.Protocol):
    """One connection of the scripted server."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.bodies: dict[int, bytes] = {}
        self.paths: dict[int, str] = {}
        self.resets: dict[int, int] = {}
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.peer.connections.append(self)
        if self.peer.silent:
            return
        if self.peer.raw is not None:
            self.transport.write(self.peer.raw)
            return
        if self.peer.settings:
            self.h2.local_settings = H2Settings(client=False, initial_values=self.peer.settings)
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self.peer.silent or self.peer.raw is not None:
            return
        for event in self.h2.receive_data(data):
            match event:
                case RequestReceived(stream_id=stream, headers=headers):
                    self.paths[stream] = dict(headers or ())[":path"]  # type: ignore[index,assignment]
                    self.bodies[stream] = b""
                case DataReceived(stream_id=stream, data=piece, flow_controlled_length=size):
                    self.bodies[stream] += piece
                    if self.peer.reads:
                        with suppress(Exception):  # it has ended
                            self.h2.acknowledge_received_data(size, stream)
                case StreamReset(stream_id=stream, error_code=code):
                    self.resets[stream] = int(code)
                case _:
                    pass
            self.peer.script(self, event)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()

    def flush(self) -> None:
        self.transport.write(self.h2.data_to_send())

    def answer(self, stream: int, body: bytes = b"", trailers: Any = None) -> None:
        self.h2.send_headers(stream, OK)
        if trailers is None:
            self.h2.send_data(stream, body, end_stream=True)
        else:
            self.h2.send_data(stream, body)
            self.h2.send_headers(stream, trailers, end_stream=True)

    def write(self, data: bytes) -> None:
        """Write, besides what the library does."""
        self.flush()
        self.transport.write(data)


class Peer:
    """The scripted server; see ``peering``."""

    def __init__(
        self,
        script: Script,
        *,
        settings: dict[SettingCodes, int] | None = None,
        silent: bool = False,
        reads: bool = True,
        raw: bytes | None = None,
    ) -> None:
        self.script = script
        self.settings = settings
        self.silent = silent
        self.reads = reads
        self.raw = raw
        self.connections: list[Served] = []
        self.address = ""

    def channel(self, **options: Any) -> Http2Channel:
        return Http2Channel(Dialer(self.address), ConnectionOptions(**options))


@asynccontextmanager
async def peering(
    script: Script, *, tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncGenerator[Peer]:
    peer = Peer(script, **options)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Served(peer), "127.0.0.1", 0, ssl=tls)
    peer.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield peer
    finally:
        server.close()
        for each in peer.connections:
            each.transport.abort()
            await each.closed.wait()


@asynccontextmanager
async def connected(
    script: Script, *, options: dict[str, Any] | None = None, **peer: Any
) -> AsyncGenerator[tuple[Peer, Http2Channel]]:
    async with peering(script, **peer) as served:
        channel = served.channel(**(options or {}))
        try:
            yield served, channel
        finally:
            await channel.aclose()


async def ask(
    channel: Http2Channel, path: str = "/", body: bytes = b"hello", *, most: int = MOST
) -> bytes:
    whole = Whole(channel.current() or await channel.open(), most)
    return await whole.exchange(block(path), body)


async def stream_on(channel: Http2Channel, path: str = "/", data: bytes | None = None) -> Any:
    return ClientStream(await channel.open(), block(path), data)


def echo(served: Served, event: Event) -> None:
    """Answer each request with what it says, and its size as a trailer."""
    if isinstance(event, StreamEnded):
        body = served.bodies[event.stream_id]
        served.answer(event.stream_id, body, [("x-size", str(len(body)))])


def hold(served: Served, event: Event) -> None:
    """Answer nothing."""


async def test_answer_comes_whole_with_head_and_trailers() -> None:
    async with connected(echo) as (peer, channel):
        whole = Whole(await channel.open(), MOST)
        assert await whole.exchange(block(), b"hello") == b"hello"
    assert whole.head is not None
    assert whole.trailers is not None
    assert (whole.head.status, whole.head.fields) == (b"200", ((b"x-kind", b"test"),))
    assert whole.trailers.fields == ((b"x-size", b"5"),)
    assert len(peer.connections) == 1


async def test_requests_share_one_connection() -> None:
    async with connected(echo) as (peer, channel):
        bodies = [bytes((index,)) * index for index in range(1, 100)]
        assert await asyncio.gather(*(ask(channel, body=body) for body in bodies)) == bodies
    assert len(peer.connections) == 1


async def test_request_and_answer_larger_than_any_window_come_whole() -> None:
    def large(served: Served, event: Event) -> None:
        if isinstance(event, StreamEnded):
            served.h2.send_headers(event.stream_id, OK)
            pending[event.stream_id] = served.bodies[event.stream_id]
        for stream, body in tuple(pending.items()):
            while body:
                room = min(served.h2.local_flow_control_window(stream), 16_384)
                if not room:
                    break
                served.h2.send_data(stream, body[:room], end_stream=room >= len(body))
                body = body[room:]
            pending[stream] = body
            if not body:
                del pending[stream]

    pending: dict[int, bytes] = {}
    body = bytes(range(256)) * 12_000
    async with connected(large) as (_, channel):
        assert await ask(channel, body=body) == body


async def test_answer_without_a_body_and_interim_answers_are_understood() -> None:
    def script(served: Served, event: Event) -> None:
        if isinstance(event, StreamEnded):
            served.h2.send_headers(event.stream_id, [(":status", "103"), ("link", "</a>")])
            served.h2.send_headers(event.stream_id, OK, end_stream=True)

    async with connected(script) as (_, channel):
        whole = Whole(await channel.open(), MOST)
        assert await whole.exchange(block(), b"") == b""
        stream = await stream_on(channel, data=b"")
        assert (await stream.headers()).status == b"200"
        assert await stream.read() == b""
    assert whole.head is not None
    assert whole.head.status == b"200"


async def test_flood_of_interim_answers_ends_the_request() -> None:
    def script(served: Served, event: Event) -> None:
        if isinstance(event, StreamEnded):
            for _ in range(101):
                served.h2.send_headers(event.stream_id, [(":status", "100")])

    async with connected(script) as (peer, channel):
        with pytest.raises(Reset, match="interim"):
            await ask(channel)
        await eventually(lambda: list(peer.connections[0].resets) == [1])


async def test_header_section_in_many_frames_is_one() -> None:
    long = "v" * 40_000

    def script(served: Served, event: Event) -> None:
        if isinstance(event, StreamEnded):
            served.h2.send_headers(event.stream_id, [*OK, ("x-long", long)], end_stream=True)

    async with connected(script) as (_, channel):
        whole = Whole(await channel.open(), MOST)
        await whole.exchange(block("/", (b"x-long", long.encode())), b"x")
    assert whole.head is not None
    assert dict(whole.head.fields)[b"x-long"] == long.encode()


async def test_requests_that_a_leaving_server_never_saw_are_told_apart() -> None:
    first, released = asyncio.Event(), asyncio.Event()

    def script(served: Served, event: Event) -> None:
        if served is not peer.connections[0]:
            echo(served, event)
        elif isinstance(event, StreamEnded) and event.stream_id == 3:
            served.h2.close_connection(ErrorCodes.NO_ERROR, b"bye", last_stream_id=1)
            first.set()

    async with connected(script) as (peer, channel):
        seen = asyncio.create_task(ask(channel, body=b"seen"))
        unseen = asyncio.create_task(ask(channel, body=b"unseen"))
        await first.wait()
        with pytest.raises(Refused, match=r"the server left \(NO_ERROR: bye\)"):
            await unseen
        assert channel.ready is False
        assert await ask(channel, body=b"another") == b"another"
        old = peer.connections[0]
        # The library sends nothing after its farewell.
        old.write(frame(1, 4, 1, encode_fields(((b":status", b"200"),))) + frame(0, 1, 1, b"end"))
        assert await seen == b"end"
        await old.closed.wait()  # nothing is left to do there
        released.set()
    assert len(peer.connections) == 2


async def test_connections_that_have_left_are_forgotten() -> None:
    def script(served: Served, event: Event) -> None:
        if isinstance(event, StreamEnded):
            body = served.bodies[event.stream_id]
            served.h2.send_headers(event.stream_id, OK)
            served.flush()
            # The library sends nothing after its farewell.
            goodbye = event.stream_id.to_bytes(4, "big") + bytes(4)
            served.write(frame(7, 0, 0, goodbye) + frame(0, 1, event.stream_id, body))

    async with connected(script) as (peer, channel):
        for _ in range(10):
            assert await ask(channel) == b"hello"
            await peer.connections[-1].closed.wait()
        gc.collect()
        left = [each for each in gc.get_objects() if isinstance(each, Http2ClientConnection)]
    assert len(peer.connections) == 10
    assert len(left) <= 2


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    size = len(payload)
    return size.to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (ErrorCodes.REFUSED_STREAM, Refused),
        (ErrorCodes.CANCEL, Reset),
        (ErrorCodes.NO_ERROR, Reset),
        (ErrorCodes.INTERNAL_ERROR, Reset),
    ],
)
async def test_reset_says_why_and_harms_no_other_request(code: Any, expected: Any) -> None:
    def script(served: Served, event: Event) -> None:
        if isinstance(event, StreamEnded):
            if served.paths[event.stream_id] == "/bad":
                served.h2.reset_stream(event.stream_id, code)
            else:
                echo(served, event)

    async with connected(script) as (peer, channel):
        bad, good = await asyncio.gather(
            ask(channel, "/bad"), ask(channel, "/good"), return_exceptions=True
        )
        stream = await stream_on(channel, "/bad", b"x")
        with pytest.raises(expected):
            await stream.read()
    assert type(bad) is expected
    assert cast("Any", bad).code == code
    assert good == b"hello"
    assert len(peer.connections) == 1


async def test_requests_beyond_what_the_server_allows_wait_their_turn_in_order() -> None:
    order: list[str] = []

    def script(served: Served, event: Event) -> None:
        if isinstance(event, StreamEnded):
            order.append(served.paths[event.stream_id])
            asyncio.get_running_loop().call_soon(finish, served, event.stream_id)

    def finish(served: Served, stream: int) -> None:
        served.answer(stream)
        served.flush()

    settings = {SettingCodes.MAX_CONCURRENT_STREAMS: 2}
    async with connected(script, settings=settings) as (peer, channel):
        paths = [f"/{number}" for number in range(50)]
        await asyncio.gather(*(ask(channel, path) for path in paths))
    assert order == paths
    assert len(peer.connections) == 1


async def test_request_that_gives_up_waiting_leaves_its_turn_to_the_next() -> None:
    settings = {SettingCodes.MAX_CONCURRENT_STREAMS: 1}
    async with connected(hold, settings=settings) as (peer, channel):
        waiting: list[asyncio.Task[bytes]] = []

        async def first() -> None:
            try:
                await ask(channel, "/first")
            finally:
                waiting[1].cancel()  # at the very moment in which its turn has come

        running = asyncio.create_task(first())
        await eventually(lambda: bool(peer.connections and peer.connections[0].paths))
        waiting += [asyncio.create_task(ask(channel, f"/{number}")) for number in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await eventually(lambda: "/2" in peer.connections[0].paths.values())
        waiting[2].cancel()
        await asyncio.wait(waiting)
    assert list(peer.connections[0].paths.values()) == ["/first", "/2"]


async def test_turn_in_which_nothing_is_begun_goes_to_the_next() -> None:
    settings = {SettingCodes.MAX_CONCURRENT_STREAMS: 1}
    async with connected(echo, settings=settings) as (_, channel):
        first = await stream_on(channel)
        idle = asyncio.create_task(channel.open())
        second = asyncio.create_task(ask(channel, body=b"second"))
        await asyncio.sleep(0)
        first.close()
        await idle  # who finds only now, say, that a header cannot be sent
        async with asyncio.timeout(5):
            assert await second == b"second"


def answer_at_once(served: Served, event: Event) -> None:
    """Answer each request before its body has come."""
    if isinstance(event, RequestReceived):
        served.answer(event.stream_id, b"enough")


async def test_request_that_ends_after_its_answer_makes_room_for_the_next() -> None:
    settings = {SettingCodes.MAX_CONCURRENT_STREAMS: 1}
    async with connected(answer_at_once, settings=settings) as (_, channel):
        first = await stream_on(channel)
        assert [await first.read(), await first.read()] == [b"enough", b""]
        waiting = asyncio.create_task(channel.open())
        await asyncio.sleep(0)
        await first.send(b"", end=True)
        async with asyncio.timeout(5):
            await waiting


async def test_connection_is_drained_when_its_last_request_ends_after_its_answer() -> None:
    async with connected(answer_at_once) as (_, channel):
        connection = await channel.open()
        last = ClientStream(connection, block())
        assert [await last.read(), await last.read()] == [b"enough", b""]
        draining = asyncio.create_task(connection.drained())
        await asyncio.sleep(0)
        await last.send(b"", end=True)
        async with asyncio.timeout(5):
            await draining


async def test_more_requests_begin_as_soon_as_the_server_allows_more() -> None:
    settings = {SettingCodes.MAX_CONCURRENT_STREAMS: 1}
    async with connected(hold, settings=settings) as (peer, channel):
        calls = [asyncio.create_task(ask(channel)) for _ in range(5)]
        await eventually(lambda: bool(peer.connections and peer.connections[0].paths))
        served = peer.connections[0]
        served.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 5})
        served.flush()
        await eventually(lambda: len(served.paths) == 5)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)


async def test_requests_that_wait_for_their_turn_move_on_when_the_server_leaves() -> None:
    def script(served: Served, event: Event) -> None:
        if served is not peer.connections[0]:
            echo(served, event)

    settings = {SettingCodes.MAX_CONCURRENT_STREAMS: 1}
    async with connected(script, settings=settings) as (peer, channel):
        first = asyncio.create_task(ask(channel))
        await eventually(lambda: bool(peer.connections and peer.connections[0].paths))
        others = [asyncio.create_task(ask(channel, body=b"other")) for _ in range(3)]
        await asyncio.sleep(0)
        peer.connections[0].h2.close_connection(last_stream_id=1)
        peer.connections[0].flush()
        assert await asyncio.gather(*others) == [b"other"] * 3
        first.cancel()
        await asyncio.wait((first,))


async def test_sender_waits_while_the_server_gives_no_window() -> None:
    async with connected(hold, settings={SettingCodes.INITIAL_WINDOW_SIZE: 0}, reads=False) as (
        peer,
        channel,
    ):
        stream = await stream_on(channel)
        sending = asyncio.create_task(stream.send(bytes(100_000)))
        await eventually(lambda: bool(peer.connections[0].paths))
        assert not sending.done()
        served = peer.connections[0]
        served.h2.increment_flow_control_window(100_000, 1)
        served.h2.increment_flow_control_window(100_000)
        served.flush()
        assert await sending
        await eventually(lambda: len(served.bodies[1]) == 100_000)


async def test_answer_that_nobody_reads_holds_the_server_up_and_no_other_request() -> None:
    def script(served: Served, event: Event) -> None:
        if isinstance(event, RequestReceived) and served.paths[1] == "/slow" and not sent:
            served.h2.send_headers(1, OK)
        while True:
            window = served.h2.local_flow_control_window(1) if 1 in served.paths else 0
            if len(sent) >= 100 or window < 16_384:
                break
            served.h2.send_data(1, bytes(16_384))
            sent.append(window)
        if isinstance(event, StreamEnded) and event.stream_id != 1:
            echo(served, event)

    sent: list[int] = []
    settings = Settings(stream_window=65_535, connection_window=65_535, by_stream=True)
    async with connected(script, options={"settings": settings}) as (_, channel):
        stream = await stream_on(channel, "/slow")
        await stream.headers()
        for _ in range(5):
            assert await ask(channel, body=bytes(10_000)) == bytes(10_000)
        assert len(sent) == 3
        got = 0
        while got < 100 * 16_384:
            got += len(await stream.read())
        stream.close()


async def test_server_that_answers_before_it_has_read_all_is_believed() -> None:
    def script(served: Served, event: Event) -> None:
        if isinstance(event, RequestReceived):
            served.answer(event.stream_id or 0, b"enough")
            served.h2.reset_stream(event.stream_id or 0, ErrorCodes.NO_ERROR)

    async with connected(script) as (_, channel):
        stream = await stream_on(channel)
        sent = 0
        while sent < 1000 and await stream.send(bytes(1000)):
            sent += 1
            await asyncio.sleep(0)
        assert (await stream.headers()).status == b"200"
        assert await stream.read() == b"enough"
        assert await stream.read() == b""


async def test_leaving_a_request_tells_the_server() -> None:
    async with connected(hold) as (peer, channel):
        asking = asyncio.create_task(ask(channel))
        await eventually(lambda: bool(peer.connections and peer.connections[0].bodies.get(1)))
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        stream = await stream_on(channel)
        stream.close()
        stream.close()
        assert not await stream.send(b"late")
        await eventually(lambda: set(peer.connections[0].resets) == {1, 3})
    assert set(peer.connections[0].resets.values()) == {ErrorCode.CANCEL}


async def test_answer_beyond_the_limit_is_cut_off() -> None:
    async with connected(echo) as (peer, channel):
        with pytest.raises(TooLarge, match="its body exceeds 4 bytes"):
            await ask(channel, most=4)
        assert await ask(channel, body=b"four", most=4) == b"four"
    assert len(peer.connections) == 1


async def test_answer_in_tiny_pieces_takes_little_more_than_its_size() -> None:
    async with connected(hold) as (_, channel):
        connection = await channel.open()
        whole = Whole(connection, MOST)
        stream = connection.ask(block(), b"", whole)
        for _ in range(5000):
            whole.on_data(stream, b"xy")
        assert whole.begin == b"xy" * 5000
        inner: Any = whole
        assert len(inner._pieces) < 1000
        connection.reset(stream)


@pytest.mark.parametrize("late", [False, True], ids=["head", "trailers"])
async def test_head_beyond_the_limit_is_refused(*, late: bool) -> None:
    def script(served: Served, event: Event) -> None:
        if isinstance(event, StreamEnded):
            more = [("x-long", "v" * 2000)]
            if late:
                served.answer(event.stream_id, b"", more)
            else:
                served.h2.send_headers(event.stream_id, [*OK, *more], end_stream=True)

    async with connected(script, options={"max_head": 1000}) as (_, channel):
        with pytest.raises(TooLarge, match="1000 bytes"):
            await ask(channel)
        stream = await stream_on(channel, data=b"x")
        with pytest.raises(TooLarge, match="1000 bytes"):
            await stream.read()


async def test_connection_that_breaks_ends_all_that_is_in_flight() -> None:
    def script(served: Served, event: Event) -> None:
        if isinstance(event, StreamEnded) and event.stream_id == 5:
            served.h2.send_headers(1, OK)
            served.flush()
            served.transport.close()

    async with connected(script) as (_, channel):
        outcomes = await asyncio.gather(*(ask(channel) for _ in range(3)), return_exceptions=True)
        assert not channel.ready
        assert channel.busy == 0
    assert [type(each) for each in outcomes] == [Lost] * 3
    assert [cast("Lost", each).begun for each in outcomes] == [True, False, False]


@pytest.mark.parametrize(
    "rubbish",
    [
        frame(0, 0, 99, b"data of no stream"),
        frame(5, 4, 1, b"\0\0\0\2" + b"\x88"),  # PUSH_PROMISE
        frame(8, 0, 0, b"\0\0\0\0"),  # WINDOW_UPDATE of nothing
        frame(1, 4, 1, b"\xff\xff\xff\xff\xff\xff"),  # HEADERS of no HPACK
        frame(9, 4, 1, b""),  # CONTINUATION of nothing
        b"\xff" * 64,
    ],
)
async def test_server_that_breaks_the_protocol_is_left(rubbish: bytes) -> None:
    def script(served: Served, event: Event) -> None:
        if isinstance(event, StreamEnded):
            served.write(rubbish)

    async with connected(script) as (peer, channel):
        with pytest.raises(Lost, match="the server broke HTTP/2"):
            await ask(channel)
        assert not channel.ready
        await peer.connections[0].closed.wait()
        peer.script = echo
        assert await ask(channel) == b"hello"


@pytest.mark.parametrize("data", [b"", b"body"])
async def test_answer_without_a_head_is_not_waited_for(data: bytes) -> None:
    def script(served: Served, event: Event) -> None:
        if isinstance(event, StreamEnded):
            served.write(frame(0, 1, event.stream_id, data))

    async with connected(script) as (_, channel):
        stream = await stream_on(channel, data=b"x")
        with pytest.raises(Lost, match="DATA before HEADERS"):
            await stream.headers()
        with pytest.raises(Lost, match="DATA before HEADERS"):
            await ask(channel)


async def test_answer_that_is_malformed_ends_its_request_alone() -> None:
    def script(served: Served, event: Event) -> None:
        if isinstance(event, StreamEnded):
            if served.paths[event.stream_id] == "/bad":
                short = encode_fields(((b":status", b"200"), (b"content-length", b"9")))
                served.write(
                    frame(1, 4, event.stream_id, short) + frame(0, 1, event.stream_id, b"no")
                )
            else:
                echo(served, event)

    async with connected(script) as (peer, channel):
        bad, good = await asyncio.gather(ask(channel, "/bad"), ask(channel), return_exceptions=True)
        assert isinstance(bad, Reset)
        assert "9" in str(bad)
        assert good == b"hello"
        await eventually(lambda: peer.connections[0].resets == {1: ErrorCode.PROTOCOL_ERROR})


async def test_server_that_says_nothing_is_given_up() -> None:
    async with connected(hold, silent=True, options={"connect_timeout": 0.05}) as (peer, channel):
        with pytest.raises(OSError, match=r"the server said nothing within 0\.05 s"):
            await channel.connect()
        await peer.connections[0].closed.wait()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks HTTP/1.1"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "speaks TLS"),
        (frame(6, 0, 0, bytes(8)), "SETTINGS was due"),
    ],
)
async def test_what_is_no_server_of_http2_is_told(said: bytes, told: str) -> None:
    async with connected(hold, raw=said) as (_, channel):
        with pytest.raises(OSError, match=told):
            await channel.connect()


class Counting(Dialer):
    """Counts attempts."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.opened = 0

    async def open(self, make: Any, *, through: bool = False) -> Any:
        self.opened += 1
        return await super().open(make, through=through)


async def test_after_a_failed_attempt_requests_fail_at_once_until_the_next_is_due() -> None:
    with socket.socket() as unserved:
        unserved.bind(("127.0.0.1", 0))
        dialer = Counting(f"127.0.0.1:{unserved.getsockname()[1]}")
        options = ConnectionOptions(max_backoff=1000.0)
        channel = Http2Channel(dialer, options, uniform=lambda: 1000.0)
        with pytest.raises(ConnectionError):
            await ask(channel)
        for _ in range(2):
            with pytest.raises(ConnectionError, match="the next attempt is due soon"):
                await ask(channel)
        assert dialer.opened == 1
        with pytest.raises(ConnectionError):
            await channel.connect()  # whoever says so does try
        assert dialer.opened == 2
        await channel.aclose()


LEAVES = b"\0\0\0\4\0\0\0\0\0" + b"\0\0\x08\7\0\0\0\0\0" + bytes(8)


async def test_server_that_leaves_at_once_is_not_connected_to_for_each_request() -> None:
    async with peering(hold, raw=LEAVES) as peer:
        dialer = Counting(peer.address)
        options = ConnectionOptions(max_backoff=1000.0)
        channel = Http2Channel(dialer, options, uniform=lambda: 1000.0)
        with pytest.raises(Lost, match="leaves as soon as it has come"):
            await ask(channel)
        for _ in range(20):
            with pytest.raises(ConnectionError, match="the next attempt is due soon"):
                await ask(channel)
        assert (dialer.opened, channel.healthy) == (3, False)
        peer.raw, peer.script = None, echo
        await channel.connect()
        assert await ask(channel) == b"hello"
        assert channel.healthy
        await channel.aclose()


async def test_server_that_leaves_after_an_answer_is_connected_to_at_once() -> None:
    def script(served: Served, event: Event) -> None:
        echo(served, event)
        if isinstance(event, StreamEnded):
            served.write(frame(7, 0, 0, (2**31 - 1).to_bytes(4, "big") + bytes(4)))

    async with connected(script) as (peer, channel):
        for count in range(1, 8):
            assert await ask(channel) == b"hello"
            assert len(peer.connections) == count


async def test_requests_that_come_while_connecting_share_the_attempt_and_its_end() -> None:
    async with peering(echo) as peer:
        dialer = Counting(peer.address)
        channel = Http2Channel(dialer, ConnectionOptions())
        first = asyncio.create_task(ask(channel))
        others = [asyncio.create_task(ask(channel)) for _ in range(5)]
        await asyncio.sleep(0)
        first.cancel()  # the attempt goes on
        assert await asyncio.gather(*others) == [b"hello"] * 5
        assert dialer.opened == 1
        await channel.aclose()
        with pytest.raises(OSError, match="being closed"):
            await ask(channel)
        with pytest.raises(OSError, match="being closed"):
            await channel.connect()


async def test_server_that_is_no_longer_there_is_noticed_by_a_ping() -> None:
    def script(served: Served, event: Event) -> None:
        if isinstance(event, StreamEnded):
            served.transport.pause_reading()

    options = {"keepalive": 0.05, "keepalive_timeout": 0.05}
    async with connected(script, options=options) as (peer, channel):
        with pytest.raises(Lost, match="nothing came"):
            await ask(channel)
        peer.connections[0].transport.abort()


async def test_server_that_answers_pings_may_take_its_time() -> None:
    pings = 0

    def script(served: Served, event: Event) -> None:
        nonlocal pings
        if type(event).__name__ == "PingReceived":
            pings += 1
            if pings == 3:
                served.answer(1, b"late")

    options = {"keepalive": 0.02, "keepalive_timeout": 5.0}
    async with connected(script, options=options) as (_, channel):
        assert await ask(channel) == b"late"


class Clock:
    """What a connection asks of its loop to look after itself; timers run when they are told to."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.timer: tuple[float, Callable[[], None]] | None = None

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> Clock:
        self.timer = (self.now + delay, callback)
        return self

    def cancel(self) -> None:
        self.timer = None

    def run_timer(self) -> float:
        """Let the time come that the connection waits for, and return how long that took."""
        assert self.timer is not None
        before, (self.now, callback) = self.now, self.timer
        self.timer = None
        callback()
        return self.now - before


async def test_connection_without_requests_is_not_looked_after_all_the_time() -> None:
    connection = Http2ClientConnection(ConnectionOptions(keepalive=10.0))
    clock = Clock(connection.loop.time())
    connection.loop = cast("asyncio.AbstractEventLoop", clock)
    connection.on_settings()
    assert [clock.run_timer() for _ in range(4)] == pytest.approx([10.0] * 4, abs=0.5)
    connection.close()
    assert clock.timer is None


async def test_connection_without_requests_is_closed_after_its_time_and_opened_anew() -> None:
    async with connected(echo, options={"idle_timeout": 0.03}) as (peer, channel):
        assert await ask(channel) == b"hello"
        await peer.connections[0].closed.wait()
        assert not channel.ready
        assert await ask(channel) == b"hello"
    assert len(peer.connections) == 2


async def test_closing_lets_requests_end_and_cuts_the_rest_off() -> None:
    def script(served: Served, event: Event) -> None:
        if isinstance(event, StreamEnded) and served.paths[event.stream_id] == "/quick":
            asyncio.get_running_loop().call_later(0.05, late, served, event.stream_id)

    def late(served: Served, stream: int) -> None:
        served.answer(stream, b"in time")
        served.flush()

    async with connected(script) as (peer, channel):
        quick = asyncio.create_task(ask(channel, "/quick"))
        await eventually(lambda: bool(peer.connections and peer.connections[0].paths))
        await channel.aclose(drain=None)
        assert await quick == b"in time"
    async with connected(script) as (peer, channel):
        slow = asyncio.create_task(ask(channel, "/slow"))
        await eventually(lambda: bool(peer.connections and peer.connections[0].paths))
        await channel.aclose(drain=0.01)
        with pytest.raises(Lost, match="closed"):
            await slow
        await peer.connections[0].closed.wait()


def contexts(names: Iterable[str]) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)  # pyright: ignore[reportUnknownMemberType]
    server.set_alpn_protocols(list(names))
    client = ssl.create_default_context()
    authority.configure_trust(client)  # pyright: ignore[reportUnknownMemberType]
    client.set_alpn_protocols(["h2"])
    return server, client


async def test_secure_server_is_spoken_to_if_it_offers_http2() -> None:
    server, client = contexts(["h2", "http/1.1"])
    async with peering(echo, tls=server) as peer:
        dialer = Dialer(peer.address, tls=lambda: client, server_name="localhost")
        channel = Http2Channel(dialer, ConnectionOptions())
        assert await ask(channel) == b"hello"
        await channel.aclose()


async def test_secure_server_that_does_not_offer_http2_is_told() -> None:
    server, client = contexts(["http/1.1"])
    async with peering(echo, tls=server) as peer:
        dialer = Dialer(peer.address, tls=lambda: client, server_name="localhost")
        channel = Http2Channel(dialer, ConnectionOptions())
        with pytest.raises(OSError, match="does not offer HTTP/2 by ALPN"):
            await ask(channel)
        await channel.aclose()


class Written(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""

    def write(self, data: Any) -> None:
        self.data += data

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        pass


async def test_server_that_speaks_before_the_way_to_it_stands_is_answered_in_order() -> None:
    connection = Http2ClientConnection(ConnectionOptions())
    connection.data_received(frame(4, 0, 0, b""))
    connection.data_received(frame(6, 0, 0, bytes(8)))
    transport = Written()
    connection.connection_made(transport)
    await connection.settle()
    connection.close()
    assert transport.data.startswith(b"PRI * HTTP/2.0")
    settled = transport.data.index(frame(4, 1, 0, b""))
    assert 0 < settled < transport.data.index(frame(6, 1, 0, bytes(8)))


async def test_trailers_of_a_request_are_not_needed_to_end_it() -> None:
    seen: list[Event] = []

    def script(served: Served, event: Event) -> None:
        seen.append(event)
        echo(served, event)

    async with connected(script) as (_, channel):
        stream = await stream_on(channel)
        assert await stream.send(b"one ")
        assert await stream.send(b"two")
        assert await stream.send(b"", end=True)
        assert not await stream.send(b"more")
        body = b""
        while piece := await stream.read():
            body += piece
    assert body == b"one two"
    assert stream.trailers.fields == ((b"x-size", b"7"),)
    assert not [each for each in seen if isinstance(each, TrailersReceived)]
