"""Server streaming as server-sent events, on both engines and at the client."""

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

from kratos.client import Client
from kratos.errors import ConfigError, Error
from kratos.testing.echo import EchoService, text
from kratos.transport import (
    Arity,
    CallOptions,
    HttpRule,
    Method,
    Mount,
    Service,
    server_call,
)
from kratos_http import HttpConnector, HttpServer, Limits, StreamOptions
from kratos_http.testing import (
    OpenPeer,
    SocketPeer,
    client_of,
    socket_peer,
)

# By name: these modules ship without types.
HttpBody: Any = import_module("google.api.httpbody_pb2").HttpBody
AttributeContext: Any = import_module("google.rpc.context.attribute_context_pb2").AttributeContext

JSON = [("Content-Type", "application/json")]


def streaming(name: str, kind: type[Message], *rules: HttpRule) -> Method[Any, Any]:
    return Method(
        operation=f"/test.News/{name}",
        name=name.lower(),
        arity=Arity.SERVER_STREAM,
        request=kind,
        reply=kind,
        http=rules,
    )


FOLLOW = streaming(
    "Follow", AttributeContext.Request, HttpRule(verb="GET", path="/news/{host}/follow")
)
RAW = streaming("Raw", HttpBody, HttpRule(verb="POST", path="/raw", body="*"))
TICK = streaming("Tick", StringValue, HttpRule(verb="POST", path="/tick", body="*"))


class News(Service):
    """Streams what it was asked for."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (FOLLOW, RAW, TICK)

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.sent = 0
        self.last_id = ""

    async def follow(self, request: Any, /) -> AsyncIterator[Any]:
        yield request

    async def raw(self, request: Any, /) -> AsyncIterator[Any]:
        yield request

    async def tick(self, request: StringValue, /) -> AsyncIterator[StringValue]:
        """Send the words of the request; some of them are told to do something else."""
        call = server_call()
        assert call is not None
        self.last_id = call.headers.get("last-event-id")
        try:
            for word in request.value.split():
                if word == "wrong":
                    yield AttributeContext()
                if word == "late":
                    call.reply_headers.set("x-late", "1")
                if word == "odd":
                    call.reply_headers.set("x-odd", "a\x01b")
                if word == "trailer":
                    call.trailers.add("x-sum", "7")
                while word == "flood":
                    yield text("x" * 10_000)
                    self.sent += 1
                if word == "hang":
                    await asyncio.get_running_loop().create_future()
                yield text(word)
        finally:
            self.left.set()


def news(**options: Any) -> tuple[HttpServer, News]:
    server = HttpServer("127.0.0.1:0", **options)
    service = News()
    server.mount(Mount(services=[service]))
    return server, service


def body(words: str) -> bytes:
    return json.dumps(words).encode()


@asynccontextmanager
async def following(server: HttpServer, words: str) -> AsyncGenerator[SocketPeer]:
    """Ask for words on a connection of its own, and leave the answer unread."""
    async with socket_peer(server) as peer:
        data = body(words)
        head = (
            "POST /tick HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n"
        )
        await peer.send(head.encode() + data)
        yield peer


class TestAnswer:
    async def test_messages_are_events_in_the_form_of_go(self, open_peer: OpenPeer) -> None:
        server, _ = news()
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/tick", headers=JSON, body=body("a b"))
        assert answer.status == 200
        assert answer.header("content-type") == "text/event-stream"
        assert answer.header("cache-control") == "no-cache"
        assert answer.header("x-accel-buffering") == "no"
        assert answer.body == b'event: message\ndata: "a"\n\nevent: message\ndata: "b"\n\n'

    async def test_path_and_query_are_bound(self, open_peer: OpenPeer) -> None:
        server, _ = news()
        async with open_peer(server) as peer:
            answer = await peer.request("GET", "/news/here/follow?path=/x")
        data = answer.body.split(b"data: ")[1]
        assert json.loads(data)["host"] == "here"
        assert json.loads(data)["path"] == "/x"

    @pytest.mark.parametrize("accept", ["text/event-stream", "application/proto", "*/*"])
    async def test_messages_are_text_whatever_is_accepted(
        self, accept: str, open_peer: OpenPeer
    ) -> None:
        server, _ = news()
        headers = [*JSON, ("Accept", accept)]
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/tick", headers=headers, body=body("a"))
        assert answer.body == b'event: message\ndata: "a"\n\n'

    async def test_accept_chooses_the_codec(self, open_peer: OpenPeer) -> None:
        server, _ = news()
        headers = [*JSON, ("Accept", "text/event-stream, application/yaml")]
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/tick", headers=headers, body=body("no"))
        assert b'data: "a"' not in answer.body
        assert b"'no'" in answer.body or b'"no"' in answer.body

    async def test_http_bodies_are_sent_as_they_are_line_by_line(self, open_peer: OpenPeer) -> None:
        server, _ = news()
        headers = [("Accept", "text/event-stream")]
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/raw", headers=headers, body=b"one\ntwo")
        assert answer.body == b"event: message\ndata: one\ndata: two\n\n"

    async def test_stream_without_messages_is_an_empty_event_stream(
        self, open_peer: OpenPeer
    ) -> None:
        server, _ = news()
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/tick", headers=JSON, body=body(""))
        assert (answer.status, answer.body) == (200, b"")
        assert answer.header("content-type") == "text/event-stream"

    async def test_connection_serves_on_after_a_stream(self) -> None:
        server, _ = news()
        async with socket_peer(server) as peer:
            for word in ("a", "fail", "b"):
                answer = await peer.request("POST", "/tick", headers=JSON, body=body(word))
                assert word.encode() in answer.body

    async def test_headers_can_be_written_until_the_first_message(
        self, open_peer: OpenPeer
    ) -> None:
        server, _ = news()
        async with open_peer(server) as peer:
            early = await peer.request("POST", "/tick", headers=JSON, body=body("late a"))
            late = await peer.request("POST", "/tick", headers=JSON, body=body("a late"))
        assert early.header("x-late") == "1"
        assert late.header("x-late") == ""
        assert b"event: error" in late.body

    async def test_trailers_follow_the_last_event(self) -> None:
        server, _ = news()
        async with socket_peer(server) as peer:
            answer = await peer.request("POST", "/tick", headers=JSON, body=body("trailer"))
        assert answer.trailers == [("x-sum", "7")]

    async def test_events_carry_ids_and_the_last_one_comes_back(self, open_peer: OpenPeer) -> None:
        def event_id(message: Message) -> str:
            return f"id-{message}".split('"')[1]

        server, service = news(streams=StreamOptions(event_id=event_id))
        headers = [*JSON, ("Last-Event-ID", "41")]
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/tick", headers=headers, body=body("42"))
        assert answer.body == b'event: message\nid: 42\ndata: "42"\n\n'
        assert service.last_id == "41"


class TestErrors:
    async def test_error_before_the_first_message_is_an_ordinary_answer(
        self, open_peer: OpenPeer
    ) -> None:
        server = HttpServer("127.0.0.1:0")
        server.mount(Mount(services=[EchoService()]))
        path = "/kratos.testing/watch"
        async with open_peer(server) as peer:
            answer = await peer.request("POST", path, headers=JSON, body=body("fail"))
        assert answer.status == 409
        assert answer.header("content-type") == "application/json"
        assert answer.json()["reason"] == "BUSY"

    async def test_error_after_a_message_is_an_event_and_the_last_one(
        self, open_peer: OpenPeer
    ) -> None:
        server = HttpServer("127.0.0.1:0")
        server.mount(Mount(services=[EchoService()]))
        path = "/kratos.testing/watch"
        async with open_peer(server) as peer:
            answer = await peer.request("POST", path, headers=JSON, body=body("a fail b"))
        assert answer.status == 200
        first, second, rest = answer.body.split(b"\n\n")
        assert first == b'event: message\ndata: "a"'
        assert second.startswith(b"event: error\ndata: ")
        assert json.loads(second.partition(b"data: ")[2]) == {
            "code": 409,
            "reason": "BUSY",
            "message": "try later",
            "metadata": {"table": "7", "ünï": "cödé"},
        }
        assert rest == b""

    @pytest.mark.parametrize("sent", [b"[", b"7"])
    async def test_body_that_does_not_parse_is_400(self, sent: bytes, open_peer: OpenPeer) -> None:
        server, _ = news()
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/tick", headers=JSON, body=sent)
        assert (answer.status, answer.json()["reason"]) == (400, "CODEC")

    async def test_body_beyond_the_limit_is_413(self, open_peer: OpenPeer) -> None:
        server, _ = news(limits=Limits(max_body=10))
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/tick", headers=JSON, body=body("x" * 20))
        assert (answer.status, answer.json()["reason"]) == (413, "BODY_TOO_LARGE")

    async def test_body_that_is_announced_too_long_is_not_waited_for(self) -> None:
        server, _ = news(limits=Limits(max_body=10))
        async with socket_peer(server) as peer:
            await peer.send(b"POST /tick HTTP/1.1\r\nHost: test\r\nContent-Length: 11\r\n\r\n")
            assert (await peer.answer()).status == 413

    async def test_body_that_comes_too_slowly_is_408(self) -> None:
        server, _ = news(limits=Limits(body_grace=0.05, min_body_rate=1e6))
        async with socket_peer(server) as peer:
            await peer.send(
                b"POST /tick HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
                b'Content-Length: 10\r\n\r\n"'
            )
            answer = await peer.answer()
        assert (answer.status, answer.json()["reason"]) == (408, "REQUEST_TIMEOUT")

    async def test_head_is_no_stream(self, open_peer: OpenPeer) -> None:
        server, _ = news()
        async with open_peer(server) as peer:
            answer = await peer.request("HEAD", "/news/here/follow")
        assert answer.status == 405

    async def test_message_of_another_type_is_an_error_that_tells_nothing(
        self, open_peer: OpenPeer, caplog: pytest.LogCaptureFixture
    ) -> None:
        server, _ = news()
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/tick", headers=JSON, body=body("wrong"))
        assert (answer.status, answer.json()["reason"]) == (500, "UNKNOWN")
        assert "AttributeContext" in caplog.text

    async def test_header_that_cannot_be_sent_is_an_error(
        self, open_peer: OpenPeer, caplog: pytest.LogCaptureFixture
    ) -> None:
        server, _ = news()
        async with open_peer(server) as peer:
            answer = await peer.request("POST", "/tick", headers=JSON, body=body("odd"))
        assert answer.status == 500
        assert "x-odd" in caplog.text


class TestTime:
    async def test_time_limit_of_unary_calls_does_not_end_a_stream(self) -> None:
        streams = StreamOptions(heartbeat=0.02)
        server, _ = news(timeout=0.01, streams=streams)
        async with following(server, "a hang") as peer:
            for _ in range(3):
                assert (await peer.until(b":\n\n")).endswith(b":\n\n")

    async def test_heartbeats_are_comments_from_the_start(self) -> None:
        server, _ = news(streams=StreamOptions(heartbeat=0.01))
        async with following(server, "hang") as peer:
            head = await peer.until(b"\r\n\r\n")
            assert b"200 OK" in head
            assert await peer.until(b":\n\n") == b"3\r\n:\n\n"

    async def test_heartbeat_before_an_error_makes_it_an_event(self) -> None:
        server, _ = news(streams=StreamOptions(heartbeat=0.01, idle_timeout=0.2))
        async with following(server, "hang") as peer:
            answer = await peer.answer()
        assert answer.status == 200
        assert b"event: error" in answer.body

    async def test_idle_stream_ends_with_an_error_of_its_own(self) -> None:
        server, service = news(streams=StreamOptions(idle_timeout=0.05))
        async with following(server, "a hang") as peer:
            answer = await peer.answer()
        assert b'"STREAM_IDLE"' in answer.body
        assert service.left.is_set()

    async def test_time_limit_of_the_operation_ends_it(self) -> None:
        server, _ = news(timeouts={TICK.operation: 0.05})
        async with following(server, "a hang") as peer:
            answer = await peer.answer()
        assert b'"DEADLINE_EXCEEDED"' in answer.body

    @pytest.mark.parametrize(
        "options",
        [{"heartbeat": 0.0}, {"idle_timeout": -1.0}, {"origins": "x"}],
    )
    def test_options_without_sense_are_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(ConfigError, match=next(iter(options))):
            StreamOptions(**options)


class TestLife:
    async def test_peer_that_takes_nothing_holds_the_handler_back(self) -> None:
        server, service = news()
        async with following(server, "flood") as peer:
            seen = -1
            while seen != service.sent or not seen:
                seen = service.sent
                for _ in range(200):
                    await asyncio.sleep(0)
            assert service.sent < 2_000
            await peer.until(b"xxx")
            peer.reset()
            await service.left.wait()

    async def test_peer_that_goes_away_ends_the_handler(self) -> None:
        server, service = news()
        async with following(server, "a hang") as peer:
            await peer.until(b"\n\n\r\n")
            peer.reset()
            await service.left.wait()

    async def test_stop_ends_streams_with_an_error(self) -> None:
        server, service = news()
        async with following(server, "a hang") as peer:
            await peer.until(b"\n\n\r\n")
            stopping = asyncio.ensure_future(server.stop())
            await asyncio.sleep(0)
            assert not service.left.is_set()
            stopping.cancel()
            rest = await peer.rest()
        assert b"event: error" in rest
        assert b'"DRAINING"' in rest
        assert rest.endswith(b"0\r\n\r\n")


class TestClient:
    async def test_path_query_and_replies_of_any_kind_travel(self) -> None:
        server, _ = news()
        asked = AttributeContext.Request(host="a b/c", path="/x", scheme="y")
        raw = HttpBody(data=b"one\ntwo")
        async with client_of(server) as client:
            async with client.server_stream(FOLLOW, asked, None) as replies:
                assert [reply async for reply in replies] == [asked]
            async with client.server_stream(RAW, raw, None) as replies:
                assert [reply.data async for reply in replies] == [b"one\ntwo"]

    async def test_time_limit_of_unary_calls_does_not_end_a_stream(self) -> None:
        server, service = news(streams=StreamOptions(idle_timeout=0.2))
        async with (
            client_of(server, timeout=0.01) as client,
            client.server_stream(TICK, text("a hang"), None) as replies,
        ):
            await replies.__anext__()
            with pytest.raises(Error) as failure:
                await replies.__anext__()
        assert failure.value.reason == "STREAM_IDLE"
        assert service.left.is_set()

    async def test_heartbeats_and_trailers_are_no_messages(self) -> None:
        server, _ = news(streams=StreamOptions(heartbeat=0.01, idle_timeout=0.1))
        async with client_of(server) as client:
            async with client.server_stream(TICK, text("trailer"), None) as replies:
                assert [reply.value async for reply in replies] == ["trailer"]
            assert replies.trailers.get("x-sum") == "7"

    async def test_slow_reader_holds_the_server_back(self) -> None:
        server, service = news()
        async with client_of(server) as client:
            async with client.server_stream(TICK, text("flood"), None) as replies:
                await replies.__anext__()
                seen = -1
                while seen != service.sent:
                    seen = service.sent
                    for _ in range(200):
                        await asyncio.sleep(0)
                assert service.sent < 2_000
            await service.left.wait()

    async def test_connection_lost_midway_is_no_clean_end(self) -> None:
        async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
                b'1a\r\nevent: message\ndata: "a"\n\n\r\n'
            )
            await writer.drain()
            writer.close()

        async with (
            await asyncio.start_server(cut, "127.0.0.1", 0) as fake,
            Client(f"http://127.0.0.1:{fake.sockets[0].getsockname()[1]}") as client,
            client.server_stream(TICK, text("x"), None) as replies,
        ):
            assert (await replies.__anext__()).value == "a"
            with pytest.raises(Error) as failure:
                await replies.__anext__()
        assert (failure.value.code, failure.value.reason) == (503, "UNAVAILABLE")

    @pytest.mark.parametrize(
        ("kind", "fails"),
        [("application/json", True), ("text/event-stream; charset=utf-8", False), ("", False)],
    )
    async def test_answer_that_is_no_event_stream_is_no_empty_one(
        self, kind: str, fails: bool
    ) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            line = f"Content-Type: {kind}\r\n" if kind else ""
            writer.write(f"HTTP/1.1 200 OK\r\n{line}Content-Length: 2\r\n\r\n{{}}".encode())
            writer.close()

        async def follow(client: Client) -> list[str]:
            async with client.server_stream(TICK, text("x"), None) as replies:
                return [reply.value async for reply in replies]

        async with (
            await asyncio.start_server(serve, "127.0.0.1", 0) as fake,
            Client(f"http://127.0.0.1:{fake.sockets[0].getsockname()[1]}") as client,
        ):
            if not fails:
                assert await follow(client) == []
                return
            with pytest.raises(Error, match="no stream of events") as failure:
                await follow(client)
        assert failure.value.code == 500

    async def test_connections_are_given_back(self) -> None:
        server, _ = news()
        transport = HttpConnector(max_connections=1)
        async with client_of(server, transport=transport) as client:
            for _ in range(3):
                async with client.server_stream(TICK, text("a"), None) as replies:
                    assert [reply.value async for reply in replies] == ["a"]
                with pytest.raises(Error):
                    await client.server_stream(TICK, text("wrong"), None).__aenter__()
                opening = client.server_stream(TICK, text("hang"), CallOptions(timeout=0.02))
                with pytest.raises(Error, match="DEADLINE"):
                    await opening.__aenter__()
