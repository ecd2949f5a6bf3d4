"""Requests through the proxy, on real sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kratos.errors import ConfigError
from kratos.transport.http import Head, Wire
from kratos_gateway.testing import backend, proxied, say, scripted


def to(address: str, path: str = "/*", **more: Any) -> dict[str, Any]:
    """Return an endpoint with one back end."""
    given = {"path": path, "protocol": "HTTP", "timeout": "5s", "backends": [{"target": address}]}
    return {**given, **more}


async def echo(head: Head, wire: Wire) -> None:
    """Answer the body of the request."""
    pieces: list[bytes] = []
    while piece := await wire.read():
        pieces.append(piece)
    body = b"".join(pieces)
    seen = head.header(b"x-in")
    wire.start(200, [(b"content-length", b"%d" % len(body)), (b"x-out", seen or b"none")])
    await wire.write(body)
    await wire.finish()


@pytest.mark.parametrize("version", ["1.1", "2"])
async def test_a_request_reaches_the_back_end_and_its_answer_the_client(version: str) -> None:
    async with backend(echo) as node, proxied(to(node.address, "/api/*")) as gateway:
        peer = await (gateway.connect() if version == "1.1" else gateway.connect_http2())
        answer = await peer.request(
            "POST", "/api/a//b/../c%20d?q=1%202", headers=[("X-In", "told")], body=b"hello"
        )
        assert (answer.status, answer.body, answer.header("x-out")) == (200, b"hello", "told")
        head = node.heads[0]
        assert (head.method, head.path, head.query) == ("POST", b"/api/a/c%20d", b"q=1%202")
        assert node.header("host") == "test"
        assert node.header("x-forwarded-for") == "127.0.0.1"


async def test_connections_to_the_back_end_are_used_again() -> None:
    async with backend(echo) as node, proxied(to(node.address)) as gateway:
        peer = await gateway.connect()
        for size in (0, 1, 100_000):
            assert len((await peer.request("PUT", "/x", body=b"x" * size)).body) == size
        assert len({head.peer for head in node.heads}) == 1


@pytest.mark.parametrize(
    ("method", "target", "status", "body"),
    [
        ("GET", "/nowhere", 404, b"404 page not found\n"),
        ("GET", "/only/post", 405, b"Method Not Allowed\n"),
        ("GET", "/a%zz", 400, b"Bad Request\n"),
    ],
)
async def test_what_leads_nowhere_is_answered_as_in_go(
    method: str, target: str, status: int, body: bytes
) -> None:
    async with proxied(to("127.0.0.1:1", "/only/post", method="POST")) as gateway:
        peer = await gateway.connect()
        answer = await peer.request(method, target)
        assert (answer.status, answer.body) == (status, body)
        assert answer.header("content-type") == "text/plain; charset=utf-8"
        assert answer.header("x-content-type-options") == "nosniff"


async def test_an_asterisk_asks_the_gateway_itself_and_no_endpoint() -> None:
    async with proxied(to("127.0.0.1:1", "/*")) as gateway:
        peer = await gateway.connect()
        answer = await peer.request("OPTIONS", "*")
        assert (answer.status, answer.body) == (200, b"")


async def test_a_log_holds_no_more_of_a_path_than_its_beginning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with proxied({"path": "/a", "backends": [{"target": "127.0.0.1:1"}]}) as gateway:
        peer = await gateway.connect()
        assert (await peer.request("GET", f"/{'x' * 50_000}")).status == 404
    (record,) = [each for each in caplog.records if each.name == "kratos.gateway.accesslog"]
    assert len(record.getMessage()) < 2000


async def test_a_slash_at_the_end_is_redirected_where_that_is_asked_for() -> None:
    async with proxied(to("127.0.0.1:1", "/a/b"), strict_slash=True) as gateway:
        peer = await gateway.connect()
        answer = await peer.request("GET", "/a/b/?x=1")
        assert (answer.status, answer.header("location")) == (301, "/a/b?x=1")


async def test_a_head_request_tells_the_length_that_the_back_end_tells() -> None:
    async def script(_head: Head, wire: Wire) -> None:
        wire.start(200, [(b"content-length", b"12345")])
        await wire.finish()

    async with backend(script) as node, proxied(to(node.address)) as gateway:
        peer = await gateway.connect()
        for _ in range(2):  # the connection stays usable, on both sides
            answer = await peer.request("HEAD", "/")
            assert (answer.status, answer.header("content-length")) == (200, "12345")
        assert len({head.peer for head in node.heads}) == 1


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body_leave_the_connection_usable(status: int) -> None:
    async def script(_head: Head, wire: Wire) -> None:
        wire.start(status, [(b"etag", b'"1"')])
        await wire.finish()

    async with backend(script) as node, proxied(to(node.address)) as gateway:
        peer = await gateway.connect()
        for _ in range(2):
            answer = await peer.request("GET", "/")
            assert (answer.status, answer.header("etag")) == (status, '"1"')
        assert len({head.peer for head in node.heads}) == 1


async def test_headers_of_one_hop_are_dropped_on_the_way_there() -> None:
    async with backend(echo) as node, proxied(to(node.address)) as gateway:
        peer = await gateway.connect()
        await peer.send(
            b"GET / HTTP/1.1\r\nHost: test\r\nConnection: keep-alive, X-Secret\r\nKeep-Alive: 5\r\n"
            b"TE: trailers\r\nX-Secret: 1\r\nProxy-Authorization: x\r\nX-Kept: 1\r\n\r\n"
        )
        await peer.answer()
        names = {name.decode() for name, _ in node.heads[0].headers}
        told = {"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}
        assert names == {"host", "x-kept"} | told


async def test_headers_of_one_hop_are_dropped_on_the_way_back() -> None:
    text = (
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Secret\r\nKeep-Alive: timeout=5\r\n"
        b"X-Secret: 1\r\nProxy-Authenticate: x\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok"
    )
    async with scripted(text) as address, proxied(to(address)) as gateway:
        answer = await (await gateway.connect()).request("GET", "/")
        assert {name for name, _ in answer.headers} == {"x-kept", "date", "content-length"}
        assert answer.body == b"ok"


@pytest.mark.parametrize("protocol", ["HTTP", "GRPC"])
async def test_a_back_end_that_refuses_connections_is_told_as_in_go(
    protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with proxied(to("127.0.0.1:1", protocol=protocol)) as gateway:
        peer = await gateway.connect_http2()
        answer = await peer.request("POST", "/x", body=b"")
        assert "POST '/x': back end 127.0.0.1:1: " in caplog.text  # whom to look after
        if protocol == "HTTP":
            assert (answer.status, answer.body) == (502, b"")
        else:
            assert (answer.status, dict(answer.trailers)["grpc-status"]) == (200, "2")
            assert "127.0.0.1" not in dict(answer.trailers)["grpc-message"]


@pytest.mark.parametrize("protocol", ["HTTP", "GRPC"])
async def test_a_back_end_that_takes_too_long_is_given_up(
    protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    given_up = asyncio.Event()

    async def script(_head: Head, _wire: Wire) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    async with (
        backend(script) as node,
        proxied(to(node.address, protocol=protocol, timeout="0.05s")) as gateway,
    ):
        peer = await gateway.connect_http2()
        answer = await peer.request("GET", "/x")
        await given_up.wait()
    assert f"GET '/x': back end {node.address}: no answer in time" in caplog.messages
    if protocol == "HTTP":
        assert (answer.status, answer.body) == (504, b"")
    else:
        assert (answer.status, dict(answer.trailers)["grpc-status"]) == (200, "4")


async def test_a_client_that_goes_away_frees_the_back_end() -> None:
    arrived, freed = asyncio.Event(), asyncio.Event()

    async def script(_head: Head, _wire: Wire) -> None:
        arrived.set()
        try:
            await asyncio.Event().wait()
        finally:
            freed.set()

    async with backend(script) as node, proxied(to(node.address)) as gateway:
        peer = await gateway.connect()
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        await arrived.wait()
        peer.reset()
        await freed.wait()


async def test_an_answer_that_breaks_off_does_not_look_whole() -> None:
    async def script(_head: Head, wire: Wire) -> None:
        wire.start(200, [])
        await wire.write(b"begun")
        raise RuntimeError("broken")

    async with backend(script) as node, proxied(to(node.address)) as gateway:
        peer = await gateway.connect()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await peer.request("GET", "/")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"path": "x"}, r"endpoints\[1\] \(x\): path 'x' must start with a slash"),
        ({"backends": []}, "there is no back end"),
        ({"protocol": 7}, "protocol 7 is none: write HTTP or GRPC"),
        ({"backends": [{"target": "redis://x:1"}]}, "write host:port"),
        ({"backends": [{"target": "discovery:///x"}]}, "needs a registry"),
        (
            {"retry": {"conditions": [{"byStatusCode": "5xx"}]}},
            "by_status_code is a status, or two such as 502-504, not '5xx'",
        ),
        ({"middlewares": [{"name": "cors"}]}, "'cors'"),
    ],
)
async def test_a_wrong_configuration_is_refused_with_its_place(
    change: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        async with proxied(to("127.0.0.1:1"), {**to("127.0.0.1:1"), **change}):
            pass


async def test_the_last_word_on_a_host_is_the_back_ends_metadata() -> None:
    async def script(_head: Head, wire: Wire) -> None:
        await say(wire)

    async with backend(script) as node:
        there = {"target": f"direct:///{node.address}", "metadata": {"host": "inner.example"}}
        async with proxied(to("", backends=[there])) as gateway:
            peer = await gateway.connect()
            await peer.request("GET", "/")
            assert node.header("host") == "inner.example"
            assert node.header("x-forwarded-host") == "test"
