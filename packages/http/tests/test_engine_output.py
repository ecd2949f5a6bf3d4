"""What the engine sends, and when it closes."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable

import pytest

from kratos.transport.http import Endpoint, Head, Reply, WireHeaders
from kratos_http._connection import ServerConnection
from kratos_http.testing import eventually, listening

PLAIN = ((b"content-type", b"text/plain"),)
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class Answers:
    """Answers each request by a function."""

    max_body = 1000

    def __init__(self, answer: Callable[[Head, bytes], Awaitable[Reply]]) -> None:
        self._answer = answer

    def route(self, head: Head, /) -> Endpoint:
        return self

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        return await self._answer(head, body)


def always(reply: Reply) -> Answers:
    async def answer(_head: Head, _body: bytes) -> Reply:
        return reply

    return Answers(answer)


async def test_answer_has_date_length_and_type() -> None:
    async with listening(always(Reply(200, PLAIN, b"hello"))) as opened:
        peer = await opened.connect()
        answer = await peer.request("GET", "/")
    assert answer.body == b"hello"
    assert answer.header("content-length") == "5"
    assert answer.header("content-type") == "text/plain"
    assert answer.header("date").endswith(" GMT")
    assert answer.header("connection") == ""


async def test_connection_is_kept_for_the_next_request() -> None:
    async with listening(always(Reply(200))) as opened:
        peer = await opened.connect()
        for _ in range(3):
            assert (await peer.request("GET", "/")).status == 200
        assert len(opened.engine.connections) == 1


async def test_connection_is_closed_when_the_peer_wants_it() -> None:
    async with listening(always(Reply(200))) as opened:
        peer = await opened.connect()
        answer = await peer.request("GET", "/", headers=[("Connection", "close")])
        assert await peer.rest() == b""
    assert answer.header("connection") == "close"


async def test_http_1_0_is_answered_once() -> None:
    async with listening(always(Reply(200, (), b"x"))) as opened:
        peer = await opened.connect()
        await peer.send(b"GET / HTTP/1.0\r\n\r\n")
        answer = await peer.answer()
        assert await peer.rest() == b""
    assert answer.header("connection") == "close"


async def test_http_1_0_may_keep_its_connection() -> None:
    async with listening(always(Reply(200, (), b"x"))) as opened:
        peer = await opened.connect()
        for _ in range(2):
            await peer.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert (await peer.answer()).header("connection") == "keep-alive"


async def test_nothing_after_a_closing_request_is_read() -> None:
    heads: list[Head] = []

    async def answer(head: Head, _body: bytes) -> Reply:
        heads.append(head)
        return Reply(200)

    async with listening(Answers(answer)) as opened:
        peer = await opened.connect()
        await peer.send(b"GET /1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + GET)
        assert (await peer.answer()).status == 200
        assert await peer.rest() == b""
    assert [head.path for head in heads] == [b"/1"]


async def test_head_is_answered_with_the_length_alone() -> None:
    async with listening(always(Reply(200, PLAIN, b"hello"))) as opened:
        peer = await opened.connect()
        answer = await peer.request("HEAD", "/")
        assert (answer.header("content-length"), answer.body) == ("5", b"")
        assert (await peer.request("GET", "/")).body == b"hello"


@pytest.mark.parametrize("status", [204, 304])
async def test_status_without_body_has_none(status: int) -> None:
    async with listening(always(Reply(status, (), b"dropped"))) as opened:
        peer = await opened.connect()
        for method in ("GET", "HEAD"):
            answer = await peer.request(method, "/")
            assert (answer.status, answer.header("content-length")) == (status, "")


async def test_status_without_a_name_is_sent() -> None:
    async with listening(always(Reply(499, (), b"x"))) as opened:
        peer = await opened.connect()
        await peer.send(GET)
        answer = await peer.answer()
    assert (answer.status, answer.body) == (499, b"x")


async def test_trailers_follow_the_body() -> None:
    reply = Reply(200, PLAIN, b"hello", ((b"x-sum", b"1"), (b"x-sum", b"2")))
    async with listening(always(reply)) as opened:
        peer = await opened.connect()
        answer = await peer.request("GET", "/")
        assert (await peer.request("GET", "/")).status == 200
    assert answer.body == b"hello"
    assert answer.trailers == [("x-sum", "1"), ("x-sum", "2")]


async def test_large_body_arrives_whole() -> None:
    body = bytes(range(256)) * 20_000
    async with listening(always(Reply(200, PLAIN, body))) as opened:
        peer = await opened.connect()
        assert (await peer.request("GET", "/")).body == body
        assert (await peer.request("GET", "/")).body == body


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(((b"x-a", b"1\r\nset-cookie: evil"),), id="line break"),
        pytest.param(((b"x-a", b"1\nset-cookie: evil"),), id="line feed"),
        pytest.param(((b"x-a", b"1\0"),), id="zero"),
        pytest.param(((b"x a", b"1"),), id="blank in a name"),
        pytest.param(((b"x:a\r\nb", b"1"), (b"y", b"2")), id="line break in a name"),
        pytest.param(((b"", b"1"),), id="no name"),
    ],
)
async def test_header_that_could_begin_another_is_not_sent(
    headers: WireHeaders, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(always(Reply(200, headers, b"x"))) as opened:
        peer = await opened.connect()
        for _ in range(2):
            answer = await peer.request("GET", "/")
            assert answer.status == 500
            assert answer.header("set-cookie") == ""
    assert "could not be sent" in caplog.text


async def test_headers_of_the_framing_are_the_engines_own() -> None:
    headers = (
        (b"Content-Length", b"100"),
        (b"transfer-encoding", b"chunked"),
        (b"connection", b"close"),
        (b"date", b"today"),
        (b"x-kept", b"1"),
    )
    async with listening(always(Reply(200, headers, b"abc"))) as opened:
        peer = await opened.connect()
        answer = await peer.request("GET", "/")
        assert (await peer.request("GET", "/")).body == b"abc"
    assert sorted(name for name, _ in answer.headers) == ["content-length", "date", "x-kept"]


async def test_failing_endpoint_is_answered_500_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def answer(_head: Head, _body: bytes) -> Reply:
        raise RuntimeError("an inner secret")

    async with listening(Answers(answer)) as opened:
        peer = await opened.connect()
        refused = await peer.request("GET", "/")
        assert (await peer.request("GET", "/")).status == 500
    assert refused.json() == {
        "code": 500,
        "reason": "UNKNOWN",
        "message": "unknown request error",
        "metadata": {},
    }
    assert "an inner secret" in caplog.text


async def test_failing_route_is_answered_500(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def route(self, head: Head, /) -> Endpoint:
            raise RuntimeError("an inner secret")

    async with listening(Broken()) as opened:
        peer = await opened.connect()
        assert (await peer.request("GET", "/")).status == 500
        assert await peer.rest() == b""
    assert "an inner secret" in caplog.text


async def test_each_request_has_a_context_of_its_own() -> None:
    from contextvars import ContextVar

    color: ContextVar[str] = ContextVar("color", default="none")
    seen: list[str] = []

    async def answer(_head: Head, _body: bytes) -> Reply:
        seen.append(color.get())
        color.set("red")
        await asyncio.sleep(0)
        return Reply(200)

    async with listening(Answers(answer)) as opened:
        peer = await opened.connect()
        await peer.send(GET * 40)
        for _ in range(40):
            await peer.answer()
        await peer.request("GET", "/")
    assert set(seen) == {"none"}


async def test_peer_that_goes_away_cancels_its_request() -> None:
    entered, left = asyncio.Event(), asyncio.Event()

    async def answer(_head: Head, _body: bytes) -> Reply:
        entered.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            left.set()
        return Reply(200)

    async with listening(Answers(answer)) as opened:
        peer = await opened.connect()
        await peer.send(GET)
        await entered.wait()
        peer.reset()
        await left.wait()
        await opened.engine.drain()
        assert not opened.engine.connections


async def test_peer_that_goes_away_before_its_request_runs_leaves_nothing_behind() -> None:
    calls = 0

    async def answer(_head: Head, _body: bytes) -> Reply:
        nonlocal calls
        calls += 1
        return Reply(200)

    async with listening(Answers(answer)) as opened:
        protocol = ServerConnection(opened.engine)
        transport = _DeadTransport()
        protocol.connection_made(transport)
        protocol.data_received(GET)
        protocol.connection_lost(None)
        await opened.engine.drain()
        assert calls == 0


async def test_peer_that_has_gone_before_it_is_told_of_the_end_is_cut_off() -> None:
    async with listening(always(Reply(200))) as opened:
        protocol = ServerConnection(opened.engine)
        transport = _GoneTransport()
        protocol.connection_made(transport)
        protocol.data_received(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\n1")
        assert transport.aborted
        protocol.connection_lost(None)


async def test_queued_requests_of_a_lost_peer_are_dropped() -> None:
    entered = asyncio.Event()
    paths: list[bytes] = []

    async def answer(head: Head, _body: bytes) -> Reply:
        paths.append(head.path)
        entered.set()
        await asyncio.get_running_loop().create_future()
        return Reply(200)

    async with listening(Answers(answer)) as opened:
        peer = await opened.connect()
        await peer.send(GET + GET.replace(b" / ", b" /2 "))
        await entered.wait()
        peer.reset()
        await opened.engine.drain()
    assert paths == [b"/"]


async def test_slow_peer_holds_its_next_request_back() -> None:
    body = b"x" * 1_000_000
    answered = 0

    async def answer(_head: Head, _body: bytes) -> Reply:
        nonlocal answered
        answered += 1
        return Reply(200, PLAIN, body)

    async with listening(Answers(answer)) as opened:
        peer = await opened.connect()
        await peer.send(GET * 30)
        connection = await opened.connection()
        await eventually(lambda: not connection.writable)
        before = answered
        for _ in range(100):
            await asyncio.sleep(0)
        assert answered == before < 30
        for _ in range(30):
            assert len((await peer.answer()).body) == len(body)


class _DeadTransport(asyncio.Transport):
    """Takes everything and does nothing."""

    def write(self, data: object) -> None:
        logging.getLogger(__name__).debug("dropped %r", data)

    def abort(self) -> None:
        logging.getLogger(__name__).debug("aborted")


class _GoneTransport(_DeadTransport):
    """Finds its peer gone when it is to end the stream."""

    aborted = False

    def abort(self) -> None:
        self.aborted = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        raise OSError(errno.ENOTCONN, "not connected")

    def get_write_buffer_size(self) -> int:
        return 0
