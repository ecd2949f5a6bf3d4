"""A client whose callers give up spreads that over connections, so that servers stay calm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, cast

import pytest

from kratos_http._http2_resets import Resets
from kratos_http.http2 import ClientStream, ConnectionOptions, Dialer, Http2Channel, Lost
from kratos_http.testing import eventually
from kratos_http2 import HeaderBlock, Limits, ServerConnection, Stream, encode_fields

OK: Final = encode_fields([(b":status", b"200")])


def block(path: bytes) -> bytes:
    pseudo = ((b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"here"))
    return encode_fields((*pseudo, (b":path", path)))


class Counting(asyncio.Protocol):
    """The server's end of a connection: answers when it is told to, and counts resets."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.core = ServerConnection(self, limits=Limits(resets=server.bears, per_second=0.0))
        self.resets = 0
        self.lost = False
        self.streams: dict[bytes, Stream] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.server.connections.append(self)
        self.core.start()
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.core.receive(data)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True

    def answer(self, path: bytes) -> None:
        self.core.send_headers(self.streams[path], OK, end=True)
        self.flush()

    def flush(self) -> None:
        self.transport.write(self.core.take())

    def on_headers(self, stream: Stream, block: HeaderBlock, /) -> None:
        self.streams[block.path] = stream
        if block.path == b"/ok":
            self.core.send_headers(stream, OK, end=True)

    def on_reset(self, _stream: Stream, _code: int, /) -> None:
        self.resets += 1

    def on_output(self) -> None:
        pass

    def on_data(self, stream: Stream, data: bytes, /) -> None:
        pass

    def on_trailers(self, stream: Stream, block: HeaderBlock, /) -> None:
        pass

    def on_stream_error(self, stream: Stream, error: Exception, /) -> None:
        pass

    def on_room(self, stream: Stream, /) -> None:
        pass

    def on_settings(self) -> None:
        pass

    def on_ping(self, payload: bytes, /) -> None:
        pass

    def on_pong(self, payload: bytes, /) -> None:
        pass

    def on_goaway(self, last: int, code: int, debug: bytes, /) -> None:
        pass

    def on_fault(self, error: Exception, /) -> None:
        self.transport.write(self.core.take())
        self.transport.close()
        self.server.faults.append(str(error))


class Server:
    def __init__(self, bears: int) -> None:
        self.bears = bears
        self.connections: list[Counting] = []
        self.faults: list[str] = []

    def has(self, path: bytes) -> bool:
        """Tell whether a request has come."""
        return any(path in each.streams for each in self.connections)

    @property
    def resets(self) -> list[int]:
        return [each.resets for each in self.connections]


@asynccontextmanager
async def talking(
    *, resets: int | None, per_second: float = 1e-9, bears: int = 10_000
) -> AsyncGenerator[tuple[Server, Http2Channel, asyncio.Server]]:
    server = Server(bears)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Counting(server), "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    options = ConnectionOptions(
        resets=resets, resets_per_second=per_second, max_backoff=0.0, connect_timeout=10.0
    )
    channel = Http2Channel(Dialer(f"127.0.0.1:{port}"), options)
    try:
        yield server, channel, listening
    finally:
        await channel.aclose()
        listening.close()
        for each in server.connections:
            each.transport.abort()


async def begin(channel: Http2Channel, path: bytes) -> ClientStream:
    return ClientStream(await channel.open(), block(path), b"")


async def ask(channel: Http2Channel, path: bytes = b"/ok") -> bytes:
    stream = await begin(channel, path)
    status = (await stream.headers()).status
    stream.close()
    return status


async def give_up(channel: Http2Channel, server: Server, times: int, *, first: int = 0) -> None:
    """Ask, and give up when the server has the request."""
    for number in range(first, first + times):
        path = b"/%d" % number
        stream = await begin(channel, path)
        await eventually(partial(server.has, path))
        stream.close()


async def test_no_connection_sees_more_resets_than_there_may_be() -> None:
    async with talking(resets=10, bears=10) as (server, channel, _):
        long = await begin(channel, b"/long")
        await give_up(channel, server, 100)
        assert await ask(channel) == b"200"
        await eventually(lambda: sum(server.resets) == 100)
        assert max(server.resets) <= 10
        assert len(server.connections) >= 10
        assert server.faults == []
        server.connections[0].answer(b"/long")  # nobody gave it up, and it was not lost
        assert (await long.headers()).status == b"200"


async def test_without_a_bound_the_server_ends_what_nobody_gave_up() -> None:
    async with talking(resets=None, bears=10) as (server, channel, _):
        long = await begin(channel, b"/long")
        await give_up(channel, server, 11)
        with pytest.raises(Lost, match="ENHANCE_YOUR_CALM"):
            await long.headers()
        assert server.faults != []


async def test_connections_that_were_left_are_closed_when_they_are_empty() -> None:
    async with talking(resets=4) as (server, channel, _):
        await give_up(channel, server, 20)
        await eventually(lambda: sum(not each.lost for each in server.connections) == 1)


async def test_what_nobody_but_those_who_gave_up_had_is_ended_at_once() -> None:
    async with talking(resets=4) as (server, channel, _):
        streams = [await begin(channel, b"/%d" % number) for number in range(30)]
        await eventually(lambda: len(server.connections[0].streams) == 30)
        for stream in streams:
            stream.close()
        await eventually(lambda: server.connections[0].lost)
        assert server.connections[0].resets == 4
        assert await ask(channel) == b"200"


async def test_resets_that_wait_come_later_where_others_still_wait_for_answers() -> None:
    async with talking(resets=4, per_second=1000.0) as (server, channel, _):
        streams = [await begin(channel, b"/%d" % number) for number in range(30)]
        long = await begin(channel, b"/long")
        await eventually(lambda: len(server.connections[0].streams) == 31)
        for stream in streams:
            stream.close()
        await eventually(lambda: server.connections[0].resets == 30)
        assert not server.connections[0].lost
        server.connections[0].answer(b"/long")
        assert (await long.headers()).status == b"200"
        await eventually(lambda: server.connections[0].lost)


async def test_what_is_answered_before_its_reset_has_its_turn_is_not_reset() -> None:
    async with talking(resets=2) as (server, channel, _):
        streams = [await begin(channel, b"/%d" % number) for number in range(4)]
        long = await begin(channel, b"/long")
        await eventually(lambda: len(server.connections[0].streams) == 5)
        for stream in streams:
            stream.close()
        await eventually(lambda: server.connections[0].resets == 2)
        for number in (2, 3):
            server.connections[0].answer(b"/%d" % number)
        server.connections[0].answer(b"/long")
        assert (await long.headers()).status == b"200"
        await eventually(lambda: server.connections[0].lost)  # nothing is left of it
        assert server.connections[0].resets == 2


async def test_a_connection_is_kept_while_there_is_none_to_take_its_place() -> None:
    async with talking(resets=4) as (server, channel, listening):
        assert await ask(channel) == b"200"
        listening.close()
        await give_up(channel, server, 10)
        assert await ask(channel) == b"200"
        assert len(server.connections) == 1
        assert server.resets == [4]


class Time:
    """A loop as far as resets need one; moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, act: Callable[[], None]) -> None:
        self.due.append((self.now + seconds, act))

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for each in [each for each in self.due if each[0] <= self.now]:
            self.due.remove(each)
            each[1]()


def test_a_stream_that_ended_by_itself_costs_no_reset() -> None:
    time, reset = Time(), list[int]()
    resets = Resets(
        burst=2,
        per_second=0.5,
        reset=lambda stream, _code: reset.append(stream.id),
        loop=cast("asyncio.AbstractEventLoop", time),
    )
    streams = [Stream(number, window=1, send_window=1, owner=None) for number in range(5)]
    for stream in streams:
        resets.take(stream, 8)
    assert reset == [0, 1]
    streams[2].closed = True
    time.advance(2.0)
    assert reset == [0, 1, 3]
    time.advance(1.9)
    assert reset == [0, 1, 3]
    time.advance(0.2)
    assert reset == [0, 1, 3, 4]
