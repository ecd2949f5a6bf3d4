"""Our client over Connect: against our server, and against what no server of ours answers."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from struct import pack
from typing import Any, ClassVar

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.wrappers_pb2 import StringValue

from kratos.client import Client
from kratos.errors import ConfigError, Error, TargetError, conflict
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.transport import (
    Arity,
    Call,
    CallOptions,
    HttpRule,
    Method,
    Mount,
    Service,
    server_call,
)
from kratos_grpc.connect import Connect, ConnectConnector
from kratos_http import HttpServer
from kratos_http.testing import running

LOOK = Method(
    operation="/lab.Lab/Look",
    name="look",
    arity=Arity.UNARY,
    request=StringValue,
    reply=StringValue,
    idempotent=True,
    http=(HttpRule(verb="GET", path="/lab"),),
)


class Lab(Service):
    """Answers with what it saw of its call."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (LOOK,)

    def __init__(self) -> None:
        self.headers: dict[str, list[str]] = {}
        self.remaining: float | None = None

    async def look(self, request: StringValue, /) -> StringValue:
        call = server_call()
        assert call is not None
        self.headers = {name: call.headers.values(name) for name in call.headers}
        self.remaining = call.remaining()
        call.reply_headers.add("x-one", "1")
        call.reply_headers.add_bytes("x-raw-bin", b"\x00\xff")
        call.trailers.add("x-cost", "7")
        if request.value == "fail":
            raise conflict("TAKEN", "is taken", {"by": "me"}).with_detail(Duration(seconds=3))
        return request


@asynccontextmanager
async def calling(
    *services: Service, served: Connect | None = None, **options: Any
) -> AsyncGenerator[Client]:
    server = HttpServer("127.0.0.1:0", timeout=None, protocols=[served or Connect()])
    server.mount(Mount(services=services))
    async with running(server):
        (url,) = await server.bind()
        connector = ConnectConnector(**options)
        async with Client(url, transport=connector, timeout=None) as client:
            yield client


@pytest.mark.parametrize(
    "options",
    [{}, {"json": True}, {"compression": "gzip"}, {"get": True}, {"http2": True}],
)
async def test_all_arities_pass(options: dict[str, Any]) -> None:
    long = "x" * 3000
    served = Connect(compression="gzip")
    async with calling(EchoService(), Lab(), served=served, **options) as client:
        assert (await client.unary(ECHO, text(long), None)).value == long
        assert (await client.unary(LOOK, text(long), None)).value == long
        reply = await client.client_stream(COLLECT, [text("a"), text(long)], None)
        assert reply.value == f"a {long}"
        async with client.server_stream(WATCH, text(f"a {long}"), None) as replies:
            assert [each.value async for each in replies] == ["a", long]
        async with client.bidi_stream(CHAT, None) as stream:
            for word in ("one", long):
                await stream.send(text(word))
                assert (await anext(stream)).value == word
            await stream.end()
            assert [each async for each in stream] == []


async def test_headers_trailers_and_time_travel() -> None:
    service, ended = Lab(), list[Call]()
    options = CallOptions(
        timeout=30, headers={"x-two": ["2", "3"], "x-raw-bin": "AQI"}, on_end=ended.append
    )
    async with calling(service) as client:
        await client.unary(LOOK, text("a"), options)
    assert service.headers["x-two"] == ["2", "3"]
    assert service.headers["x-raw-bin"] == ["AQI"]
    assert service.headers["connect-protocol-version"] == ["1"]
    assert service.headers["content-type"] == ["application/proto"]
    assert service.remaining is not None
    assert 20 < service.remaining <= 30
    (call,) = ended
    assert call.reply_headers.get("x-one") == "1"
    assert call.reply_headers.get_bytes("x-raw-bin") == b"\x00\xff"
    assert call.trailers.get("x-cost") == "7"
    assert call.transport == "connect"


async def test_an_error_comes_whole_with_headers_and_trailers() -> None:
    ended = list[Call]()
    async with calling(Lab()) as client:
        with pytest.raises(Error) as failure:
            await client.unary(LOOK, text("fail"), CallOptions(on_end=ended.append))
    error = failure.value
    assert (error.code, error.reason, error.message) == (409, "TAKEN", "is taken")
    assert error.metadata == {"by": "me"}
    assert error.detail(Duration) == Duration(seconds=3)
    assert ended[0].trailers.get("x-cost") == "7"


async def test_a_method_without_side_effects_may_be_a_get() -> None:
    service = Lab()
    async with calling(service, EchoService(), get=True) as client:
        assert (await client.unary(LOOK, text("a b"), None)).value == "a b"
        assert "content-type" not in service.headers
        await client.unary(LOOK, text("x" * 10_000), None)  # too long for a query
        assert service.headers["content-type"] == ["application/proto"]
        assert (await client.unary(ECHO, text("a"), None)).value == "a"
    async with calling(service, get=True, json=True) as client:
        assert (await client.unary(LOOK, text("a&b"), None)).value == "a&b"
        assert "content-type" not in service.headers


async def test_a_prefix_stands_before_every_path() -> None:
    async with calling(EchoService(), served=Connect(prefix="/api"), prefix="/api") as client:
        assert (await client.unary(ECHO, text("a"), None)).value == "a"
        async with client.server_stream(WATCH, text("a"), None) as replies:
            assert [each.value async for each in replies] == ["a"]


async def test_a_reply_beyond_the_limit_is_refused() -> None:
    for served in (Connect(), Connect(compression="gzip")):
        async with calling(EchoService(), served=served, max_receive=1500) as client:
            with pytest.raises(Error) as failure:
                await client.unary(ECHO, text("x" * 2000), None)
            assert (failure.value.code, failure.value.reason) == (429, "MESSAGE_TOO_LARGE")
            assert "max_receive sets" in failure.value.message
            with pytest.raises(Error) as failure:
                async with client.server_stream(WATCH, text("x" * 2000), None) as replies:
                    await anext(replies)
            assert (failure.value.code, failure.value.reason) == (429, "MESSAGE_TOO_LARGE")
            assert "max_receive sets" in failure.value.message


async def test_a_header_that_connect_cannot_carry_is_refused() -> None:
    async with calling(EchoService()) as client:
        with pytest.raises(ValueError, match="x-odd"):
            await client.unary(ECHO, text("a"), CallOptions(headers={"x-odd": "ä"}))


async def test_a_node_that_is_not_there_is_unavailable(unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    async with Client(url, transport=ConnectConnector(), timeout=None) as client:
        with pytest.raises(Error) as failure:
            await client.unary(ECHO, text("a"), None)
        assert failure.value.code == 503


async def test_the_transport_goes_by_its_name() -> None:
    server = HttpServer("127.0.0.1:0", protocols=[Connect()])
    server.mount(Mount(services=[EchoService()]))
    async with running(server):
        (url,) = await server.bind()
        async with Client(url, transport="connect") as client:
            assert (await client.unary(ECHO, text("a"), None)).value == "a"
    with pytest.raises(TargetError, match="connect"):
        Client("grpc://localhost:1", transport="connect")


@pytest.mark.parametrize(
    "options", [{"compression": "lzw"}, {"max_receive": 0}, {"prefix": "api"}, {"tls": 5}]
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ConnectConnector(**options)


@pytest.mark.parametrize(
    "options",
    [{"compression": "lzw"}, {"max_receive": 0}, {"max_send": 0}, {"prefix": "x"},
     {"request_timeout": 0}],
)  # fmt: skip
def test_wrong_options_of_the_server_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Connect(**options)


Answer = bytes
Answering = Callable[[Answer], Awaitable[Client]]


def answer(
    status: int, kind: str, body: bytes, headers: Sequence[str] = (), *, cut: bool = False
) -> Answer:
    """Return an answer as bytes; cut off, it promises more than there is."""
    lines = [
        f"HTTP/1.1 {status} X",
        *([f"content-type: {kind}"] if kind else []),
        *headers,
        f"content-length: {len(body) + cut}",
        "connection: close",
    ]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


def enveloped(data: bytes, flags: int = 0) -> bytes:
    return pack(">BI", flags, len(data)) + data


@asynccontextmanager
async def answered(reply: Answer) -> AsyncGenerator[Client]:
    """Run a server that answers each request so, with a client of it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"chunked" in head:
            await reader.readuntil(b"0\r\n\r\n")
        elif b"content-length: 0" not in head:
            await reader.read(1)
        writer.write(reply)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        connector = ConnectConnector()
        async with Client(f"http://127.0.0.1:{port}", transport=connector, timeout=None) as client:
            yield client


async def unary_failure(reply: Answer) -> Error:
    async with answered(reply) as client:
        with pytest.raises(Error) as failure:
            await client.unary(ECHO, text("a"), None)
    return failure.value


async def stream_failure(reply: Answer) -> Error:
    async with answered(reply) as client:
        with pytest.raises(Error) as failure:
            async with client.server_stream(WATCH, text("a"), None) as replies:
                assert [each async for each in replies] == []
    return failure.value


JSON, PROTO, STREAM = "application/json", "application/proto", "application/connect+proto"
UNIMPLEMENTED = 12
OOPS = json.dumps({"code": "out_of_range", "message": "oops", "other": 1}).encode()


NO_ANSWERS = [
    (answer(422, JSON, OOPS), 400, 11, "oops"),
    (answer(401, JSON, b"null"), 401, None, "the server answered with HTTP 401"),
    (answer(401, JSON, b'{"code": null, "message": "no"}'), 401, None, "no"),
    (answer(429, JSON, b'{"code": "new", "message": "no"}'), 503, None, "no"),
    (answer(404, JSON, b'{"code": 404, "message": "no route"}'), 501, None, "no route"),
    (answer(403, PROTO, b"x"), 403, None, "the server answered with HTTP 403"),
    (answer(502, "text/html", b"<html>"), 503, None, "the server answered with HTTP 502"),
    (answer(418, "", b""), 500, 2, "the server answered with HTTP 418"),
    (answer(200, "image/jpeg", b""), 500, 2, "the answer is 'image/jpeg', where "),
    (answer(200, JSON, b"{}"), 500, None, "the answer is 'application/json', where "),
    (answer(200, PROTO, b"\xff"), 500, None, "the reply is no google.protobuf.StringValue"),
    (answer(200, PROTO, b"x", ["content-encoding: lzw"]), 500, None, "the answer came comp"),
    (answer(200, PROTO, b"x", ["content-encoding: gzip"]), 500, None, "the message is no gzip"),
    (answer(200, PROTO, b"\n", cut=True), 503, None, "127.0.0.1"),
]


@pytest.mark.parametrize(
    ("reply", "code", "grpc_code", "message"), NO_ANSWERS, ids=[each[3] for each in NO_ANSWERS]
)
async def test_answers_that_are_none_of_a_method(
    reply: Answer, code: int, grpc_code: int | None, message: str
) -> None:
    error = await unary_failure(reply)
    assert (error.code, error.grpc_code) == (code, grpc_code)
    assert error.message.startswith(message)


async def test_page_that_is_no_error_is_the_cause_of_one() -> None:
    error = await unary_failure(answer(415, "text/plain", b"gRPC is served here"))
    assert str(error.cause) == "gRPC is served here"


async def test_a_compressed_error_is_read() -> None:
    packed = zlib.compress(OOPS, wbits=31)
    error = await unary_failure(answer(400, JSON, packed, ["content-encoding: gzip"]))
    assert error.message == "oops"


def ended(told: Any) -> bytes:
    return enveloped(told if isinstance(told, bytes) else json.dumps(told).encode(), 2)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (ended({"error": {"code": "not_found", "message": "no"}}), 404, "no"),
        (ended({"error": {"message": "no"}}), 500, "no"),
        (ended({"error": "no"}), 500, "the error of the answer is no object"),
        (ended([]), 500, "the end of the answer is no object"),
        (ended(b"{"), 500, "the end of the answer is no object"),
        (b"", 500, "the answer ends without telling"),
        (enveloped(b"")[:3], 500, "the answer ends without telling"),
        (enveloped(b"", 0x80), 500, "an envelope has the flags 0x80"),
        (enveloped(b"x", 1), 500, "a reply is compressed, and no header"),
        (enveloped(b"\xff"), 500, "the reply is no google.protobuf.StringValue"),
        (b"\0\xff\xff\xff\xff", 429, "the reply exceeds 4194304 bytes"),
    ],
)
async def test_streams_that_are_none_of_a_method(body: bytes, code: int, message: str) -> None:
    error = await stream_failure(answer(200, STREAM, body))
    assert error.code == code
    assert error.message.startswith(message)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (answer(200, "application/connect+json", b""), 500),
        (answer(200, "text/html", b""), 500),
        (answer(404, "", b""), 501),
        (answer(200, STREAM, b"", ["connect-content-encoding: lzw"]), 500),
        (answer(200, STREAM, enveloped(b""), cut=True), 503),
    ],
)
async def test_heads_that_are_none_of_a_stream(reply: Answer, code: int) -> None:
    assert (await stream_failure(reply)).code == code


@pytest.mark.parametrize("replies", [0, 2])
async def test_one_reply_is_neither_none_nor_two(replies: int) -> None:
    async with answered(answer(200, STREAM, enveloped(b"") * replies + ended({}))) as client:
        with pytest.raises(Error) as failure:
            await client.client_stream(COLLECT, [text("a")], None)
    assert (failure.value.code, failure.value.reason) == (500, "CODEC")
    assert failure.value.grpc_code == UNIMPLEMENTED


async def test_malformed_trailers_are_passed_over() -> None:
    told = {"metadata": {"x-cost": ["7", 5], "x-odd": 5}, "error": None}
    calls = list[Call]()
    async with answered(answer(200, STREAM, ended(told))) as client:
        options = CallOptions(on_end=calls.append)
        async with client.server_stream(WATCH, text("a"), options) as replies:
            assert [each async for each in replies] == []
    assert list(calls[0].trailers.items()) == [("x-cost", "7")]


async def test_what_the_callers_iterator_raises_ends_the_call() -> None:
    service = EchoService()

    async def requests() -> AsyncGenerator[StringValue]:
        yield text("one")
        await service.entered.wait()
        raise KeyError("mine")

    async with calling(service) as client:
        with pytest.raises(KeyError, match="mine"):
            await client.client_stream(COLLECT, requests(), None)
        # The server learns of it: nothing more comes, and that is no end.
        assert service.seen == ["one"]
