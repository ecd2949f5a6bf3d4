"""What the engine makes of requests over HTTP/2, and what it answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import ContextVar

import pytest

from kratos.errors import ConfigError
from kratos.transport.http import Endpoint, Head, Memo, Reply, WireHeaders
from kratos_http import HttpServer, Limits
from kratos_http.testing import Answer, SocketPeer, eventually, listening
from kratos_http2 import ErrorCode, Settings

PLAIN = ((b"content-type", b"text/plain"),)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"

Pairs = Sequence[tuple[str, str]]


class Answers:
    """Answers each request by a function."""

    max_body = 1000

    def __init__(self, answer: Callable[[Head, bytes], Awaitable[Reply]]) -> None:
        self._answer = answer
        self.heads: list[Head] = []
        self.memos: list[Memo | None] = []

    def route(self, head: Head, /) -> Endpoint:
        self.heads.append(head)
        self.memos.append(head.memo)
        return self

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        return await self._answer(head, body)


def always(reply: Reply) -> Answers:
    async def answer(_head: Head, _body: bytes) -> Reply:
        return reply

    return Answers(answer)


def echoing() -> Answers:
    async def answer(head: Head, body: bytes) -> Reply:
        return Reply(200, PLAIN, head.path + b"|" + body)

    return Answers(answer)


async def exchange(
    *,
    method: str = "GET",
    path: str = "/",
    authority: str | None = "test",
    scheme: str = "http",
    headers: Pairs = (),
    limits: Limits | None = None,
) -> tuple[Head | None, Answer]:
    """Send one request and return what was understood, and the answer."""
    app = echoing()
    pseudo = [(":method", method), (":scheme", scheme)]
    pseudo += [(":authority", authority)] if authority is not None else []
    pseudo += [(":path", path)] if path else []
    async with listening(app, limits=limits) as opened:
        peer = await opened.connect_http2()
        request = peer.begin(method, path, headers=headers, pseudo=pseudo, end=True)
        answer = await request.answer()
    return (app.heads[0] if app.heads else None), answer


async def test_request_arrives_whole() -> None:
    app = echoing()
    async with listening(app) as opened:
        peer = await opened.connect_http2()
        answer = await peer.request("POST", "/a%20b?c=d", headers=[("x-a", "1")], body=b"hello")
    assert (answer.status, answer.body) == (200, b"/a%20b|hello")
    (head,) = app.heads
    assert (head.method, head.path, head.query) == ("POST", b"/a%20b", b"c=d")
    assert (head.version, head.scheme, head.tls) == ("2", "http", False)
    assert head.peer.startswith("127.0.0.1:")
    assert head.headers == [(b"host", b"test"), (b"x-a", b"1"), (b"content-length", b"5")]


async def test_answer_has_date_length_and_type() -> None:
    async with listening(always(Reply(200, PLAIN, b"hello"))) as opened:
        answer = await (await opened.connect_http2()).request("GET", "/")
    assert answer.body == b"hello"
    assert answer.header("content-length") == "5"
    assert answer.header("content-type") == "text/plain"
    assert answer.header("date").endswith(" GMT")


async def test_preface_may_come_in_single_bytes() -> None:
    async with listening(echoing()) as opened:
        peer = await opened.connect()
        for byte in PREFACE + SETTINGS:
            await peer.send(bytes((byte,)))
            await asyncio.sleep(0)
        assert (await peer.exactly(9))[3] == 4  # SETTINGS


@pytest.mark.parametrize("cut", [1, 3, 4, 10, 23])
async def test_method_that_begins_like_the_preface_is_one_of_http_1(cut: int) -> None:
    async with listening(echoing()) as opened:
        peer = await opened.connect()
        data = b"PROPFIND / HTTP/1.1\r\nHost: h\r\n\r\n"
        await peer.send(data[:cut])
        await eventually(lambda: opened.engine.connections)
        await peer.send(data[cut:])
        assert (await peer.answer()).status == 200


async def test_preface_that_goes_wrong_is_answered_400() -> None:
    async with listening(echoing()) as opened:
        peer = await opened.connect()
        await peer.send(PREFACE[:-4])
        await asyncio.sleep(0)
        await peer.send(b"oops")
        assert (await peer.answer()).status == 400


async def test_preface_that_is_never_completed_is_given_up_in_time() -> None:
    async with listening(echoing()) as opened:
        peer = await opened.connect()
        await peer.send(PREFACE[:5])
        connection = await opened.connection()
        await eventually(lambda: not connection.is_idle)
        opened.engine.sweep(asyncio.get_running_loop().time() + 12)
        assert (await peer.answer()).status == 408


async def test_both_versions_are_served_on_one_port() -> None:
    async with listening(echoing()) as opened:
        new, old = await opened.connect_http2(), await opened.connect()
        answers = await asyncio.gather(new.request("GET", "/a"), old.request("GET", "/b"))
        assert [answer.body for answer in answers] == [b"/a|", b"/b|"]


async def test_http2_may_be_switched_off() -> None:
    async with listening(echoing(), versions=["1.1"]) as opened:
        peer = await opened.connect()
        await peer.send(PREFACE)
        assert (await peer.answer()).status in (400, 505)


async def test_http2_may_be_served_alone() -> None:
    async with listening(echoing(), versions=["2"]) as opened:
        assert (await (await opened.connect_http2()).request("GET", "/")).status == 200
        old = await opened.connect()
        await old.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert b"this is no preface of HTTP/2" in await old.rest()


@pytest.mark.parametrize("versions", [(), ("3",), "2", ("2", "1.0")])
def test_versions_that_are_none_are_refused(versions: Sequence[str]) -> None:
    with pytest.raises(ConfigError, match=r"2, 1\.1"):
        HttpServer(versions=versions)


class TestHeads:
    async def test_cookies_are_joined(self) -> None:
        head, _ = await exchange(headers=[("cookie", "a=1"), ("x-b", "2"), ("cookie", "c=3")])
        assert head is not None
        assert head.header(b"cookie") == b"a=1; c=3"
        assert sum(name == b"cookie" for name, _ in head.headers) == 1

    async def test_host_stands_in_for_authority(self) -> None:
        head, _ = await exchange(authority=None, headers=[("host", "shop:80")])
        assert head is not None
        assert head.headers == [(b"host", b"shop:80")]

    async def test_host_that_says_the_same_is_dropped(self) -> None:
        head, _ = await exchange(authority="shop", headers=[("host", "shop")])
        assert head is not None
        assert head.headers == [(b"host", b"shop")]

    @pytest.mark.parametrize(
        ("authority", "headers"),
        [
            ("shop", [("host", "other")]),
            (None, []),
            (None, [("host", "a"), ("host", "b")]),
            ("user@shop", []),
            ("sh op", []),
            ("a:1,b:2", []),
            ("a:1,b@c:2", [("content-type", "application/grpc")]),
        ],
    )
    async def test_ambiguous_host_is_refused(self, authority: str | None, headers: Pairs) -> None:
        head, answer = await exchange(authority=authority, headers=headers)
        assert (head, answer.status) == (None, 400)

    async def test_client_of_grpc_may_name_all_servers_that_it_chooses_from(self) -> None:
        headers = [("content-type", "application/grpc+proto")]
        head, _ = await exchange(authority="127.0.0.1:1,[::1]:2", headers=headers)
        assert head is not None
        assert head.header(b"host") == b"127.0.0.1:1,[::1]:2"

    async def test_asterisk_stays_for_options(self) -> None:
        head, _ = await exchange(method="OPTIONS", path="*")
        assert head is not None
        assert head.path == b"*"

    @pytest.mark.parametrize("path", ["*", "x", "http://test/x", "/a#b", "/a\tb", "/a\x7fb"])
    async def test_path_that_is_none_is_refused(self, path: str) -> None:
        head, answer = await exchange(path=path)
        assert (head, answer.status) == (None, 400)

    @pytest.mark.parametrize("scheme", ["ftp", "HTTP "[:4]])
    async def test_scheme_that_is_none_of_http_is_refused(self, scheme: str) -> None:
        head, answer = await exchange(scheme=scheme)
        assert (head, answer.status) == (None, 400)

    async def test_scheme_is_that_of_the_connection(self) -> None:
        head, _ = await exchange(scheme="https")
        assert head is not None
        assert (head.scheme, head.tls) == ("http", False)

    async def test_method_in_lower_case_is_refused(self) -> None:
        head, answer = await exchange(method="get")
        assert (head, answer.status) == (None, 400)

    async def test_connect_is_not_served(self) -> None:
        async with listening(echoing()) as opened:
            peer = await opened.connect_http2()
            pseudo = [(":method", "CONNECT"), (":authority", "test:80")]
            assert (await peer.begin("CONNECT", "", pseudo=pseudo).answer()).status == 501

    @pytest.mark.parametrize(
        ("name", "value"),
        [("transfer-encoding", "chunked"), ("connection", "x"), ("te", "gzip"), ("X-Upper", "1")],
    )
    async def test_headers_of_http_1_reset_their_stream_alone(self, name: str, value: str) -> None:
        from kratos_http2 import encode_fields

        async with listening(echoing()) as opened:
            peer = await opened.connect_http2()
            fields = [
                (b":method", b"GET"),
                (b":scheme", b"http"),
                (b":authority", b"test"),
                (b":path", b"/"),
                (name.encode(), value.encode()),
            ]
            request = peer.begin("GET", "/", end=True)
            bad = peer.h2.request(encode_fields(fields), end=True, owner=request)
            request.stream = bad
            assert await request.broken() == ErrorCode.PROTOCOL_ERROR
            assert (await peer.request("GET", "/")).status == 200

    async def test_too_many_headers_are_refused(self) -> None:
        headers = [(f"x-{number}", "1") for number in range(4)]
        head, answer = await exchange(headers=headers, limits=Limits(max_headers=3))
        assert (head, answer.status) == (None, 431)

    async def test_head_beyond_the_limit_is_refused_and_the_connection_goes_on(self) -> None:
        async with listening(echoing(), limits=Limits(max_head=1000)) as opened:
            peer = await opened.connect_http2()
            assert (await peer.request("GET", "/", headers=[("x", "y" * 1000)])).status == 431
            assert (await peer.request("GET", "/" + "x" * 1000)).status == 414
            assert (await peer.request("GET", "/")).status == 200

    async def test_heads_of_the_same_bytes_share_their_memo_and_nothing_else(self) -> None:
        app = echoing()
        async with listening(app) as opened:
            peer = await opened.connect_http2()
            for path in ("/a", "/a", "/b"):
                await peer.request("GET", path)
        first, second, third = app.heads
        assert app.memos[0] is app.memos[1]
        assert app.memos[0] is not app.memos[2]
        assert first.headers == second.headers == third.headers
        assert first.headers is not second.headers


class TestBodies:
    async def test_trailers_of_a_request_end_it(self) -> None:
        from kratos_http2 import encode_fields

        async with listening(echoing()) as opened:
            peer = await opened.connect_http2()
            request = peer.begin("POST", "/")
            await request.send(b"ab")
            assert request.stream is not None
            peer.h2.send_trailers(request.stream, encode_fields([(b"x-sum", b"1")]))
            assert (await request.answer()).body == b"/|ab"

    async def test_body_in_pieces_is_joined(self) -> None:
        async with listening(echoing()) as opened:
            peer = await opened.connect_http2()
            request = peer.begin("POST", "/")
            for piece in (b"a", b"b", b"", b"c"):
                await request.send(piece)
            await request.send(b"", end=True)
            assert (await request.answer()).body == b"/|abc"

    async def test_body_of_the_largest_size_is_taken(self) -> None:
        async with listening(echoing()) as opened:
            answer = await (await opened.connect_http2()).request("POST", "/", body=b"x" * 1000)
            assert len(answer.body) == 1002

    async def test_announced_body_beyond_the_limit_is_refused_before_it_comes(self) -> None:
        async with listening(echoing(), limits=Limits(linger=0.01)) as opened:
            peer = await opened.connect_http2()
            request = peer.begin("POST", "/", headers=[("content-length", "1001")])
            assert (await request.answer()).status == 413
            assert await request.broken() == ErrorCode.NO_ERROR
            assert (await peer.request("GET", "/")).status == 200

    async def test_body_beyond_the_limit_is_refused_when_it_is_there(self) -> None:
        async with listening(echoing(), limits=Limits(linger=0.01)) as opened:
            peer = await opened.connect_http2()
            request = peer.begin("POST", "/")
            await request.send(b"x" * 1000)
            await request.send(b"x")
            assert (await request.answer()).status == 413
            assert await request.broken() == ErrorCode.NO_ERROR
            assert (await peer.request("GET", "/")).status == 200

    async def test_endpoint_words_the_refusal_of_a_large_body(self) -> None:
        app = echoing()
        app.overflow = lambda _head, error: Reply(200, (), error.reason.encode())  # type: ignore[attr-defined]
        async with listening(app) as opened:
            peer = await opened.connect_http2()
            assert (await peer.request("POST", "/", body=b"x" * 1001)).body == b"BODY_TOO_LARGE"

    async def test_continue_is_sent_when_the_body_may_come(self) -> None:
        async with listening(echoing()) as opened:
            peer = await opened.connect_http2()
            request = peer.begin("POST", "/", headers=[("expect", "100-continue")])
            await eventually(lambda: request.interim == [100])
            await request.send(b"x", end=True)
            assert (await request.answer()).body == b"/|x"

    async def test_continue_is_not_sent_for_a_body_that_is_too_large(self) -> None:
        async with listening(echoing()) as opened:
            peer = await opened.connect_http2()
            headers = [("expect", "100-continue"), ("content-length", "5000")]
            request = peer.begin("POST", "/", headers=headers)
            assert (await request.answer()).status == 413
            assert request.interim == []

    async def test_other_expectations_fail(self) -> None:
        _, answer = await exchange(headers=[("expect", "miracles")])
        assert answer.status == 417


class TestAnswers:
    async def test_head_is_answered_with_the_length_alone(self) -> None:
        async with listening(always(Reply(200, PLAIN, b"hello"))) as opened:
            answer = await (await opened.connect_http2()).request("HEAD", "/")
        assert (answer.body, answer.header("content-length")) == (b"", "5")

    @pytest.mark.parametrize("status", [204, 304])
    async def test_status_without_body_has_none(self, status: int) -> None:
        async with listening(always(Reply(status, (), b"dropped"))) as opened:
            answer = await (await opened.connect_http2()).request("GET", "/")
        assert (answer.status, answer.body) == (status, b"")
        assert answer.header("content-length") == ""

    @pytest.mark.parametrize("body", [b"", b"hello"])
    async def test_trailers_follow_the_body(self, body: bytes) -> None:
        reply = Reply(200, PLAIN, body, ((b"X-Sum", b"7"),))
        async with listening(always(reply)) as opened:
            answer = await (await opened.connect_http2()).request("GET", "/")
        assert (answer.body, list(answer.trailers)) == (body, [("x-sum", "7")])
        assert answer.header("content-length") == ""

    async def test_large_body_arrives_whole_through_small_windows(self) -> None:
        body = bytes(range(256)) * 4096
        async with listening(always(Reply(200, PLAIN, body))) as opened:
            peer = await opened.connect_http2(Settings(stream_window=1000))
            assert (await peer.request("GET", "/")).body == body

    @pytest.mark.parametrize(
        "headers",
        [((b"x", b"a\r\nb: c"),), ((b"bad name", b"1"),), ((b"x", b"\x00"),), ((b"", b"1"),)],
    )
    async def test_header_that_cannot_be_sent_is_500(
        self, headers: WireHeaders, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with listening(always(Reply(200, headers, b"x"))) as opened:
            answer = await (await opened.connect_http2()).request("GET", "/")
        assert answer.status == 500
        assert "could not be sent" in caplog.text

    async def test_names_are_lower_case_and_those_of_the_connection_left_out(self) -> None:
        headers = ((b"X-Name", b" v "), (b"Connection", b"close"), (b"transfer-encoding", b"x"))
        async with listening(always(Reply(200, headers, b"x"))) as opened:
            answer = await (await opened.connect_http2()).request("GET", "/")
        assert [name for name, _ in answer.headers] == ["date", "x-name", "content-length"]
        assert answer.header("x-name") == "v"

    async def test_failing_endpoint_is_answered_500_without_its_text(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def answer(_head: Head, _body: bytes) -> Reply:
            raise LookupError("secret")

        with caplog.at_level(logging.ERROR):
            async with listening(Answers(answer)) as opened:
                got = await (await opened.connect_http2()).request("GET", "/")
        assert got.status == 500
        assert b"secret" not in got.body
        assert "secret" in caplog.text

    async def test_failing_route_is_answered_500(self, caplog: pytest.LogCaptureFixture) -> None:
        class Broken:
            def route(self, head: Head, /) -> Endpoint:
                raise LookupError("secret")

        async with listening(Broken()) as opened:
            peer = await opened.connect_http2()
            assert (await peer.request("GET", "/")).status == 500
        assert "secret" in caplog.text

    async def test_each_request_has_a_context_of_its_own(self) -> None:
        variable: ContextVar[str] = ContextVar("variable", default="")
        seen: list[str] = []

        async def answer(_head: Head, _body: bytes) -> Reply:
            seen.append(variable.get())
            variable.set("left behind")
            return Reply(200)

        async with listening(Answers(answer)) as opened:
            peer = await opened.connect_http2()
            for _ in range(3):
                await peer.request("GET", "/")
        assert seen == ["", "", ""]

    async def test_answers_come_in_the_order_in_which_they_are_ready(self) -> None:
        first = asyncio.Event()

        async def answer(head: Head, _body: bytes) -> Reply:
            if head.path == b"/late":
                await first.wait()
            return Reply(200, (), head.path)

        async with listening(Answers(answer)) as opened:
            peer = await opened.connect_http2()
            late = peer.begin("GET", "/late", end=True)
            assert (await peer.request("GET", "/soon")).body == b"/soon"
            assert late.status == 0
            first.set()
            assert (await late.answer()).body == b"/late"

    async def test_answers_of_one_turn_are_one_write(self) -> None:
        async with listening(always(Reply(200, PLAIN, b"x"))) as opened:
            peer = await opened.connect_http2()
            await peer.request("GET", "/")
            writes = _count_writes(opened.engine.connections)
            requests = [peer.begin("GET", "/", end=True) for _ in range(32)]
            for request in requests:
                await request.answer()
            assert len(writes) <= 2


def _count_writes(connections: Iterable[object]) -> list[int]:
    (connection,) = connections
    writes: list[int] = []
    transport: asyncio.Transport = connection._transport  # type: ignore[attr-defined]

    class Counting:
        def __getattr__(self, name: str) -> object:
            return getattr(transport, name)

        def write(self, data: bytes) -> None:
            writes.append(len(data))
            transport.write(data)

    connection._transport = Counting()  # type: ignore[attr-defined]
    return writes


async def test_socket_peer_of_a_silent_connection_is_closed_in_time() -> None:
    async with listening(echoing()) as opened:
        peer: SocketPeer = await opened.connect()
        await opened.connection()
        opened.engine.sweep(asyncio.get_running_loop().time() + 32)
        assert await peer.rest() == b""
