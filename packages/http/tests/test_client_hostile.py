"""Servers that break the protocol, on purpose or not: no call hangs, none gets another's reply."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import pytest

from kratos.client import Client
from kratos.errors import Error
from kratos.registry import ServiceInstance
from kratos.registry.memory import MemoryRegistry
from kratos.selector import Node
from kratos.testing.echo import ECHO, WATCH, text
from kratos.transport import CallOptions, ChainCaller
from kratos_http import HttpConnector
from kratos_http._dial import Dialer
from kratos_http._exchange import ClientConnection
from kratos_http._pool import ConnectionPool, PoolOptions
from kratos_http.testing import eventually

P = TypeVar("P", bound=asyncio.BaseProtocol)

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[[Script], Awaitable[Node]]

PATIENCE: Final = CallOptions(timeout=0.25)
BODY: Final = b'"%b"'
EVENTS: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def ok(word: bytes) -> bytes:
    body = BODY % word
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def request(reader: asyncio.StreamReader) -> bytes:
    """Read one request, and return its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return await reader.readexactly(int(length or 0))


class Peer:
    """A script, with what its connections were asked and what became of them."""

    def __init__(self, *parts: bytes, forever: bytes = b"", close: bool = False) -> None:
        self.parts = parts
        self.forever = forever
        self.close = close
        self.connections = 0
        self.asked: list[bytes] = []
        self.ended = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.asked.append(await request(reader))
                for part in self.parts:
                    writer.write(part)
                    await writer.drain()
                while self.forever:
                    writer.write(self.forever)
                    await writer.drain()
                    await asyncio.sleep(0)
                if self.close:
                    return
        finally:
            self.ended.set()


HANGING: Final = {
    "silence": Peer(),
    "half a status line": Peer(b"HTTP/1.1 2"),
    "half a head": Peer(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"),
    "half a body": Peer(b'HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n"o'),
    "half a chunk": Peer(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n"o'),
    "no last chunk": Peer(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n"ok"\r\n'),
    "no end": Peer(b'HTTP/1.1 200 OK\r\n\r\n"ok"'),
    "only interim": Peer(b"HTTP/1.1 102 Processing\r\n\r\n"),
    "no last header": Peer(b"HTTP/1.1 200 OK\r\n", forever=b"X: y\r\n"),
    "endless interim": Peer(forever=b"HTTP/1.1 100 Continue\r\n\r\n"),
    "endless body": Peer(b"HTTP/1.1 200 OK\r\n\r\n", forever=b"x" * 1000),
    "endless extension": Peer(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", forever=b"x" * 1000
    ),
    "endless trailer": Peer(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", forever=b"X: y\r\n"
    ),
    "endless empty lines": Peer(forever=b"\r\n" * 100),
}


def again(peer: Peer) -> Peer:
    """Return a fresh one: events belong to one loop."""
    return Peer(*peer.parts, forever=peer.forever, close=peer.close)


@pytest.mark.parametrize("found", ["direct", "discovery"])
@pytest.mark.parametrize("name", HANGING)
async def test_server_that_does_not_come_to_an_end_holds_nobody(
    serve: Serve, name: str, found: str
) -> None:
    peer = again(HANGING[name])
    node = await serve(peer)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    target, registry = node.address, MemoryRegistry()
    if found == "discovery":
        await registry.register(
            ServiceInstance(id="1", name="evil", endpoints=(f"http://{node.address}",))
        )
        target = "discovery:///evil"
    async with Client(
        target, discovery=registry, transport=HttpConnector(max_reply=10_000)
    ) as caller:
        with pytest.raises(Error) as failure:
            await caller.unary(ECHO, text("x"), PATIENCE)
        if peer.connections:  # a busy machine may not come so far in that time
            await peer.ended.wait()  # the connection was closed at once
    assert loop.time() - begun < 10.0
    assert (failure.value.code, failure.value.reason) in {
        (504, "DEADLINE_EXCEEDED"),
        (500, "REPLY_TOO_LARGE"),
    }


BROKEN: Final = {
    "closed at once": b"",
    "head cut off": b"HTTP/1.1 200 OK\r\nContent-Le",
    "body cut off": b'HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n"ok"',
    "chunk cut off": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n"o',
    "last chunk missing": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n"ok"\r\n',
    "two lengths": b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n"ok"x',
    "length twice": b'HTTP/1.1 200 OK\r\nContent-Length: 4, 5\r\n\r\n"ok"x',
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "length of no number": b"HTTP/1.1 200 OK\r\nContent-Length: 0x4\r\n\r\n",
    "huge length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "huge chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    "line break in a header": b"HTTP/1.1 200 OK\r\nX: a\nContent-Length: 4\r\n\r\n",
    "zero byte in a header": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "other protocol": b"\x00\x00\x06\x04\x00\x00\x00\x00\x00",
    "version of the future": b"HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
async def test_broken_answer_is_a_server_that_was_lost(serve: Serve, name: str) -> None:
    peer = Peer(BROKEN[name], close=True)
    node = await serve(peer)
    async with Client(node.address) as caller:
        with pytest.raises(Error) as failure:
            await caller.unary(ECHO, text("x"))
    assert (failure.value.code, failure.value.reason) == (503, "UNAVAILABLE")
    assert node.address in failure.value.message
    assert peer.asked == [b'"x"']  # and it was not asked again, as it may have done it


@pytest.mark.parametrize(
    "name", ["head cut off", "body cut off", "chunk cut off", "last chunk missing"]
)
async def test_truncated_answer_says_so(serve: Serve, name: str) -> None:
    node = await serve(Peer(BROKEN[name], close=True))
    async with Client(node.address) as caller:
        with pytest.raises(Error, match="before the answer was complete"):
            await caller.unary(ECHO, text("x"))


async def test_truncated_events_are_no_end(serve: Serve) -> None:
    event = b'event: message\ndata: "a"\n\n'
    node = await serve(Peer(EVENTS + b"%x\r\n%b\r\n" % (len(event), event), close=True))
    async with Client(node.address) as caller, caller.server_stream(WATCH, text("x")) as replies:
        assert (await anext(replies)).value == "a"
        with pytest.raises(Error, match="before the answer was complete"):
            await anext(replies)


@pytest.mark.parametrize(
    "forever",
    [b"X: y\r\n", b"X"],
    ids=["trailers", "trailer"],
)
async def test_events_without_end_of_trailers_are_given_up(serve: Serve, forever: bytes) -> None:
    node = await serve(Peer(EVENTS + b"0\r\n", forever=forever))
    connector = HttpConnector(max_head=1000)
    async with Client(node.address, transport=connector) as caller:
        with pytest.raises(Error, match=r"exceeds|more than") as failure:
            async with caller.server_stream(WATCH, text("x")) as replies:
                await anext(replies)
    assert failure.value.reason == "REPLY_TOO_LARGE"


@pytest.mark.parametrize(
    "garbage",
    [ok(b"evil"), b"garbage", b"\r\n\r\nHTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"],
)
async def test_what_follows_an_answer_is_nobodys(serve: Serve, garbage: bytes) -> None:
    class Mirror(Peer):
        async def __call__(
            self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            self.connections += 1
            while True:
                writer.write(ok((await request(reader)).strip(b'"')) + garbage)

    peer = Mirror()
    node = await serve(peer)
    async with Client(node.address) as caller:
        for number in range(20):
            reply = await caller.unary(ECHO, text(f"{number}"))
            assert reply.value == f"{number}"
    assert peer.connections == 20


async def test_replies_are_not_mixed_up_when_calls_are_given_up(serve: Serve) -> None:
    """Half of the calls are cancelled while their answers are on the way."""

    async def mirror(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            body = await request(reader)
            data = ok(body.strip(b'"'))
            for at in range(0, len(data), 20):
                writer.write(data[at : at + 20])
                await writer.drain()
                await asyncio.sleep(0)

    node = await serve(mirror)
    connector = HttpConnector(max_connections=4)
    async with Client(node.address, transport=connector) as caller:

        async def ask(number: int) -> None:
            reply = await caller.unary(ECHO, text(f"{number}"), CallOptions(timeout=20.0))
            assert reply.value == f"{number}"

        calls = [asyncio.ensure_future(ask(number)) for number in range(200)]
        for number, call in enumerate(calls):
            await asyncio.sleep(0)
            if number % 2:
                call.cancel()
        ended = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(each) for each in ended[1::2]} <= {asyncio.CancelledError, type(None)}
    assert ended[::2] == [None] * 100


async def test_early_refusal_is_told_though_the_body_is_not_taken(serve: Serve) -> None:
    refusal = b'{"code":413,"reason":"BODY_TOO_LARGE","message":"","metadata":{}}'
    release, ends = asyncio.Event(), list[str]()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 413 No\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head % len(refusal) + refusal)
        await release.wait()
        try:
            await reader.readexactly(20_000_000)
        except (ConnectionError, asyncio.IncompleteReadError):
            ends.append("cut off")

    node = await serve(refuse)
    async with Client(node.address, timeout=15.0) as caller:
        for _ in range(2):  # the second has a connection of its own
            with pytest.raises(Error) as failure:
                await caller.unary(ECHO, text("x" * 20_000_000))
            assert (failure.value.code, failure.value.reason) == (413, "BODY_TOO_LARGE")
        release.set()  # while the client goes on: what is left of the bodies is not sent
        await eventually(lambda: ends == ["cut off"] * 2)


async def test_body_that_nobody_takes_ends_with_the_deadline(serve: Serve) -> None:
    release = asyncio.Event()

    async def deaf(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await release.wait()  # and reads no more than fits into a reader

    node = await serve(deaf)
    async with Client(node.address) as caller:
        with pytest.raises(Error) as failure:
            await caller.unary(ECHO, text("x" * 20_000_000), PATIENCE)
        assert failure.value.code == 504
    release.set()


class Wire(asyncio.Transport):
    """Takes everything, and notes when it is cut off."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        del data

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.aborted = True


async def test_answer_that_comes_with_the_cancellation_leaves_no_dead_connection() -> None:
    connection, wire = ClientConnection(max_reply=100, max_head=100), Wire()
    connection.connection_made(wire)
    asking = asyncio.ensure_future(connection.exchange(b"anything"))
    await asyncio.sleep(0)
    connection.data_received(ok(b"x"))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert wire.aborted
    assert not connection.reusable


class HeldDialer(Dialer):
    """Connects when it is told to."""

    def __init__(self, wire: Wire) -> None:
        super().__init__("peer:1")
        self.may = asyncio.Event()
        self.reached = False
        self._wire = wire

    async def open(self, make: Callable[[], P], *, through: bool = False) -> P:
        await self.may.wait()
        protocol = make()
        protocol.connection_made(self._wire)
        self.reached = True
        return protocol


async def test_connection_that_comes_with_the_cancellation_is_closed() -> None:
    wire = Wire()
    dialer = HeldDialer(wire)
    options = PoolOptions(
        max_connections=1, idle_timeout=60, connect_timeout=60, max_reply=100, max_head=100
    )
    pool = ConnectionPool(dialer, options)
    taking = asyncio.ensure_future(pool.dedicate())
    await asyncio.sleep(0)
    dialer.may.set()
    while not dialer.reached:  # noqa: ASYNC110  an event would give the caller its turn first
        await asyncio.sleep(0)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert wire.aborted
    await pool.aclose(drain=60)  # which waits for whatever counts as open


async def test_request_is_written_when_its_connection_is_there(serve: Serve) -> None:
    """Until then its time goes by, which it tells the server of."""
    release = asyncio.Event()
    written: list[int] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request(reader)
            await release.wait()
            writer.write(ok(b"x"))

    connection = HttpConnector(max_connections=1).connect(await serve(script))

    async def ask(number: int) -> None:
        def write() -> bytes:
            written.append(number)
            return b"GET / HTTP/1.1\r\n\r\n"

        await connection.pool.exchange(write, repeatable=True, head_only=False)

    calls = [asyncio.ensure_future(ask(number)) for number in range(2)]
    await eventually(lambda: written)
    assert written == [0]
    release.set()
    await asyncio.gather(*calls)
    assert written == [0, 1]
    await connection.aclose()


async def test_warming_does_not_exceed_the_limit_of_connections(serve: Serve) -> None:
    peer = Peer(ok(b"x"))
    connection = HttpConnector(max_connections=1).connect(await serve(peer))
    caller = ChainCaller(connection.invoke, transport="http")
    calls = [caller.unary(ECHO, text("x")) for _ in range(3)]
    await asyncio.gather(*calls, *(connection.warm() for _ in range(3)))
    assert peer.connections == 1
    await connection.aclose()


@pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".example"])
async def test_name_of_no_host_is_an_unreachable_one(host: str) -> None:
    connection = HttpConnector().connect(Node(scheme="http", address=f"{host}:80"))
    with pytest.raises(OSError, match="host"):
        await connection.warm()
    await connection.aclose()


async def test_no_connection_outlives_its_client(serve: Serve) -> None:
    ends: list[int] = []
    begun = 0

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal begun
        begun += 1
        number = begun
        try:
            await request(reader)
            writer.write(ok(b"x")[: -1 if number % 2 else None])
            if number % 3:
                await reader.read()
        finally:
            ends.append(number)

    node = await serve(cut)
    connector = HttpConnector(max_connections=2)
    async with Client(node.address, transport=connector) as caller:
        calls = [caller.unary(ECHO, text("x"), PATIENCE) for _ in range(30)]
        await asyncio.gather(*calls, return_exceptions=True)
    await eventually(lambda: len(ends) == begun)
