"""Compression of requests and replies, counted on the wire, and what is no use to attackers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import ConfigError, Error
from kratos.limit import cancel_and_wait
from kratos.selector import Node
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.transport import CallOptions, ChainCaller
from kratos_grpc import ClientLimits, GrpcConnector, GrpcServer

LARGE = "a" * 20_000
SMALL = "a" * 900
OVERHEAD = 500  # bytes, of what gRPC sends around one message, settings of the connection included
TOO_LARGE = (429, "MESSAGE_TOO_LARGE")
GZIP_MAGIC = b"\x1f\x8b\x08"
BOMB = "a" * 16_000_000

every_coding = pytest.mark.parametrize("coding", ["gzip", "deflate"])


@dataclass
class Line:
    """Bytes that went each way between a client and a server."""

    address: str = ""
    up: bytearray = field(default_factory=bytearray)
    down: bytearray = field(default_factory=bytearray)
    tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    @property
    def sent(self) -> int:
        return len(self.up)

    @property
    def received(self) -> int:
        return len(self.down)


@asynccontextmanager
async def counted(address: str) -> AsyncGenerator[Line]:
    """Put something that counts in front of a server."""
    line = Line()
    host, _, port = address.rpartition(":")

    async def forward(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: bytearray
    ) -> None:
        try:
            while data := await reader.read(65536):
                seen.extend(data)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, out = await asyncio.open_connection(host, int(port))
        for each in (forward(reader, out, line.up), forward(upstream, writer, line.down)):
            line.tasks.add(asyncio.get_running_loop().create_task(each))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    line.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield line
    finally:
        server.close()
        await cancel_and_wait(*line.tasks)


@asynccontextmanager
async def calling(address: str, **options: Any) -> AsyncGenerator[tuple[Line, ChainCaller]]:
    """Call a server through a line that counts."""
    async with counted(address) as line:
        node = Node(scheme="grpc", address=line.address)
        connection = GrpcConnector(**options).connect(node)
        try:
            yield line, ChainCaller(connection.invoke, transport="grpc", timeout=None)
        finally:
            await connection.aclose()


@every_coding
async def test_large_replies_are_compressed(serve: Any, coding: str) -> None:
    async with (
        serve(EchoService(), compression=coding) as served,
        calling(served.address) as (line, caller),
    ):
        reply = await caller.unary(ECHO, text(LARGE))
    assert reply.value == LARGE
    assert line.received < OVERHEAD
    assert (GZIP_MAGIC in line.down) is (coding == "gzip")
    assert line.sent > len(LARGE)


@every_coding
async def test_large_messages_of_streams_are_compressed(serve: Any, coding: str) -> None:
    async with (
        serve(EchoService(), compression=coding) as served,
        calling(served.address) as (line, caller),
        caller.server_stream(WATCH, text(f"{LARGE} {LARGE}")) as replies,
    ):
        found = [reply.value async for reply in replies]
    assert found == [LARGE, LARGE]
    assert line.received < OVERHEAD


@pytest.mark.parametrize("streamed", [False, True])
async def test_small_replies_are_not_compressed(serve: Any, *, streamed: bool) -> None:
    async with (
        serve(EchoService(), compression="gzip") as served,
        calling(served.address) as (line, caller),
    ):
        if streamed:
            async with caller.server_stream(WATCH, text(SMALL)) as replies:
                assert [reply.value async for reply in replies] == [SMALL]
        else:
            assert (await caller.unary(ECHO, text(SMALL))).value == SMALL
    assert line.received > len(SMALL)


async def test_size_of_each_message_of_a_stream_decides_for_it_alone(serve: Any) -> None:
    async with (
        serve(EchoService(), compression="gzip") as served,
        calling(served.address) as (line, caller),
        caller.bidi_stream(CHAT) as stream,
    ):
        sizes: list[int] = []
        for value in (SMALL, LARGE, SMALL):
            before = line.received
            await stream.send(text(value))
            assert (await stream.__anext__()).value == value
            sizes.append(line.received - before)
    small, large, again = sizes
    assert large < OVERHEAD < len(SMALL) < min(small, again)


async def test_nothing_is_compressed_unless_it_is_asked_for(serve: Any) -> None:
    async with (
        serve(EchoService()) as served,
        calling(served.address) as (line, caller),
    ):
        await caller.unary(ECHO, text(LARGE))
    assert min(line.sent, line.received) > len(LARGE)


IDENTITY, DEFLATE, GZIP = 1, 2, 4


@every_coding
@pytest.mark.parametrize("read", [0, DEFLATE, GZIP, DEFLATE | GZIP])
async def test_replies_are_compressed_by_what_the_client_reads(
    serve: Any, coding: str, read: int
) -> None:
    options = [("grpc.compression_enabled_algorithms_bitset", IDENTITY | read)]
    async with (
        serve(EchoService(), compression=coding) as served,
        calling(served.address, options=options, engine="grpcio") as (line, caller),
    ):
        assert (await caller.unary(ECHO, text(LARGE))).value == LARGE
        async with caller.server_stream(WATCH, text(LARGE)) as replies:
            assert [reply.value async for reply in replies] == [LARGE]
    assert (line.received < 2 * OVERHEAD) is (read != 0)


@every_coding
async def test_large_requests_are_compressed_and_read_by_any_server(
    serve: Any, coding: str
) -> None:
    async with (
        serve(EchoService()) as served,
        calling(served.address, compression=coding) as (line, caller),
    ):
        assert (await caller.unary(ECHO, text(LARGE))).value == LARGE
    assert line.sent < OVERHEAD
    assert line.received > len(LARGE)


@every_coding
async def test_streamed_requests_are_compressed(serve: Any, coding: str) -> None:
    async with (
        serve(EchoService()) as served,
        calling(served.address, compression=coding) as (line, caller),
    ):
        reply = await caller.client_stream(COLLECT, [text(LARGE), text(LARGE)])
    assert reply.value == f"{LARGE} {LARGE}"
    assert line.sent < 2 * OVERHEAD


async def test_small_requests_are_not_compressed(serve: Any) -> None:
    async with (
        serve(EchoService()) as served,
        calling(served.address, compression="gzip") as (line, caller),
    ):
        await caller.unary(ECHO, text(SMALL))
    assert line.sent > len(SMALL)


@pytest.mark.parametrize(
    ("of_client", "of_call", "compressed"),
    [
        ("", "gzip", True),
        ("", None, False),
        ("gzip", None, True),
        ("gzip", "", False),
        ("gzip", "identity", False),
        ("gzip", "deflate", True),
    ],
)
async def test_call_may_differ_from_its_client(
    serve: Any, of_client: str, of_call: str | None, *, compressed: bool
) -> None:
    async with (
        serve(EchoService()) as served,
        calling(served.address, compression=of_client) as (line, caller),
    ):
        await caller.unary(ECHO, text(LARGE), CallOptions(compression=of_call))
    assert (line.sent < OVERHEAD) is compressed


async def test_call_with_an_unknown_coding_is_refused_before_it_is_sent(serve: Any) -> None:
    service = EchoService()
    async with serve(service) as served:
        with pytest.raises(ConfigError, match="compression 'br' is none of gRPC"):
            await served.caller.unary(ECHO, text("x"), CallOptions(compression="br"))
    assert service.seen == []


@pytest.mark.parametrize("made", [GrpcServer, GrpcConnector])
def test_unknown_coding_is_refused(made: Any) -> None:
    with pytest.raises(ConfigError, match="'gzip', 'deflate', or empty"):
        made(compression="zstd")


@every_coding
async def test_request_that_inflates_beyond_the_limit_is_refused(serve: Any, coding: str) -> None:
    service = EchoService()
    connector = GrpcConnector(compression=coding)
    async with serve(service, connector=connector) as served:
        with pytest.raises(Error) as failure:
            await served.caller.unary(ECHO, text(BOMB))
        assert (failure.value.code, failure.value.reason) == TOO_LARGE
        assert (await served.caller.unary(ECHO, text("after"))).value == "after"
    assert service.seen == ["after"]


@every_coding
async def test_streamed_request_that_inflates_beyond_the_limit_is_refused(
    serve: Any, coding: str
) -> None:
    service = EchoService()
    async with serve(service, connector=GrpcConnector(compression=coding)) as served:
        with pytest.raises(Error) as failure:
            await served.caller.client_stream(COLLECT, [text("first"), text(BOMB)])
    assert (failure.value.code, failure.value.reason) == TOO_LARGE
    assert service.seen in (["first"], [])


class Bomber(EchoService):
    """Answers with more than anybody asked for."""

    async def echo(self, _request: StringValue, /) -> StringValue:
        return text(BOMB)

    async def watch(self, _request: StringValue, /) -> AsyncIterator[StringValue]:
        yield text(BOMB)


@every_coding
async def test_reply_that_inflates_beyond_the_limit_is_refused(serve: Any, coding: str) -> None:
    connector = GrpcConnector(limits=ClientLimits(max_receive=1_000_000))
    async with serve(Bomber(), compression=coding, connector=connector) as served:
        with pytest.raises(Error) as failure:
            await served.caller.unary(ECHO, text("please"))
        assert (failure.value.code, failure.value.reason) == TOO_LARGE
        async with served.caller.server_stream(WATCH, text("please")) as replies:
            with pytest.raises(Error) as failure:
                await replies.__anext__()
        assert (failure.value.code, failure.value.reason) == TOO_LARGE


SERVER = """
import asyncio, resource, sys
from kratos.testing.echo import EchoService
from kratos.transport import Mount
from kratos_grpc import GrpcServer

async def main():
    server = GrpcServer("127.0.0.1:0")
    server.mount(Mount(services=[EchoService()]))
    print((await server.bind())[0].partition("://")[2], flush=True)
    running = asyncio.create_task(server.start())
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await server.ready()
    before = peak()
    await asyncio.to_thread(sys.stdin.readline)
    print(peak() - before, flush=True)
    await server.stop()
    await running

asyncio.run(main())
"""


NEW = tuple(int(part) for part in grpc.__version__.split(".")[:2]) >= (1, 84)


@pytest.mark.slow
@pytest.mark.skipif(not NEW, reason="grpcio before 1.84 inflates all, then refuses")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak in KiB")
def test_memory_does_not_grow_with_what_a_request_would_inflate_to() -> None:
    inflated = 256_000_000

    async def attack(address: str) -> None:
        options = [("grpc.enable_http_proxy", 0)]
        async with grpc.aio.insecure_channel(address, options=options) as channel:
            peer: Any = channel
            call = peer.unary_unary(ECHO.operation)
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await call(bytes(inflated), compression=grpc.Compression.Gzip)
        assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    program = [sys.executable, "-c", SERVER]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as ran:
        assert ran.stdout is not None
        asyncio.run(attack(ran.stdout.readline().strip()))
        grown, _ = ran.communicate("\n")
    assert int(grown) * 1024 < inflated / 8
