"""Client and bidirectional streaming by WebSocket: what the ends say to each other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any, ClassVar

import pytest
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import Error
from kratos.limit import cancel_and_wait
from kratos.testing.echo import ALL, CHAT, COLLECT, EchoService, text
from kratos.transport import (
    Arity,
    Call,
    Handler,
    HttpRule,
    Method,
    Mount,
    Service,
    duplex,
    server_call,
)
from kratos_http import HttpServer, Limits, StreamOptions
from kratos_http.testing import (
    HANDSHAKE,
    Answer,
    OpenPeer,
    SocketPeer,
    eventually,
    frame,
    next_frame,
    socket_peer,
)

# By name: these modules ship without types.
HttpBody: Any = import_module("google.api.httpbody_pb2").HttpBody
AttributeContext: Any = import_module("google.rpc.context.attribute_context_pb2").AttributeContext
Peer = AttributeContext.Request

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
JSON = [("Content-Type", "application/json")]
Pair = tuple[str, str]
END = frame(TEXT, b"\x1eend")
OWN = ("Sec-WebSocket-Protocol", "chat, kratos.stream.v1")


def bidi(name: str, kind: type[Message], rule: HttpRule) -> Method[Any, Any]:
    return Method(
        operation=f"/test.Rooms/{name}",
        name=name.lower(),
        arity=Arity.BIDI_STREAM,
        request=kind,
        reply=kind,
        http=(rule,),
    )


ROOM = bidi("Room", Peer, HttpRule(verb="POST", path="/rooms/{host}", body="auth"))
PLAIN = bidi("Plain", Peer, HttpRule(verb="PUT", path="/plain/{host}", body="path"))
RAW = bidi("Raw", HttpBody, HttpRule(verb="POST", path="/raw", body="*"))
WORDS = bidi("Words", StringValue, HttpRule(verb="GET", path="/words"))


class Rooms(Service):
    """Sends back what it gets; some words make it do something else."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (ROOM, PLAIN, RAW, WORDS)

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.taken = 0
        self.sent = 0

    async def room(self, requests: AsyncIterator[Any], /) -> AsyncIterator[Any]:
        async for request in requests:
            yield request

    plain = raw = room

    def words(self, requests: AsyncIterator[StringValue], /) -> AsyncIterator[StringValue]:
        return duplex(requests, self._words)

    async def _words(self, requests: AsyncIterator[StringValue], send: Any) -> None:
        call = server_call()
        assert call is not None
        try:
            async for request in requests:
                self.taken += 1
                if request.value == "headers":
                    call.reply_headers.set("x-late", "1")
                    call.trailers.add("x-sum", "7")
                if request.value == "hang":
                    await asyncio.get_running_loop().create_future()
                if request.value == "fail":
                    problem = Error(409, "BUSY", "try later " * 20, {"table": "7"})
                    raise problem.with_cause(RuntimeError("an inner secret"))
                while request.value == "flood":
                    await send(text("x" * 10_000))
                    self.sent += 1
                await send(request)
        finally:
            self.left.set()


def rooms(**options: Any) -> tuple[HttpServer, Rooms]:
    server = HttpServer("127.0.0.1:0", **options)
    service = Rooms()
    server.mount(Mount(services=[service]))
    return server, service


async def shake(peer: SocketPeer, target: str, *more: tuple[str, str], without: str = "") -> Answer:
    """Ask for a WebSocket and return the answer."""
    kept = [pair for pair in HANDSHAKE if pair[0] != without]
    lines = "".join(f"{name}: {value}\r\n" for name, value in (*kept, *more))
    await peer.send(f"GET {target} HTTP/1.1\r\nHost: test\r\n{lines}\r\n".encode())
    return await peer.answer()


@asynccontextmanager
async def talking(server: HttpServer, target: str = "/words", *more: Pair) -> AsyncGenerator[Any]:
    async with socket_peer(server) as peer:
        assert (await shake(peer, target, *more)).status == 101
        yield peer


def echo_server(**options: Any) -> HttpServer:
    server = HttpServer("127.0.0.1:0", **options)
    server.mount(Mount(services=[EchoService()]))
    return server


class TestHandshake:
    async def test_verb_is_get_whatever_was_declared(self) -> None:
        async with socket_peer(echo_server()) as peer:
            assert (await peer.request("POST", "/kratos.testing/chat")).status == 405
            assert (await shake(peer, "/kratos.testing/chat")).status == 101

    @pytest.mark.parametrize(
        ("without", "more", "status"),
        [
            ("Upgrade", (), 400),
            ("Connection", (), 400),
            ("Upgrade", (("Upgrade", "h2c"),), 400),
            ("Sec-WebSocket-Key", (), 400),
            ("Sec-WebSocket-Key", (("Sec-WebSocket-Key", "c2hvcnQ="),), 400),
            ("Sec-WebSocket-Key", (("Sec-WebSocket-Key", "?"),), 400),
            ("Sec-WebSocket-Version", (), 426),
            ("Sec-WebSocket-Version", (("Sec-WebSocket-Version", "8"),), 426),
        ],
    )
    async def test_request_that_is_no_handshake_is_refused_and_the_connection_serves_on(
        self, without: str, more: tuple[tuple[str, str], ...], status: int
    ) -> None:
        async with socket_peer(echo_server()) as peer:
            answer = await shake(peer, "/kratos.testing/chat", *more, without=without)
            assert answer.status == status
            assert answer.json()["reason"] == "BAD_REQUEST"
            if status == 426:
                assert answer.header("sec-websocket-version") == "13"
            assert (await shake(peer, "/kratos.testing/chat")).status == 101

    async def test_handshake_with_a_body_is_none(self) -> None:
        async with socket_peer(echo_server()) as peer:
            answer = await shake(peer, "/kratos.testing/chat", ("Content-Length", "3"))
        assert answer.status == 400

    async def test_plain_request_is_refused_on_both_engines(self, open_peer: OpenPeer) -> None:
        async with open_peer(echo_server()) as peer:
            assert (await peer.request("GET", "/kratos.testing/chat")).status == 400

    @pytest.mark.parametrize(
        ("origin", "origins", "status"),
        [
            ("http://test", None, 101),
            ("https://TEST", None, 101),
            ("http://evil.example", None, 403),
            ("http://[", None, 403),
            ("null", None, 403),
            ("http://evil.example", ("*",), 101),
            ("http://a.example", ("http://a.example", "http://b.example"), 101),
            ("https://a.example", ("http://a.example",), 403),
        ],
    )
    async def test_browsers_are_let_in_by_their_origin(
        self, origin: str, origins: tuple[str, ...] | None, status: int
    ) -> None:
        server = echo_server(streams=StreamOptions(origins=origins))
        async with socket_peer(server) as peer:
            answer = await shake(peer, "/kratos.testing/chat", ("Origin", origin))
        assert answer.status == status

    async def test_handshake_waits_for_its_turn_behind_other_requests(self) -> None:
        async with socket_peer(echo_server()) as peer:
            await peer.send(b"GET /nowhere HTTP/1.1\r\nHost: test\r\n\r\n" * 2)
            lines = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE)
            request = f"GET /kratos.testing/chat HTTP/1.1\r\nHost: test\r\n{lines}\r\n"
            await peer.send(request.encode() + frame(TEXT, b'"early"') + END)
            statuses = [(await peer.answer()).status for _ in range(3)]
            assert statuses == [404, 404, 101]
            assert await next_frame(peer) == (TEXT, b'"early"')

    async def test_chain_refuses_before_the_handshake_is_answered(self) -> None:
        async def refuse(call: Call, request: Any, next: Handler, /) -> Any:
            call.reply_headers.set("www-authenticate", "Bearer")
            raise Error(401, "UNAUTHORIZED", "who are you?")

        async with socket_peer(echo_server(middleware=[refuse])) as peer:
            answer = await shake(peer, "/kratos.testing/chat")
            assert await peer.rest() == b""
        assert answer.status == 401
        assert answer.header("www-authenticate") == "Bearer"
        assert answer.json()["reason"] == "UNAUTHORIZED"

    async def test_headers_of_the_chain_go_with_the_answer(self) -> None:
        async def greet(call: Call, request: Any, next: Handler, /) -> Any:
            call.reply_headers.set("x-hello", "1")
            call.reply_headers.set("sec-websocket-extensions", "permessage-deflate")
            return await next(call, request)

        async with socket_peer(echo_server(middleware=[greet])) as peer:
            answer = await shake(peer, "/kratos.testing/chat", OWN)
        assert answer.header("x-hello") == "1"
        assert answer.header("sec-websocket-protocol") == "kratos.stream.v1"
        assert answer.header("sec-websocket-extensions") == ""

    async def test_header_that_cannot_be_sent_is_an_ordinary_error(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def spoil(call: Call, request: Any, next: Handler, /) -> Any:
            call.reply_headers.set("x-odd", "a\x01b")
            return await next(call, request)

        async with socket_peer(echo_server(middleware=[spoil])) as peer:
            assert (await shake(peer, "/kratos.testing/chat")).status == 500
        assert "x-odd" in caplog.text


class TestAuthentication:
    @pytest.mark.parametrize("method", ALL, ids=[method.arity.value for method in ALL])
    async def test_one_middleware_refuses_all_arities_before_the_handler(
        self, method: Method[Any, Any]
    ) -> None:
        async def authenticate(call: Call, request: Any, next: Handler, /) -> Any:
            if call.headers.get("authorization") != "Bearer good":
                raise Error(401, "UNAUTHORIZED", "a token, please")
            return await next(call, request)

        server = HttpServer("127.0.0.1:0", middleware=[authenticate])
        service = EchoService()
        server.mount(Mount(services=[service]))
        path = method.http[0].path
        async with socket_peer(server) as peer:
            if method.arity.client_streams:
                answer = await shake(peer, path)
            else:
                answer = await peer.request("POST", path, headers=JSON, body=b'"x"')
        assert answer.status == 401
        assert answer.json()["reason"] == "UNAUTHORIZED"
        assert not service.entered.is_set()


class TestMessages:
    async def test_path_and_query_are_bound_onto_every_message(self) -> None:
        server, _ = rooms()
        async with talking(server, "/rooms/den?path=/x") as peer:
            for audience in ("a", "b"):
                await peer.send(frame(TEXT, json.dumps({"principal": audience}).encode()))
                _, payload = await next_frame(peer)
                reply = json.loads(payload)
                assert (reply["host"], reply["path"]) == ("den", "/x")
                assert reply["auth"]["principal"] == audience

    async def test_body_that_names_a_scalar_is_the_whole_message_as_in_go(self) -> None:
        server, _ = rooms()
        async with talking(server, "/plain/den") as peer:
            await peer.send(frame(TEXT, b'{"path": "/x", "host": "lost"}'))
            reply = json.loads((await next_frame(peer))[1])
        assert (reply["host"], reply["path"]) == ("den", "/x")

    async def test_binary_codec_goes_in_binary_messages(self) -> None:
        server, _ = rooms()
        accept = ("Accept", "application/proto")
        data = text("x").SerializeToString()
        async with talking(server, "/words", accept) as peer:
            await peer.send(frame(BINARY, data))
            assert await next_frame(peer) == (BINARY, data)

    async def test_content_type_chooses_how_requests_are_read(self) -> None:
        server, _ = rooms()
        kind = ("Content-Type", "application/proto"), ("Accept", "application/json")
        async with talking(server, "/words", *kind) as peer:
            await peer.send(frame(BINARY, text("x").SerializeToString()))
            assert await next_frame(peer) == (TEXT, b'"x"')

    async def test_raw_bodies_go_as_they_are(self) -> None:
        server, _ = rooms()
        async with talking(server, "/raw") as peer:
            await peer.send(frame(BINARY, b"\x1eend\xff"))
            assert await next_frame(peer) == (BINARY, b"\x1eend\xff")

    async def test_message_that_does_not_parse_ends_the_call(self) -> None:
        server, _ = rooms()
        async with talking(server, "/words", OWN) as peer:
            await peer.send(frame(TEXT, b"["))
            _, payload = await next_frame(peer)
        assert json.loads(payload.removeprefix(b"\x1eerror:"))["reason"] == "CODEC"

    async def test_unknown_control_message_ends_the_call(self) -> None:
        server, service = rooms()
        async with talking(server) as peer:
            await peer.send(frame(TEXT, b"\x1ewhat"))
            assert b"0x1E" in (await next_frame(peer))[1]
        assert not service.taken


class TestEnds:
    async def test_end_message_ends_the_requests_and_1000_the_replies(self) -> None:
        server, _ = rooms()
        async with talking(server) as peer:
            await peer.send(frame(TEXT, b'"a"') + END)
            assert await next_frame(peer) == (TEXT, b'"a"')
            assert await next_frame(peer) == (CLOSE, b"\x03\xe8")
            await peer.send(frame(CLOSE, b"\x03\xe8"))
            assert await peer.rest() == b""

    async def test_close_with_1000_ends_the_requests_as_in_go(self) -> None:
        ended: list[int] = []

        async def note(call: Call, request: Any, next: Handler, /) -> Any:
            reply = await next(call, request)
            ended.append(call.received)
            return reply

        async with talking(echo_server(middleware=[note]), "/kratos.testing/collect") as peer:
            await peer.send(frame(TEXT, b'"a"') * 3 + frame(CLOSE, b"\x03\xe8"))
            await eventually(lambda: ended)
        assert ended == [3]

    @pytest.mark.parametrize("way", ["1001", "empty", "reset", "error"])
    async def test_other_ways_to_leave_are_no_end_of_the_requests(self, way: str) -> None:
        failures: list[Error] = []

        async def note(call: Call, request: Any, next: Handler, /) -> Any:
            try:
                return await next(call, request)
            except Error as error:
                failures.append(error)
                raise
            except asyncio.CancelledError:
                assert call.cause is not None
                failures.append(call.cause.error())
                raise

        async with talking(echo_server(middleware=[note]), "/kratos.testing/collect") as peer:
            await peer.send(frame(TEXT, b'"a"'))
            if way == "reset":
                peer.reset()
            elif way == "error":
                await peer.send(frame(TEXT, b"\x1eerror:lost heart"))
            else:
                await peer.send(frame(CLOSE, b"\x03\xe9" if way == "1001" else b""))
            await eventually(lambda: failures)
        assert failures[0].code == 499

    async def test_peer_that_closes_after_its_end_ends_the_handler(self) -> None:
        server, service = rooms()
        async with talking(server) as peer:
            await peer.send(frame(TEXT, b'"hang"') + END + frame(CLOSE, b"\x03\xe8"))
            await service.left.wait()

    async def test_error_is_gos_text_to_who_offers_nothing_and_keeps_its_cause(self) -> None:
        server, _ = rooms()
        async with talking(server) as peer:
            await peer.send(frame(TEXT, b'"fail"'))
            opcode, payload = await next_frame(peer)
            closing = await next_frame(peer)
        assert opcode == TEXT
        assert payload.startswith(b"\x1eerror:error: code = 409 reason = BUSY message = try later")
        assert payload.endswith(b"metadata = map[table:7] cause = <nil>")
        assert closing[0] == CLOSE
        assert closing[1][:2] == b"\x03\xf3"
        assert closing[1][2:] == payload[7:][:123]

    async def test_error_is_structured_to_who_offers_our_form(self) -> None:
        server, _ = rooms()
        async with talking(server, "/words", OWN) as peer:
            await peer.send(frame(TEXT, b'"fail"'))
            _, payload = await next_frame(peer)
        error = json.loads(payload.removeprefix(b"\x1eerror:"))
        assert (error["code"], error["reason"], error["metadata"]) == (409, "BUSY", {"table": "7"})

    async def test_headers_and_trailers_of_the_handler_follow_in_our_form(self) -> None:
        server, _ = rooms()
        async with talking(server, "/words", OWN) as peer:
            await peer.send(frame(TEXT, b'"headers"') + END)
            got = [(await next_frame(peer))[1] for _ in range(4)]
        assert got == [
            b'\x1eheaders:{"x-late": ["1"]}',
            b'"headers"',
            b'\x1etrailers:{"x-sum": ["7"]}',
            b"\x03\xe8",
        ]

    async def test_stop_ends_a_stream_with_an_error_and_a_code_of_its_own(self) -> None:
        server, service = rooms()
        async with talking(server) as peer:
            await peer.send(frame(TEXT, b'"hang"'))
            await eventually(lambda: service.taken)
            stopping = asyncio.ensure_future(server.stop())
            await asyncio.sleep(0)
            stopping.cancel()
            assert b"DRAINING" in (await next_frame(peer))[1]
            assert (await next_frame(peer))[1][:2] == b"\x03\xf4"

    async def test_peer_that_does_not_answer_a_close_is_left(self) -> None:
        server, _ = rooms(limits=Limits(close_timeout=0.02))
        async with talking(server) as peer:
            await peer.send(END)
            assert await next_frame(peer) == (CLOSE, b"\x03\xe8")
            assert await peer.rest() == b""


class TestTime:
    async def test_time_limit_of_unary_calls_does_not_end_a_stream(self) -> None:
        server, service = rooms(timeout=0.01, streams=StreamOptions(idle_timeout=0.1))
        async with talking(server) as peer:
            await peer.send(frame(TEXT, b'"hang"'))
            assert b"STREAM_IDLE" in (await next_frame(peer))[1]
        assert service.left.is_set()

    async def test_browser_that_answers_no_ping_is_given_up(self) -> None:
        server, service = rooms(limits=Limits(ping_interval=0.01, ping_timeout=0.01))
        async with talking(server, "/words", ("Origin", "http://test")) as peer:
            await peer.send(frame(TEXT, b'"hang"'))
            assert await next_frame(peer) == (PING, b"")
            await service.left.wait()

    async def test_answered_pings_keep_a_socket(self) -> None:
        server, _ = rooms(limits=Limits(ping_interval=0.01, ping_timeout=5.0))
        async with talking(server, "/words", ("Origin", "http://test")) as peer:
            for _ in range(3):
                assert await next_frame(peer) == (PING, b"")
                await peer.send(frame(PONG))
            await peer.send(frame(TEXT, b'"a"'))
            while (got := await next_frame(peer)) == (PING, b""):
                await peer.send(frame(PONG))
            assert got == (TEXT, b'"a"')


class TestBackPressure:
    async def test_handler_that_takes_nothing_holds_the_peer_back_until_it_is_idle(self) -> None:
        server, service = rooms(streams=StreamOptions(idle_timeout=0.5))
        async with talking(server) as peer:
            await peer.send(frame(TEXT, b'"hang"'))
            await eventually(lambda: service.taken)
            flood = frame(TEXT, json.dumps("x" * 60_000).encode()) * 500
            sending = asyncio.ensure_future(peer.send(flood))
            await service.left.wait()
            assert not sending.done()
            assert service.taken == 1
            await cancel_and_wait(sending)
            peer.reset()

    async def test_peer_that_takes_nothing_holds_the_handler_back(self) -> None:
        server, service = rooms()
        async with talking(server) as peer:
            await peer.send(frame(TEXT, b'"flood"'))
            seen = -1
            while seen != service.sent or not seen:
                seen = service.sent
                for _ in range(200):
                    await asyncio.sleep(0)
            assert service.sent < 2_000
            peer.reset()
            await service.left.wait()


def test_arities_are_told_apart() -> None:
    verbs = {route.template.text: route.verb for route in echo_server().routes}
    assert verbs[COLLECT.http[0].path] == verbs[CHAT.http[0].path] == "GET"
    assert verbs["/kratos.testing/watch"] == "POST"
