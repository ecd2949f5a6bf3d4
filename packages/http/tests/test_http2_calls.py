"""Calls over HTTP/2: all on one connection, where the server chooses it or is known to speak it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
import trustme
from google.protobuf.wrappers_pb2 import StringValue
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded

from kratos.errors import ConfigError, Error
from kratos.selector import Node
from kratos.testing.echo import CHAT, ECHO, WATCH, EchoService, text
from kratos.transport import Arity, Call, CallOptions, ChainCaller, HttpRule, Method, Mount, Service
from kratos_http import ClientTls, HttpClient, HttpConnector, HttpServer
from kratos_http.testing import eventually, running

HttpBody: Any = import_module("google.api.httpbody_pb2").HttpBody

READ = Method(
    operation="/test.Files/Read",
    name="read",
    arity=Arity.SERVER_STREAM,
    request=StringValue,
    reply=HttpBody,
    http=(HttpRule(verb="GET", path="/files/{value}"),),
)
WRITE = Method(
    operation="/test.Files/Write",
    name="write",
    arity=Arity.CLIENT_STREAM,
    request=HttpBody,
    reply=StringValue,
    http=(HttpRule(verb="POST", path="/files", body="*"),),
)


class Files(Service):
    """Reads and writes raw bytes."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (READ, WRITE)

    async def read(self, request: StringValue, /) -> AsyncIterator[Any]:
        """Send as many bytes as the request says."""
        for _ in range(int(request.value) // 1000):
            yield HttpBody(content_type="image/png", data=bytes(1000))

    async def write(self, requests: AsyncIterator[Any], /) -> StringValue:
        """Tell how many bytes came."""
        size = 0
        async for piece in requests:
            size += len(piece.data)
        return text(str(size))


class Counting(asyncio.Protocol):
    """Passes connections on to a server, and counts them."""

    def __init__(self, target: str) -> None:
        self.host, _, self.port = target.rpartition(":")
        self.count = 0
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.count += 1
        upstream, out = await asyncio.open_connection(self.host, int(self.port))
        loop = asyncio.get_running_loop()
        for source, sink in ((reader, out), (upstream, writer)):
            task = loop.create_task(self.forward(source, sink))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.close()
            with suppress(ConnectionError):  # the other end was faster
                await writer.wait_closed()


@asynccontextmanager
async def calling(
    *, tls: Any = None, client: Any = None, secure: bool = False, **options: Any
) -> AsyncGenerator[tuple[ChainCaller, Counting]]:
    """Run our server behind something that counts connections, and call it."""
    server = HttpServer("127.0.0.1:0", tls=tls, timeout=None)
    server.mount(Mount(services=[EchoService(), Files()]))
    async with running(server):
        url = (await server.bind())[0]
        counting = Counting(url.partition("://")[2])
        counted = await asyncio.start_server(counting.serve, "127.0.0.1", 0)
        port = counted.sockets[0].getsockname()[1]
        node = Node(scheme="http", address=f"127.0.0.1:{port}", secure=secure)
        connection = HttpConnector(tls=client, **options).connect(node)
        try:
            yield ChainCaller(connection.invoke, transport="http", timeout=None), counting
        finally:
            await connection.aclose()
            counted.close()
            await eventually(lambda: not counting.tasks)


class Authority:
    """An authority, and a server that it vouches for."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.roots = ClientTls(ca=self.ca.cert_pem.bytes(), server_name="localhost")

    def server(self, *alpn: str) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        issued = self.ca.issue_cert("localhost")
        issued.configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def everything(caller: ChainCaller) -> None:
    """Make calls of every kind that HTTP has, many of them at once."""

    async def watch() -> None:
        async with caller.server_stream(WATCH, text("one two")) as replies:
            assert [reply.value async for reply in replies] == ["one", "two"]

    async def download() -> None:
        async with caller.server_stream(READ, text("300000")) as pieces:
            assert sum([len(piece.data) async for piece in pieces]) == 300_000

    async def upload() -> None:
        async def pieces() -> AsyncIterator[Any]:
            for _ in range(300):
                yield HttpBody(content_type="image/png", data=bytes(1000))

        assert (await caller.client_stream(WRITE, pieces())).value == "300000"

    async with asyncio.TaskGroup() as calls:
        for _ in range(5):
            calls.create_task(watch())
            calls.create_task(download())
            calls.create_task(upload())
        for word in ("a", "b", "c" * 200_000):
            calls.create_task(echo(caller, word))


async def echo(caller: ChainCaller, word: str) -> None:
    assert (await caller.unary(ECHO, text(word))).value == word


async def chat(caller: ChainCaller) -> None:
    async with caller.bidi_stream(CHAT) as stream:
        await stream.send(text("hello"))
        assert (await anext(aiter(stream))).value == "hello"


async def test_calls_of_every_kind_share_one_connection_where_http2_is_known() -> None:
    async with calling(http2=True) as (caller, counting):
        await everything(caller)
        assert counting.count == 1
        await chat(caller)  # a WebSocket has a connection of its own
        await echo(caller, "after")
        assert counting.count == 2


async def test_calls_share_one_connection_where_the_server_chooses_http2(
    authority: Authority,
) -> None:
    server = authority.server("h2", "http/1.1")
    async with calling(tls=server, client=authority.roots, secure=True) as (caller, counting):
        await everything(caller)
        assert counting.count == 1
        await chat(caller)
        assert counting.count == 2


@pytest.mark.parametrize("alpn", [(), ("http/1.1",)], ids=["silent", "http1"])
async def test_server_that_does_not_choose_http2_is_spoken_to_in_http1(
    authority: Authority, alpn: tuple[str, ...]
) -> None:
    server = authority.server(*alpn)
    async with calling(tls=server, client=authority.roots, secure=True) as (caller, counting):
        for word in ("one", "two", "three"):
            await echo(caller, word)
        assert counting.count == 1  # the connection on which it chose goes on
        await everything(caller)
        await chat(caller)


async def test_http2_is_not_spoken_where_that_is_ruled_out(authority: Authority) -> None:
    server = authority.server("h2", "http/1.1")
    async with calling(tls=server, client=authority.roots, secure=True, http2=False) as (
        caller,
        counting,
    ):
        async with asyncio.TaskGroup() as calls:
            for _ in range(3):
                calls.create_task(take_hanging(caller))
        assert counting.count == 3


async def take_hanging(caller: ChainCaller) -> None:
    async with caller.server_stream(WATCH, text("one hang")) as replies:
        await anext(aiter(replies))
        await asyncio.sleep(0)


async def test_plain_text_is_http1_unless_http2_is_known() -> None:
    async with calling() as (caller, counting):
        async with asyncio.TaskGroup() as calls:
            for _ in range(3):
                calls.create_task(take_hanging(caller))
        assert counting.count == 3


async def test_answer_to_head_and_one_of_any_status_come_over_http2_too() -> None:
    async with calling(http2=True) as (caller, _):
        client = HttpClient(caller)
        reply = await client.request("HEAD", "/nowhere", any_status=True)
        assert (reply.status, reply.body) == (404, b"")
        with pytest.raises(Error) as failure:
            await client.request("GET", "/nowhere")
        assert failure.value.code == 404


async def test_call_that_is_left_is_cancelled_at_the_server_and_harms_no_other() -> None:
    service = EchoService()
    server = HttpServer("127.0.0.1:0", timeout=None)
    server.mount(Mount(services=[service]))
    async with running(server):
        url = (await server.bind())[0]
        node = Node(scheme="http", address=url.partition("://")[2])
        connection = HttpConnector(http2=True).connect(node)
        caller = ChainCaller(connection.invoke, transport="http", timeout=None)
        call = asyncio.create_task(caller.unary(ECHO, text("hang")))
        await service.entered.wait()
        other = asyncio.create_task(caller.unary(ECHO, text("ok")))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await service.left.wait()
        assert (await other).value == "ok"
        with pytest.raises(Error, match="DEADLINE_EXCEEDED"):
            await caller.unary(ECHO, text("hang"), CallOptions(timeout=0.05))
        await connection.aclose()
        with pytest.raises(Error, match="being closed"):
            await caller.unary(ECHO, text("late"))


class Scripted(asyncio.Protocol):
    """A server that breaks off the first requests as it is told, and answers the others."""

    def __init__(self, codes: list[ErrorCodes | None]) -> None:
        self.codes = codes
        self.asked: list[dict[str, str]] = []
        self.h2: H2Connection
        self.closed = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.closed.clear()
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.transport.write(self.h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, RequestReceived):
                self.asked.append(dict(cast("Any", event.headers)))
            elif isinstance(event, DataReceived):
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                self.end(event.stream_id)
        self.transport.write(self.h2.data_to_send())

    def end(self, stream: int) -> None:
        if not self.codes:
            self.h2.send_headers(stream, [(":status", "200"), ("content-type", "application/json")])
            self.h2.send_data(stream, b'"ok"')
            self.h2.send_headers(stream, [("x-last", "1")], end_stream=True)
            return
        code = self.codes.pop(0)
        if code is None:
            self.transport.abort()
        else:
            self.h2.reset_stream(stream, code)


@asynccontextmanager
async def scripted(*codes: ErrorCodes | None) -> AsyncGenerator[tuple[Scripted, ChainCaller]]:
    peer = Scripted(list(codes))
    server = await asyncio.get_running_loop().create_server(lambda: peer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    node = Node(scheme="http", address=f"127.0.0.1:{port}")
    connection = HttpConnector(http2=True, path_prefix="/api").connect(node)
    try:
        yield peer, ChainCaller(connection.invoke, transport="http", timeout=None)
    finally:
        await connection.aclose()
        server.close()
        peer.transport.abort()
        await peer.closed.wait()


GET = HttpRule(verb="GET", path="/words/{value}")
POST = HttpRule(verb="POST", path="/words", body="*")


def asking(rule: HttpRule) -> Method[Any, Any]:
    return Method(
        operation="/test.Words/Ask",
        name="ask",
        arity=Arity.UNARY,
        request=StringValue,
        reply=StringValue,
        http=(rule,),
    )


async def test_request_says_what_it_said_in_http1_and_nothing_that_belongs_there() -> None:
    ends: list[Call] = []
    async with scripted() as (peer, caller):
        headers = {"x-mine": "1", "Connection": "close", "te": "gzip"}
        options = CallOptions(headers=headers, on_end=ends.append)
        assert (await caller.unary(asking(POST), text("word"), options)).value == "ok"
    (asked,) = peer.asked
    assert (asked[":method"], asked[":scheme"], asked[":path"]) == ("POST", "http", "/api/words")
    assert asked[":authority"].startswith("127.0.0.1:")
    assert asked["x-mine"] == "1"
    assert asked["content-length"] == "6"
    assert not asked.keys() & {"host", "connection", "te", "transfer-encoding"}
    assert ends[0].trailers.get("x-last") == "1"


@pytest.mark.parametrize(
    ("rule", "codes", "requests"),
    [
        (POST, (ErrorCodes.REFUSED_STREAM,), 2),  # the server never looked at it
        (GET, (ErrorCodes.REFUSED_STREAM,), 2),
        (GET, (None,), 2),  # the connection broke, and asking twice does nothing twice
    ],
)
async def test_request_is_sent_once_more_if_that_does_nothing_twice(
    rule: HttpRule, codes: Any, requests: int
) -> None:
    async with scripted(*codes) as (peer, caller):
        assert (await caller.unary(asking(rule), text("word"))).value == "ok"
    assert len(peer.asked) == requests


@pytest.mark.parametrize(
    ("rule", "codes", "requests"),
    [
        (POST, (None,), 1),
        (POST, (ErrorCodes.CANCEL,), 1),
        (GET, (ErrorCodes.INTERNAL_ERROR,), 1),
        (GET, (ErrorCodes.REFUSED_STREAM, ErrorCodes.REFUSED_STREAM), 2),
    ],
)
async def test_request_that_may_have_been_looked_at_is_not_repeated(
    rule: HttpRule, codes: Any, requests: int
) -> None:
    async with scripted(*codes) as (peer, caller):
        with pytest.raises(Error) as failure:
            await caller.unary(asking(rule), text("word"))
    assert (failure.value.code, failure.value.reason) == (503, "UNAVAILABLE")
    assert len(peer.asked) == requests


def test_option_that_is_no_choice_is_refused() -> None:
    wrong: Any = "always"
    with pytest.raises(ConfigError, match="not 'always'"):
        HttpConnector(http2=wrong)
