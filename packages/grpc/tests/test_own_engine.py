"""What only our own engine of a gRPC server does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import trustme

from kratos.errors import ConfigError
from kratos.selector import Node
from kratos.testing.echo import CHAT, ECHO, EchoService, text
from kratos.tls import ServerTls
from kratos.transport import ChainCaller, Mount
from kratos_grpc import Grpc, GrpcConnector, GrpcServer, GrpcWeb, ServerLimits
from kratos_grpc._envelopes import envelope
from kratos_grpc.connect import Connect
from kratos_http import HttpServer
from kratos_http.protocols import HttpProtocol
from kratos_http.testing import SocketPeer, running
from kratos_http2 import ClientConnection, HeaderBlock, Http2Error, Stream, encode_fields

WEB = "application/grpc-web+proto"


@asynccontextmanager
async def calling(url: str) -> AsyncGenerator[ChainCaller]:
    """Call a server by gRPC."""
    connection = GrpcConnector().connect(Node(scheme="grpc", address=url.partition("://")[2]))
    try:
        yield ChainCaller(connection.invoke, transport="grpc", timeout=None)
    finally:
        await connection.aclose()


@asynccontextmanager
async def started(server: GrpcServer, **mount: Any) -> AsyncGenerator[Sequence[str]]:
    server.mount(Mount(services=[EchoService()], **mount))
    urls = await server.bind()
    running = asyncio.create_task(server.start())
    await server.ready()
    try:
        yield urls
    finally:
        await server.stop()
        await running


def own(address: str = "127.0.0.1:0", **options: Any) -> GrpcServer:
    return GrpcServer(address, engine="kratos", **options)


async def test_one_port_serves_rest_grpc_and_grpc_web() -> None:
    server = HttpServer("127.0.0.1:0", protocols=[Grpc(), GrpcWeb()])
    server.mount(Mount(services=[EchoService()]))
    async with running(server):
        http, grpc_url = await server.bind()
        assert (http[:7], grpc_url[:7]) == ("http://", "grpc://")
        address = http.removeprefix("http://")
        assert grpc_url == f"grpc://{address}"
        async with calling(grpc_url) as caller:
            assert (await caller.unary(ECHO, text("one"))).value == "one"
            async with caller.bidi_stream(CHAT) as chat:
                await chat.send(text("two"))
                assert (await chat.__anext__()).value == "two"
        peer = await SocketPeer.connect("127.0.0.1", int(address.rpartition(":")[2]))
        answer = await peer.request(
            "POST",
            "/kratos.testing/echo",
            headers=[("content-type", "application/json")],
            body=b'"three"',
        )
        assert answer.json() == "three"
        answer = await peer.request(
            "POST", ECHO.operation, headers=[("content-type", WEB)], body=bytes(5)
        )
        assert answer.body.endswith(b"grpc-status: 0\r\n")
        await peer.aclose()


async def test_further_protocols_are_served_on_the_port() -> None:
    async with started(own(protocols=[GrpcWeb()])) as (url,):
        peer = await SocketPeer.connect("127.0.0.1", int(url.rpartition(":")[2]))
        answer = await peer.request(
            "POST", ECHO.operation, headers=[("content-type", WEB)], body=bytes(5)
        )
        assert answer.body.endswith(b"grpc-status: 0\r\n")
        async with calling(url) as caller:
            assert (await caller.unary(ECHO, text("one"))).value == "one"
        await peer.aclose()


async def test_what_is_no_grpc_is_told_what_is_served() -> None:
    async with started(own()) as (url,):
        peer = await SocketPeer.connect("127.0.0.1", int(url.rpartition(":")[2]))
        answer = await peer.request("GET", "/")
        assert (answer.status, b"application/grpc" in answer.body) == (415, True)
        await peer.aclose()


async def test_server_takes_sockets_that_others_made() -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    server = own("127.0.0.1:1")
    assert server.takes_socket
    server.share(sock)
    async with started(server) as (url,):
        assert url == f"grpc://127.0.0.1:{port}"
        async with calling(url) as caller:
            assert (await caller.unary(ECHO, text("one"))).value == "one"


async def test_unix_socket_can_be_shared(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    address = own(f"unix:{path}").address
    assert address is not None
    assert address.path == path


async def test_endpoint_says_tls_in_its_scheme() -> None:
    issued = trustme.CA().issue_cert("127.0.0.1")
    chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
    tls = ServerTls(certificate=chain, key=issued.private_key_pem.bytes())
    server = own(tls=tls)
    (url,) = await server.bind()
    await server.stop()
    assert url.startswith("grpcs://")


async def test_client_that_pings_too_often_is_sent_away() -> None:
    pings = [
        ("grpc.keepalive_time_ms", 10),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_time_between_pings_ms", 10),
        ("grpc.enable_http_proxy", 0),
    ]
    async with started(own(timeout=None, limits=ServerLimits(min_ping_interval=60.0))) as (url,):
        address = url.removeprefix("grpc://")
        async with grpc.aio.insecure_channel(address, options=pings) as channel:
            plain: Any = channel
            call = plain.unary_unary(ECHO.operation)(text("hang").SerializeToString())
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await call
    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "too_many_pings" in (failure.value.details() or "")


class Measuring:
    """A client that pings whenever it reads of an answer, as those of Go do to measure the way."""

    def __init__(self) -> None:
        self.h2 = ClientConnection(self)
        self.size = 0
        self.pings = self.pongs = 0
        self.trailers: dict[bytes, bytes] = {}

    async def call(self, url: str, operation: str, message: bytes) -> dict[bytes, bytes]:
        """Return the trailers of a call."""
        host, _, port = url.partition("://")[2].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        self.h2.start()
        head = [
            *((b":method", b"POST"), (b":scheme", b"http"), (b":path", operation.encode())),
            *((b":authority", host.encode()), (b"content-type", b"application/grpc")),
        ]
        stream = self.h2.request(encode_fields(head))
        self.h2.send_data(stream, envelope(message), end=True)
        try:
            while not (stream.closed or self.h2.fault):
                writer.write(self.h2.take())
                data = await reader.read(8192)
                assert data, "the server hung up"
                self.h2.receive(data)
        finally:
            writer.close()
            await writer.wait_closed()
        return self.trailers

    def on_data(self, stream: Stream, data: bytes, /) -> None:
        self.size += len(data)
        self.h2.consumed(stream, len(data))
        if self.pings == self.pongs:
            self.pings += 1
            self.h2.ping(b"measured")

    def on_trailers(self, _stream: Stream, block: HeaderBlock, /) -> None:
        self.trailers = dict(block.fields)

    def on_pong(self, _payload: bytes, /) -> None:
        self.pongs += 1

    def on_fault(self, error: Http2Error, /) -> None:
        raise AssertionError(error)

    def on_goaway(self, _last: int, _code: int, debug: bytes, /) -> None:
        raise AssertionError(debug)

    def on_nothing(self, *_: object) -> None:
        """Everything else is of no interest here."""

    on_output = on_headers = on_reset = on_stream_error = on_room = on_nothing
    on_settings = on_ping = on_nothing


async def test_client_may_ping_for_each_piece_of_a_long_answer() -> None:
    limits = ServerLimits(min_ping_interval=60.0)
    async with started(own(limits=limits, timeout=None)) as (url,):
        client = Measuring()
        long = text("x" * 2_000_000).SerializeToString()
        trailers = await client.call(url, ECHO.operation, long)
    assert trailers == {b"grpc-status": b"0"}
    assert client.size > 2_000_000
    assert client.pongs > 5


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"engine": "go"}, "'kratos' or 'grpcio'"),
        ({"engine": "kratos", "options": [("grpc.x", 1)]}, "engine='grpcio'"),
        ({"engine": "grpcio", "protocols": [GrpcWeb()]}, "engine='kratos'"),
        ({"protocols": [Grpc()]}, "by options of its own"),
        ({"engine": "kratos", "protocols": [GrpcWeb]}, "is no protocol"),
    ],
)
def test_option_that_an_engine_does_not_know_is_refused(
    options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        GrpcServer(**options)


def test_protocols_are_what_the_seam_says() -> None:
    found = [Grpc(), GrpcWeb(), Connect()]  # type checkers see what they have in common
    protocols: Sequence[HttpProtocol] = found
    assert [each.scheme for each in protocols] == ["grpc", "", ""]
