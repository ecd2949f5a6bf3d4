"""What the engine makes of the bytes that come in."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kratos.transport.http import Endpoint, Head, Reply
from kratos_http import Limits
from kratos_http.testing import listening

HOST = b"Host: test\r\n"

T = TypeVar("T")


class Echo:
    """Answers with everything it got."""

    def __init__(self, *, max_body: int = 1000) -> None:
        self.max_body = max_body
        self.heads: list[Head] = []

    def route(self, head: Head, /) -> Endpoint:
        self.heads.append(head)
        return self

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        return Reply(200, ((b"content-type", b"text/plain"),), head.path + b"|" + body)


async def exchange(data: bytes, *, limits: Limits | None = None) -> tuple[list[Head], bytes]:
    """Send bytes and return the requests that were understood and all that came back."""
    app = Echo()
    async with listening(app, limits=limits) as opened:
        peer = await opened.connect()
        await peer.send(data)
        answers = await peer.rest()
    return app.heads, answers


async def test_request_arrives_whole() -> None:
    app = Echo()
    async with listening(app) as opened:
        peer = await opened.connect()
        await peer.send(
            b"POST /a%20b?x=1&y HTTP/1.1\r\nHOST: h\r\nX-A: 1 \t\r\nX-A: 2\r\n"
            b"Content-Length: 3\r\n\r\nabc"
        )
        answer = await peer.answer()
    head = app.heads[0]
    assert (head.method, head.path, head.query, head.version) == (
        "POST",
        b"/a%20b",
        b"x=1&y",
        "1.1",
    )
    assert head.headers[:3] == [(b"host", b"h"), (b"x-a", b"1"), (b"x-a", b"2")]
    assert (head.scheme, head.tls) == ("http", False)
    assert head.peer.startswith("127.0.0.1:")
    assert (answer.status, answer.body) == (200, b"/a%20b|abc")


async def test_request_in_single_bytes_arrives_whole() -> None:
    app = Echo()
    async with listening(app) as opened:
        peer = await opened.connect()
        for byte in b"POST /a HTTP/1.1\r\nHost: h\r\nX-Empty:\r\nContent-Length: 2\r\n\r\nab":
            await peer.send(bytes([byte]))
            await asyncio.sleep(0)
        answer = await peer.answer()
    assert app.heads[0].headers[1] == (b"x-empty", b"")
    assert answer.body == b"/a|ab"


async def test_body_in_chunks_is_joined_and_its_trailers_are_dropped() -> None:
    app = Echo()
    async with listening(app) as opened:
        peer = await opened.connect()
        await peer.send(
            b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: Chunked\r\n\r\n"
            b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: evil\r\n\r\n"
            b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n"
        )
        assert (await peer.answer()).body == b"/|abcde"
        assert (await peer.answer()).body == b"/next|"
    assert [head.header(b"x-trailer") for head in app.heads] == [b"", b""]


async def test_pipelined_requests_are_answered_in_order() -> None:
    app = Echo()
    async with listening(app, limits=Limits(max_pipelined=2)) as opened:
        peer = await opened.connect()
        await peer.send(b"".join(b"GET /%d HTTP/1.1\r\n%b\r\n" % (n, HOST) for n in range(50)))
        bodies = [(await peer.answer()).body for _ in range(50)]
    assert bodies == [b"/%d|" % n for n in range(50)]


async def test_pipelined_bodies_wait_without_being_lost() -> None:
    body = b"x" * 50_000
    async with listening(Echo(max_body=60_000)) as opened:
        peer = await opened.connect()
        request = b"POST / HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (HOST, len(body), body)
        sending = asyncio.ensure_future(peer.send(request * 20))
        for _ in range(20):
            assert (await peer.answer()).body == b"/|" + body
        await sending


@pytest.mark.parametrize("target", ["http://other/a?b=1", "http://other:80/a?b=1"])
async def test_absolute_target_is_its_path(target: str) -> None:
    heads, _ = await exchange(
        f"GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode()
    )
    assert (heads[0].path, heads[0].query) == (b"/a", b"b=1")
    # The header names another host, and whoever goes by it would be led astray (RFC 9112 3.2.2).
    assert heads[0].header(b"host") == target.split("/")[2].encode()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("host", ["Host: h\r\n", ""])
async def test_host_of_an_absolute_target_is_the_one_that_counts(version: str, host: str) -> None:
    if version == "1.1" and not host:
        host = "Host:\r\n"  # one is needed all the same
    request = f"GET http://other:80/a HTTP/{version}\r\n{host}Connection: close\r\nX: 1\r\n\r\n"
    heads, _ = await exchange(request.encode())
    assert [value for name, value in heads[0].headers if name == b"host"] == [b"other:80"]


async def test_two_hosts_are_too_many_beside_an_absolute_target_too() -> None:
    request = b"GET http://other/a HTTP/1.1\r\nHost: other\r\nHost: h\r\n\r\n"
    heads, answer = await exchange(request)
    assert not heads
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_asterisk_stays_for_options() -> None:
    heads, _ = await exchange(b"OPTIONS * HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")
    assert heads[0].path == b"*"


async def test_h2c_upgrade_is_ignored_and_its_body_kept() -> None:
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
    async with listening(Echo()) as opened:
        peer = await opened.connect()
        await peer.send(
            b"POST /1 HTTP/1.1\r\n" + HOST + upgrade + b"Content-Length: 3\r\n\r\nabc"
            b"POST /2 HTTP/1.1\r\n"
            + HOST
            + upgrade
            + b"Transfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\n\r\n"
            b"GET /3 HTTP/1.1\r\n" + HOST + upgrade + b"\r\n"
            b"GET /4 HTTP/1.1\r\n" + HOST + b"\r\n"
        )
        bodies = [(await peer.answer()).body for _ in range(4)]
    assert bodies == [b"/1|abc", b"/2|def", b"/3|", b"/4|"]


async def test_flood_of_ignored_upgrades_is_answered_to_the_last() -> None:
    upgrade = b"GET / HTTP/1.1\r\nHost:\r\nConnection:upgrade\r\nUpgrade:x\r\n\r\n"
    _, answers = await exchange(
        upgrade * 1500 + b"GET /last HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n"
    )
    assert answers.count(b"HTTP/1.1 200 OK") == 1501
    assert answers.endswith(b"/last|")


async def test_body_of_an_ignored_upgrade_may_come_later() -> None:
    async with listening(Echo()) as opened:
        peer = await opened.connect()
        await peer.send(
            b"POST /1 HTTP/1.1\r\n"
            + HOST
            + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\n"
        )
        await asyncio.sleep(0)
        await peer.send(b"abcGET /2 HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await peer.answer()).body == b"/1|abc"
        assert (await peer.answer()).body == b"/2|"


@pytest.mark.parametrize(
    "body",
    [b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"],
)
async def test_what_follows_an_ignored_upgrade_that_closes_is_dropped(
    body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    upgrade = b"Connection: upgrade, close\r\nUpgrade: x\r\n"
    last = b"POST /1 HTTP/1.1\r\n" + HOST + upgrade + body
    heads, answers = await exchange(last + b"GET /2 HTTP/1.1\r\n" + HOST + b"\r\n")
    assert [head.path for head in heads] == [b"/1"]
    assert answers.endswith(b"/1|abc")
    assert answers.count(b"HTTP/1.1 ") == 1
    assert not caplog.records


async def test_what_follows_an_ignored_upgrade_of_an_old_version_is_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    upgrade = b"Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 3\r\n\r\nabc"
    heads, answers = await exchange(
        b"POST /1 HTTP/1.0\r\n" + HOST + upgrade + b"GET /2 HTTP/1.1\r\n" + HOST + b"\r\n"
    )
    assert [head.path for head in heads] == [b"/1"]
    assert answers.endswith(b"/1|abc")
    assert not caplog.records


async def test_request_line_beyond_the_limit_is_refused() -> None:
    limits = Limits(max_head=1000)
    _, answers = await exchange(
        b"GET /" + b"a" * 1000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", limits=limits
    )
    assert answers.startswith(b"HTTP/1.1 414 ")


async def test_headers_beyond_the_limit_are_refused() -> None:
    limits = Limits(max_head=1000)
    _, answers = await exchange(b"GET / HTTP/1.1\r\nX: " + b"a" * 1000 + b"\r\n\r\n", limits=limits)
    assert answers.startswith(b"HTTP/1.1 431 ")


async def test_head_that_never_ends_is_refused() -> None:
    async with listening(Echo(), limits=Limits(max_head=1000)) as opened:
        peer = await opened.connect()
        await peer.send(b"GET / HTTP/1.1\r\nX: ")
        answering = asyncio.ensure_future(peer.answer())
        while not answering.done():
            await peer.send(b"a" * 100)
            await asyncio.sleep(0)
        assert (await answering).status == 431


async def test_too_many_headers_are_refused() -> None:
    limits = Limits(max_headers=10)
    _, answers = await exchange(
        b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 10 + b"\r\n", limits=limits
    )
    assert answers.startswith(b"HTTP/1.1 431 ")


async def test_as_many_headers_as_allowed_are_taken() -> None:
    heads, _ = await exchange(
        b"GET / HTTP/1.1\r\nConnection: close\r\n" + HOST + b"X: a\r\n" * 8 + b"\r\n",
        limits=Limits(max_headers=10),
    )
    assert len(heads[0].headers) == 10


async def test_announced_body_beyond_the_limit_is_refused_before_it_comes() -> None:
    async with listening(Echo(max_body=1000)) as opened:
        peer = await opened.connect()
        await peer.send(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1001\r\n\r\n")
        refusal = await peer.answer()
        assert await peer.rest() == b""
    assert (refusal.status, refusal.json()["reason"]) == (413, "BODY_TOO_LARGE")


async def test_body_in_chunks_beyond_the_limit_is_refused() -> None:
    async with listening(Echo(max_body=1000)) as opened:
        peer = await opened.connect()
        await peer.send(
            b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
            b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n"
        )
        assert (await peer.answer()).status == 413


async def test_body_of_the_largest_size_is_taken() -> None:
    async with listening(Echo(max_body=1000)) as opened:
        peer = await opened.connect()
        answer = await peer.request("POST", "/", body=b"x" * 1000)
    assert answer.status == 200


async def test_empty_lines_without_end_are_refused() -> None:
    async with listening(Echo(), limits=Limits(max_head=1000)) as opened:
        peer = await opened.connect()
        answering = asyncio.ensure_future(peer.answer())
        while not answering.done():
            await peer.send(b"\r\n" * 50)
            await asyncio.sleep(0)
        assert (await answering).status == 400


async def test_continue_is_sent_when_the_body_may_come() -> None:
    async with listening(Echo()) as opened:
        peer = await opened.connect()
        await peer.send(
            b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        )
        assert (await peer.answer()).status == 100
        await peer.send(b"abc")
        assert (await peer.answer()).body == b"/|abc"


async def test_continue_is_not_sent_for_a_body_that_is_too_large() -> None:
    async with listening(Echo(max_body=1000)) as opened:
        peer = await opened.connect()
        await peer.send(
            b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n"
        )
        assert (await peer.answer()).status == 413


async def test_continue_waits_for_earlier_answers() -> None:
    async with listening(Echo()) as opened:
        peer = await opened.connect()
        await peer.send(
            b"GET /1 HTTP/1.1\r\n" + HOST + b"\r\n"
            b"GET /2 HTTP/1.1\r\n" + HOST + b"\r\n"
            b"POST /3 HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert [(await peer.answer()).status for _ in range(3)] == [200, 200, 100]
        await peer.send(b"abc")
        assert (await peer.answer()).body == b"/3|abc"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.binary(max_size=300), max_size=4), st.lists(st.integers(1, 40), min_size=1))
def test_requests_are_read_the_same_however_they_are_cut(
    bodies: list[bytes], sizes: list[int]
) -> None:
    async def run() -> list[bytes]:
        data = b"".join(
            b"POST /%d HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (n, HOST, len(body), body)
            for n, body in enumerate(bodies)
        )
        async with listening(Echo()) as opened:
            peer = await opened.connect()
            at = turn = 0
            while at < len(data):
                size = sizes[turn % len(sizes)]
                await peer.send(data[at : at + size])
                await asyncio.sleep(0)
                at, turn = at + size, turn + 1
            return [(await peer.answer()).body for _ in bodies]

    assert asyncio.run(run()) == [b"/%d|%b" % pair for pair in enumerate(bodies)]


if sys.version_info >= (3, 12):

    def at_once(
        loop: asyncio.AbstractEventLoop,
        work: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
        **_options: object,  # uvloop gives more than asyncio's own factory takes before 3.13.3
    ) -> asyncio.Task[T]:
        return asyncio.Task(work, loop=loop, name=name, context=context, eager_start=True)

    async def test_tasks_that_begin_at_once_answer_each_request_of_a_connection() -> None:
        asyncio.get_running_loop().set_task_factory(at_once)
        async with listening(Echo()) as opened:
            peer = await opened.connect()
            for n in range(3):
                await peer.send(b"GET /%d HTTP/1.1\r\n%b\r\n" % (n, HOST))
                assert (await peer.answer()).body == b"/%d|" % n
            many = b"".join(b"GET /%d HTTP/1.1\r\n%b\r\n" % (n, HOST) for n in range(50))
            await peer.send(many)
            for n in range(50):
                assert (await peer.answer()).body == b"/%d|" % n
