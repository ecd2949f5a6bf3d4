"""The client side: requests, answers, errors, and the connections beneath."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trustme
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import StringValue

from kratos.client import Client
from kratos.errors import ConfigError, Error
from kratos.limit import cancel_and_wait
from kratos.selector import Node
from kratos.testing.echo import ECHO, WATCH, EchoService, text
from kratos.transport import (
    Arity,
    Call,
    CallOptions,
    ChainCaller,
    Connection,
    Connector,
    HttpRule,
    Method,
    Mount,
    Service,
    Side,
    server_call,
)
from kratos_http import HttpConnector, HttpServer
from kratos_http.connector import HttpConnection
from kratos_http.plugin import connector as connector_of
from kratos_http.testing import running

# By name: these modules ship without types.
HttpBody: Any = import_module("google.api.httpbody_pb2").HttpBody
AttributeContext: Any = import_module("google.rpc.context.attribute_context_pb2").AttributeContext
BadRequest: Any = import_module("google.rpc.error_details_pb2").BadRequest

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n"ok"'


def unary(name: str, kind: type[Message], *rules: HttpRule, **options: Any) -> Method[Any, Any]:
    return Method(
        operation=f"/test.Things/{name}",
        name=name.lower(),
        arity=Arity.UNARY,
        request=kind,
        reply=kind,
        http=rules,
        **options,
    )


FIND = unary("Find", AttributeContext.Request, HttpRule(verb="GET", path="/things/{host}"))
EDIT = unary(
    "Edit",
    AttributeContext.Request,
    HttpRule(verb="PUT", path="/things/{host}", body="auth", response_body="auth"),
)
FIX = unary(
    "Fix",
    BadRequest,
    HttpRule(verb="POST", path="/fix", body="field_violations", response_body="field_violations"),
)
RAW = unary("Raw", HttpBody, HttpRule(verb="POST", path="/raw", body="*"))
WORD = unary("Word", StringValue, HttpRule(verb="GET", path="/word/{value}"))
LOOK = unary("Look", StringValue, HttpRule(verb="HEAD", path="/look/{value}"))
BARE = unary("Bare", StringValue)
ADD = unary("Add", StringValue, HttpRule(verb="POST", path="/add", body="*"))
REPEATABLE = unary(
    "Again", StringValue, HttpRule(verb="POST", path="/add", body="*"), idempotent=True
)


class Things(Service):
    """Answers with what it was asked."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (FIND, EDIT, FIX, RAW, WORD, LOOK)

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.requests: list[Any] = []

    async def find(self, request: Any, /) -> Any:
        call = server_call()
        assert call is not None
        self.calls.append(call)
        self.requests.append(request)
        return request

    edit = fix = raw = word = look = find


def caller_of(connection: Connection) -> ChainCaller:
    return ChainCaller(connection.invoke, transport="http", timeout=None)


@asynccontextmanager
async def served(
    service: Service, *, server: dict[str, Any] | None = None, **options: Any
) -> AsyncGenerator[ChainCaller]:
    """Run a service with a client that knows nothing but its address."""
    listening = HttpServer("127.0.0.1:0", timeout=None, **(server or {}))
    listening.mount(Mount(services=[service]))
    async with running(listening):
        (url,) = await listening.bind()
        connection = HttpConnector(**options).connect(
            Node(scheme="http", address=url.partition("://")[2])
        )
        yield caller_of(connection)
        await connection.aclose()


class Scripted:
    """A server that answers by a script, and notes what it was sent."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.ended = asyncio.Event()

    def node(self) -> Node:
        return Node(scheme="http", address=f"127.0.0.1:{self.port}")

    def header(self, name: str) -> str:
        """Return the last request's header."""
        for line in self.heads[-1].decode().split("\r\n")[1:]:
            key, _, value = line.partition(": ")
            if key == name:
                return value
        return ""


Script = Callable[[int, bytes, asyncio.StreamWriter], Awaitable[bool]]


@asynccontextmanager
async def scripted(script: Script) -> AsyncGenerator[Scripted]:
    """Run a server; the script gets the number of the request and says whether to go on."""
    seen = Scripted()

    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            go_on = True
            while go_on:
                head = await reader.readuntil(b"\r\n\r\n")
                seen.heads.append(head)
                await reader.readexactly(_length(head))
                go_on = await script(len(seen.heads), head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            seen.ended.set()
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    seen.port = listener.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        listener.close()
        await cancel_and_wait(*serving)


def _length(head: bytes) -> int:
    _, found, rest = head.partition(b"content-length: ")
    return int(rest.partition(b"\r\n")[0]) if found else 0


def answering(data: bytes) -> Script:
    """Make a script that answers every request alike."""

    async def script(_number: int, _head: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(data)
        await writer.drain()
        return True

    return script


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., HttpConnection]]:
    """Return what connects to a scripted server, closed at the end."""
    opened: list[HttpConnection] = []

    def connecting(server: Scripted, **options: Any) -> HttpConnection:
        opened.append(HttpConnector(**options).connect(server.node()))
        return opened[-1]

    yield connecting
    for connection in opened:
        await connection.aclose()


Connecting = Callable[..., HttpConnection]


def test_connector_is_what_a_client_asks_for() -> None:
    connector: Connector = connector_of(tls=None, codec="json")
    assert connector.scheme == "http"
    connection: Connection = connector.connect(Node(scheme="http", address="h:1"))
    assert connection.node.address == "h:1"
    assert connection.ready


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"codec": "nothing"}, "'nothing'"),
        ({"tls": True}, "SSLContext"),
        ({"path_prefix": "api"}, "slash"),
    ],
)
def test_wrong_option_is_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        HttpConnector(**options)


class TestRequests:
    async def test_fields_go_to_path_and_query(self) -> None:
        service = Things()
        request = AttributeContext.Request(host="a/ü b", id="x&y", size=7, headers={"k": "v"})
        request.auth.audiences.extend(["p", "q"])
        async with served(service) as caller:
            assert await caller.unary(FIND, request) == request
        assert service.requests == [request]

    async def test_field_goes_to_the_body_and_the_rest_to_the_query(self) -> None:
        service = Things()
        request = AttributeContext.Request(host="h", id="i")
        request.auth.principal = "p"
        async with served(service) as caller:
            reply = await caller.unary(EDIT, request)
        assert service.requests == [request]
        assert (reply.host, reply.auth.principal) == ("", "p")

    @pytest.mark.parametrize("codec", ["protojson", "json", "proto"])
    async def test_whole_message_goes_in_the_body(self, codec: str) -> None:
        async with served(EchoService(), codec=codec) as caller:
            assert (await caller.unary(ECHO, text("düne"))).value == "düne"

    @pytest.mark.parametrize("codec", ["protojson", "json", "proto"])
    async def test_events_are_text_whatever_the_codec(self, codec: str) -> None:
        async with served(EchoService(), codec=codec) as caller:
            async with caller.server_stream(WATCH, text("a düne")) as replies:
                assert [reply.value async for reply in replies] == ["a", "düne"]
            async with caller.server_stream(WATCH, text("a fail")) as replies:
                assert (await anext(replies)).value == "a"
                with pytest.raises(Error) as failure:
                    await anext(replies)
        assert (failure.value.code, failure.value.reason) == (409, "BUSY")

    async def test_list_goes_in_the_body(self) -> None:
        service = Things()
        request = BadRequest(field_violations=[{"field": "a"}, {"field": "b"}])
        async with served(service) as caller:
            assert await caller.unary(FIX, request) == request

    async def test_raw_body_goes_as_it_is(self) -> None:
        service = Things()
        request = HttpBody(content_type="image/png", data=b"\x89PNG")
        async with served(service) as caller:
            assert await caller.unary(RAW, request) == request

    async def test_header_that_cannot_be_sent_is_refused(self, connect: Connecting) -> None:
        request = HttpBody(content_type="image/png\r\nx: y", data=b"")
        async with scripted(answering(ANSWER)) as server:
            with pytest.raises(Error, match="content-type") as refusal:
                await caller_of(connect(server)).unary(RAW, request)
        assert (refusal.value.code, refusal.value.reason) == (400, "CODEC")
        assert server.heads == []

    async def test_call_without_time_left_is_not_sent(self, connect: Connecting) -> None:
        async with scripted(answering(ANSWER)) as server:
            connection = connect(server)
            call = Call(WORD, side=Side.CLIENT, transport="http", deadline=1e-9)
            with pytest.raises(Error) as refusal:
                await connection.invoke(call, text("x"))
        assert refusal.value.code == 504
        assert server.heads == []

    async def test_prefix_stands_before_the_path(self) -> None:
        async with served(Things(), server={"path_prefix": "/api"}, path_prefix="/api") as caller:
            assert (await caller.unary(WORD, text("x"))).value == "x"

    async def test_head_is_answered_without_a_body(self) -> None:
        async with served(Things()) as caller:
            for _ in range(2):
                assert await caller.unary(LOOK, text("x")) == StringValue()

    async def test_headers_say_what_is_sent_and_wanted(self, connect: Connecting) -> None:
        async with scripted(answering(ANSWER)) as server:
            options = CallOptions(headers={"x-md-a": ["1", "ü"]}, timeout=5.0)
            await caller_of(connect(server)).unary(ADD, text("x"), options)
        assert server.heads[0].startswith(b"POST /add HTTP/1.1\r\n")
        assert server.header("host") == f"127.0.0.1:{server.port}"
        assert server.header("accept") == "application/protojson"
        assert server.header("content-type") == "application/protojson"
        assert server.header("content-length") == "3"
        assert server.header("user-agent") == "kratos-python"
        assert server.header("grpc-timeout").endswith("u")
        assert "x-md-a: 1\r\nx-md-a: ü\r\n".encode() in server.heads[0]

    async def test_request_without_a_body_has_no_type_and_no_length(
        self, connect: Connecting
    ) -> None:
        async with scripted(answering(ANSWER)) as server:
            await caller_of(connect(server, codec="json")).unary(WORD, text("x"))
        assert server.header("accept") == "application/json"
        assert server.header("grpc-timeout") == ""
        assert b"content-" not in server.heads[0]

    async def test_callers_headers_cannot_change_the_framing(self, connect: Connecting) -> None:
        async with scripted(answering(ANSWER)) as server:
            options = CallOptions(
                headers={
                    "content-length": "100",
                    "transfer-encoding": "chunked",
                    "connection": "close",
                    "host": "example.org",
                    "user-agent": "mine",
                }
            )
            await caller_of(connect(server)).unary(ADD, text("x"), options)
        assert server.heads[0].count(b"content-length") == 1
        assert b"transfer-encoding" not in server.heads[0]
        assert b"connection" not in server.heads[0]
        assert server.header("host") == "example.org"
        assert server.header("user-agent") == "mine"

    async def test_deadline_reaches_the_server(self) -> None:
        service = Things()
        async with served(service) as caller:
            await caller.unary(WORD, text("x"), CallOptions(timeout=5.0))
        deadline = service.calls[0].deadline
        assert deadline is not None
        assert 4.0 < deadline - asyncio.get_running_loop().time() <= 5.0

    @pytest.mark.parametrize("word", ["", ".", ".."])
    async def test_value_that_cannot_stand_in_a_path_is_refused(self, word: str) -> None:
        async with served(Things()) as caller:
            with pytest.raises(Error, match="value") as refusal:
                await caller.unary(WORD, text(word))
        assert (refusal.value.code, refusal.value.reason) == (400, "CODEC")

    async def test_method_without_a_rule_is_refused(self) -> None:
        async with served(Things()) as caller:
            with pytest.raises(Error, match="Bare") as refusal:
                await caller.unary(BARE, text("x"))
        assert (refusal.value.code, refusal.value.reason) == (501, "UNIMPLEMENTED")


def answer(status: str, *lines: str, body: bytes = b"") -> bytes:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *lines))
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class TestAnswers:
    async def test_error_is_decoded_under_the_status(self, connect: Connecting) -> None:
        body = b'{"code":54321,"reason":"R","message":"m","metadata":{"k":"v"}}'
        data = answer("404 Not Found", "Content-Type: application/json", body=body)
        async with scripted(answering(data)) as server:
            with pytest.raises(Error) as failure:
                await caller_of(connect(server)).unary(WORD, text("x"))
        error = failure.value
        assert (error.code, error.reason, error.message) == (404, "R", "m")
        assert error.metadata == {"k": "v"}

    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            ("application/json", b'{"code":400,"reason":"R"}'),
            ("application/protojson", b'{"code":400,"reason":"R","message":"","metadata":{}}'),
            ("application/proto", b"\x12\x01R"),
            ("text/nothing", b'{"reason":"R"}'),
        ],
    )
    async def test_error_is_read_in_the_codec_it_came_in(
        self, connect: Connecting, kind: str, body: bytes
    ) -> None:
        data = answer("400 Bad Request", f"Content-Type: {kind}", body=body)
        async with scripted(answering(data)) as server:
            with pytest.raises(Error) as failure:
                await caller_of(connect(server)).unary(WORD, text("x"))
        assert (failure.value.code, failure.value.reason) == (400, "R")

    @pytest.mark.parametrize("body", [b"", b"<html>no</html>"])
    async def test_error_that_is_none_of_ours_keeps_its_status(
        self, connect: Connecting, body: bytes
    ) -> None:
        async with scripted(answering(answer("502 Bad Gateway", body=body))) as server:
            with pytest.raises(Error) as failure:
                await caller_of(connect(server)).unary(WORD, text("x"))
        assert (failure.value.code, failure.value.reason) == (502, "HTTP_502")

    async def test_redirect_is_not_followed(self, connect: Connecting) -> None:
        async with scripted(answering(answer("302 Found", "Location: /x"))) as server:
            with pytest.raises(Error) as failure:
                await caller_of(connect(server)).unary(WORD, text("x"))
        assert failure.value.code == 302
        assert len(server.heads) == 1

    async def test_headers_of_the_reply_are_kept(self, connect: Connecting) -> None:
        ends: list[Call] = []
        data = answer("200 OK", "X-A: 1", "X-A: 2", body=b'"ok"')
        async with scripted(answering(data)) as server:
            options = CallOptions(on_end=ends.append)
            await caller_of(connect(server)).unary(WORD, text("x"), options)
        assert ends[0].reply_headers.values("x-a") == ["1", "2"]
        assert ends[0].peer == f"127.0.0.1:{server.port}"

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(
                b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n"o\r\n2\r\nk"\r\n0\r\n'
                b"X-Sum: 1\r\n\r\n",
                id="chunks",
            ),
            pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWER, id="interim"),
            pytest.param(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ANSWER, id="early hints"),
        ],
    )
    async def test_answer_is_read_however_it_is_framed(
        self, connect: Connecting, data: bytes
    ) -> None:
        async with scripted(answering(data)) as server:
            caller = caller_of(connect(server))
            for _ in range(2):
                assert (await caller.unary(WORD, text("x"))).value == "ok"
        assert server.connections == 1

    async def test_body_may_end_with_the_connection(self, connect: Connecting) -> None:
        async def script(_number: int, _head: bytes, writer: asyncio.StreamWriter) -> bool:
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"ok"')
            return False

        async with scripted(script) as server:
            caller = caller_of(connect(server))
            for _ in range(2):
                assert (await caller.unary(WORD, text("x"))).value == "ok"
        assert server.connections == 2

    async def test_empty_answer_is_an_empty_message(self, connect: Connecting) -> None:
        async with scripted(answering(b"HTTP/1.1 204 No Content\r\n\r\n")) as server:
            caller = caller_of(connect(server))
            for _ in range(2):
                assert await caller.unary(WORD, text("x")) == StringValue()
        assert server.connections == 1

    async def test_answer_that_is_no_message_is_an_error(self, connect: Connecting) -> None:
        async with scripted(answering(answer("200 OK", body=b"<html>"))) as server:
            with pytest.raises(Error, match="cannot be read") as failure:
                await caller_of(connect(server)).unary(WORD, text("x"))
        assert (failure.value.code, failure.value.reason) == (500, "CODEC")

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(b"nonsense\r\n\r\n", id="no HTTP"),
            pytest.param(
                b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                id="two framings",
            ),
            pytest.param(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", id="bad chunk"
            ),
            pytest.param(b"HTTP/1.1 000 Nothing\r\nContent-Length: 0\r\n\r\n", id="no status"),
            pytest.param(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
                id="other protocol",
            ),
        ],
    )
    async def test_malformed_answer_is_a_server_that_was_lost(
        self, connect: Connecting, data: bytes
    ) -> None:
        async with scripted(answering(data)) as server:
            with pytest.raises(Error) as failure:
                await caller_of(connect(server)).unary(WORD, text("x"))
        assert (failure.value.code, failure.value.reason) == (503, "UNAVAILABLE")
        assert server.connections == 1

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(answer("200 OK", body=b"x" * 1001), id="length"),
            pytest.param(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001,
                id="chunks",
            ),
            pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001, id="to the end"),
            pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000, id="head"),
            pytest.param(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 300,
                id="trailers",
            ),
            pytest.param(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"y" * 300_000,
                id="one trailer",
            ),
            pytest.param(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 300_000,
                id="chunk extension",
            ),
            pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 12_000, id="interim answers"),
            pytest.param(b"\r\n" * 150_000, id="empty lines"),
        ],
    )
    async def test_answer_beyond_the_limit_is_given_up(
        self, connect: Connecting, data: bytes
    ) -> None:
        async with scripted(answering(data)) as server:
            with pytest.raises(Error, match=r"exceeds|more than") as failure:
                await caller_of(connect(server, max_reply=1000)).unary(WORD, text("x"))
        assert (failure.value.code, failure.value.reason) == (500, "REPLY_TOO_LARGE")

    async def test_answer_that_nobody_asked_for_is_not_given_to_the_next(
        self, connect: Connecting
    ) -> None:
        evil = ANSWER.replace(b"ok", b"no")

        async def script(number: int, _head: bytes, writer: asyncio.StreamWriter) -> bool:
            writer.write(ANSWER + evil if number == 1 else ANSWER)
            await writer.drain()
            return True

        async with scripted(script) as server:
            caller = caller_of(connect(server))
            assert [(await caller.unary(WORD, text("x"))).value for _ in range(3)] == ["ok"] * 3
        assert server.connections == 2


class TestConnections:
    async def test_connection_is_used_again(self, connect: Connecting) -> None:
        async with scripted(answering(ANSWER)) as server:
            caller = caller_of(connect(server))
            for _ in range(5):
                await caller.unary(WORD, text("x"))
        assert server.connections == 1

    async def test_calls_at_once_have_connections_of_their_own_up_to_the_limit(
        self, connect: Connecting
    ) -> None:
        inside, most = 0, 0
        together = asyncio.Event()

        async def script(_number: int, _head: bytes, writer: asyncio.StreamWriter) -> bool:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            if inside == 3:
                together.set()
            await together.wait()
            inside -= 1
            writer.write(ANSWER)
            await writer.drain()
            return True

        async with scripted(script) as server:
            caller = caller_of(connect(server, max_connections=3))
            calls = [asyncio.ensure_future(caller.unary(WORD, text("x"))) for _ in range(10)]
            for call in calls:
                assert (await call).value == "ok"
        assert (server.connections, most) == (3, 3)

    async def test_waiting_call_that_is_cancelled_takes_no_turn(self, connect: Connecting) -> None:
        gate = asyncio.Event()

        async def script(_number: int, _head: bytes, writer: asyncio.StreamWriter) -> bool:
            await gate.wait()
            writer.write(ANSWER)
            await writer.drain()
            return True

        async with scripted(script) as server:
            caller = caller_of(connect(server, max_connections=1))
            first, second, third = (
                asyncio.ensure_future(caller.unary(WORD, text("x"))) for _ in range(3)
            )
            while not server.heads:  # noqa: ASYNC110  the other end sets no event
                await asyncio.sleep(0)
            second.cancel()
            gate.set()
            assert (await first).value == "ok"
            assert (await third).value == "ok"
            assert second.cancelled()

    @pytest.mark.parametrize(
        ("method", "sent"), [(WORD, 3), (REPEATABLE, 3)], ids=["safe verb", "idempotent"]
    )
    async def test_request_on_a_connection_gone_stale_is_sent_again(
        self, connect: Connecting, method: Any, sent: int
    ) -> None:
        async with scripted(_close_instead_of_answering(2)) as server:
            caller = caller_of(connect(server))
            for _ in range(2):
                assert (await caller.unary(method, text("x"))).value == "ok"
        assert (len(server.heads), server.connections) == (sent, 2)

    async def test_request_that_may_have_been_done_is_not_sent_again(
        self, connect: Connecting
    ) -> None:
        async with scripted(_close_instead_of_answering(2)) as server:
            caller = caller_of(connect(server))
            assert (await caller.unary(ADD, text("x"))).value == "ok"
            with pytest.raises(Error) as failure:
                await caller.unary(ADD, text("x"))
        assert (failure.value.code, failure.value.reason) == (503, "UNAVAILABLE")
        assert len(server.heads) == 2

    async def test_request_on_a_new_connection_is_not_sent_again(self, connect: Connecting) -> None:
        async with scripted(_close_instead_of_answering(1)) as server:
            with pytest.raises(Error) as failure:
                await caller_of(connect(server)).unary(WORD, text("x"))
        assert failure.value.code == 503
        assert len(server.heads) == 1

    async def test_answer_that_had_begun_is_not_asked_for_again(self, connect: Connecting) -> None:
        async def script(number: int, _head: bytes, writer: asyncio.StreamWriter) -> bool:
            writer.write(ANSWER if number == 1 else ANSWER[:-2])
            await writer.drain()
            return number == 1

        async with scripted(script) as server:
            caller = caller_of(connect(server))
            await caller.unary(WORD, text("x"))
            with pytest.raises(Error) as failure:
                await caller.unary(WORD, text("x"))
        assert failure.value.code == 503
        assert len(server.heads) == 2

    async def test_connection_that_the_server_closes_is_not_used_again(
        self, connect: Connecting
    ) -> None:
        data = ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        async with scripted(answering(data)) as server:
            caller = caller_of(connect(server))
            for _ in range(2):
                await caller.unary(ADD, text("x"))
        assert server.connections == 2

    async def test_idle_connection_is_closed_in_time(self, connect: Connecting) -> None:
        async with scripted(answering(ANSWER)) as server:
            caller = caller_of(connect(server, idle_timeout=0.01))
            await caller.unary(WORD, text("x"))
            await server.ended.wait()
            await caller.unary(WORD, text("x"))
        assert server.connections == 2

    async def test_server_that_is_not_there_is_unavailable_until_it_is(
        self, connect: Connecting
    ) -> None:
        async with scripted(answering(ANSWER)) as server:
            node = server.node()
        connection = HttpConnector().connect(node)
        states = [connection.ready]
        with pytest.raises(Error, match=node.address) as failure:
            await caller_of(connection).unary(WORD, text("x"))
        assert (failure.value.code, failure.value.reason) == (503, "UNAVAILABLE")
        states.append(connection.ready)
        assert states == [True, False]
        with pytest.raises(OSError, match="onnect"):
            await connection.warm()
        await connection.aclose()

    async def test_warm_connection_serves_the_first_call(self, connect: Connecting) -> None:
        async with scripted(answering(ANSWER)) as server:
            connection = connect(server)
            await connection.warm()
            await caller_of(connection).unary(WORD, text("x"))
        assert server.connections == 1

    async def test_connecting_has_a_time_limit(self) -> None:
        async with scripted(answering(b"never asked in plain text")) as server:
            connector = HttpConnector(connect_timeout=0.01, tls=ssl.create_default_context())
            node = Node(scheme="http", address=server.node().address, secure=True)
            connection = connector.connect(node)
            with pytest.raises(Error, match=r"within 0\.01 s") as failure:
                await caller_of(connection).unary(WORD, text("x"))
            await connection.aclose()
        assert failure.value.code == 503

    async def test_closing_gives_up_connecting(self) -> None:
        async with scripted(answering(b"never asked in plain text")) as server:
            connector = HttpConnector(tls=ssl.create_default_context())
            node = Node(scheme="http", address=server.node().address, secure=True)
            connection = connector.connect(node)
            calling = asyncio.ensure_future(caller_of(connection).unary(WORD, text("x")))
            while not server.connections:  # noqa: ASYNC110  the other end sets no event
                await asyncio.sleep(0)
            await connection.aclose()
            with pytest.raises(Error, match="closed") as failure:
                await calling
        assert (failure.value.code, failure.value.reason) == (503, "UNAVAILABLE")
        with pytest.raises(OSError, match="closed"):
            await connection.warm()

    async def test_call_that_is_cancelled_while_connecting_frees_its_place(self) -> None:
        async with scripted(answering(b"never asked in plain text")) as server:
            connector = HttpConnector(tls=ssl.create_default_context(), max_connections=1)
            node = Node(scheme="http", address=server.node().address, secure=True)
            connection = connector.connect(node)
            for number in (1, 2):
                calling = asyncio.ensure_future(caller_of(connection).unary(WORD, text("x")))
                while server.connections < number:  # noqa: ASYNC110
                    await asyncio.sleep(0)
                calling.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await calling
            await connection.aclose()

    async def test_cancelled_call_is_told_by_closing(self, connect: Connecting) -> None:
        entered = asyncio.Event()

        async def script(_number: int, _head: bytes, _writer: asyncio.StreamWriter) -> bool:
            entered.set()
            return True

        async with scripted(script) as server:
            calling = asyncio.ensure_future(caller_of(connect(server)).unary(WORD, text("x")))
            await entered.wait()
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
            await server.ended.wait()

    async def test_closing_lets_calls_end(self, connect: Connecting) -> None:
        entered, release = asyncio.Event(), asyncio.Event()

        async def script(_number: int, _head: bytes, writer: asyncio.StreamWriter) -> bool:
            entered.set()
            await release.wait()
            writer.write(ANSWER)
            await writer.drain()
            return True

        async with scripted(script) as server:
            connection = connect(server)
            caller = caller_of(connection)
            calling = asyncio.ensure_future(caller.unary(WORD, text("x")))
            await entered.wait()
            closing = asyncio.ensure_future(connection.aclose(drain=10.0))
            await asyncio.sleep(0)
            with pytest.raises(Error, match="closed") as failure:
                await caller.unary(WORD, text("x"))
            assert failure.value.code == 503
            release.set()
            assert (await calling).value == "ok"
            await closing

    async def test_closing_cuts_off_what_takes_too_long(self, connect: Connecting) -> None:
        entered = asyncio.Event()

        async def script(_number: int, _head: bytes, _writer: asyncio.StreamWriter) -> bool:
            entered.set()
            return True

        async with scripted(script) as server:
            connection = connect(server, max_connections=1)
            caller = caller_of(connection)
            calls = [asyncio.ensure_future(caller.unary(WORD, text("x"))) for _ in range(3)]
            await entered.wait()
            await connection.aclose()
            for call in calls:
                with pytest.raises(Error) as failure:
                    await call
                assert (failure.value.code, failure.value.reason) == (503, "UNAVAILABLE")
            await connection.aclose(drain=5.0)

    async def test_tls_is_spoken_to_secure_nodes(self) -> None:
        authority = trustme.CA()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate = authority.issue_cert("localhost", "127.0.0.1")
        certificate.configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)  # pyright: ignore[reportUnknownMemberType]
        server = HttpServer("127.0.0.1:0", tls=context)
        server.mount(Mount(services=[EchoService()]))
        async with running(server):
            (url,) = await server.bind()
            async with Client(url, tls=trusting) as caller:
                assert (await caller.unary(ECHO, text("ok"))).value == "ok"
            mistrusting = HttpConnector()
            node = Node(scheme="http", address=url.partition("://")[2], secure=True)
            connection = mistrusting.connect(node)
            with pytest.raises(Error, match="certificate") as failure:
                await caller_of(connection).unary(ECHO, text("ok"))
            assert failure.value.code == 503
            await connection.aclose()

    async def test_unix_socket_is_reached(self, tmp_path: Path) -> None:
        path = tmp_path / "a.sock"
        server = HttpServer(f"unix:{path}")
        server.mount(Mount(services=[EchoService()]))
        async with running(server), Client(f"unix:{path}") as caller:
            assert (await caller.unary(ECHO, text("ok"))).value == "ok"


def _close_instead_of_answering(closed: int) -> Script:
    async def script(number: int, _head: bytes, writer: asyncio.StreamWriter) -> bool:
        if number == closed:
            return False
        writer.write(ANSWER)
        await writer.drain()
        return True

    return script
