"""Clients and back ends that would have the gateway take one message for another."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from kratos.transport.http import Head, Wire
from kratos_gateway.exchange import Answer, Handler, Request
from kratos_gateway.testing import backend, proxied, say, scripted
from kratos_http.testing import eventually


def to(address: str, **more: Any) -> dict[str, Any]:
    given = {"path": "/*", "protocol": "HTTP", "timeout": "5s", "backends": [{"target": address}]}
    return {**given, **more}


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
INNER = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER,
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + INNER,
        HEAD + b"Content-Length: 0\r\nContent-Length: 38\r\n\r\n" + INNER,
        HEAD + b"Content-Length: +3\r\n\r\nabc" + INNER,
        HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + INNER,
        HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + INNER,
        HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + INNER,
        HEAD + b" Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER,
        HEAD + b"Host: y\r\nContent-Length: 0\r\n\r\n" + INNER,
        b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER,
        HEAD + b"X: a\rTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n" + INNER,
        b"GET /a HTTP/1.1\nHost: x\n\n" + INNER,
    ],
)
async def test_a_request_that_two_readers_could_read_apart_smuggles_nothing(
    request_: bytes,
) -> None:
    async def script(_head: Head, wire: Wire) -> None:
        await say(wire)

    async with backend(script) as node, proxied(to(node.address)) as gateway:
        peer = await gateway.connect()
        await peer.send(request_)
        answer = await peer.answer()
        assert 400 <= answer.status < 502
        await peer.rest()  # nothing follows on the connection
        assert all(head.path != b"/smuggled" for head in node.heads)


@pytest.mark.parametrize(
    "headers",
    [
        [("x", "a\r\nhost: evil")],
        [("x", "a\nb")],
        [("x: y\r\nz", "a")],
        [("x y", "a")],
        [("content-length", "5")],
    ],
)
async def test_a_request_over_http2_does_not_become_two_of_http_1_1(
    headers: list[tuple[str, str]],
) -> None:
    async def script(_head: Head, wire: Wire) -> None:
        await say(wire)

    async with backend(script) as node, proxied(to(node.address)) as gateway:
        peer = await gateway.connect_http2()
        request = peer.begin("POST", "/", headers=headers, end=True)
        with suppress(ConnectionError):
            assert (await request.answer()).status >= 400
        assert not node.heads


@pytest.mark.parametrize("path", ["/a b", "/a\r\nx: y", "//evil.example/x", "/%0d%0ax"])
async def test_a_path_over_http2_stays_within_the_request_line(path: str) -> None:
    async def script(_head: Head, wire: Wire) -> None:
        await say(wire)

    async with backend(script) as node, proxied(to(node.address)) as gateway:
        peer = await gateway.connect_http2()
        with suppress(ConnectionError):
            await peer.begin("GET", path, end=True).answer()
        assert all(head.path in (b"/evil.example/x", b"/%0D%0Ax") for head in node.heads)


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\ny", "a\0b"])
async def test_middleware_cannot_split_a_request_by_accident(value: str) -> None:
    class Careless:
        def wrap(self, handler: Handler, _endpoint: object, /) -> Handler:
            async def changed(request: Request) -> Answer:
                request.headers.append((b"x-user", value.encode()))
                return await handler(request)

            return changed

        async def aclose(self) -> None:
            pass

    async def script(_head: Head, wire: Wire) -> None:
        await say(wire)

    for protocol in ("HTTP", "GRPC"):
        async with backend(script) as node:
            endpoint = to(node.address, protocol=protocol, middlewares=[{"name": "careless"}])
            async with proxied(endpoint, middleware=lambda _config: Careless()) as gateway:
                peer = await gateway.connect()
                await peer.request("GET", "/")
            assert not node.heads


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
        + b"".join(b"X%d: 1\r\n" % number for number in range(300))
        + b"\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000 + b"\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_an_answer_that_is_none_becomes_a_bad_gateway(answer: bytes) -> None:
    async with scripted(answer) as address, proxied(to(address)) as gateway:
        peer = await gateway.connect()
        for _ in range(2):
            got = await peer.request("GET", "/")
            assert (got.status, got.body) == (502, b"")


async def test_an_answer_that_nobody_asked_for_goes_to_nobody() -> None:
    once = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    twice = once + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    async with scripted(twice, once) as address, proxied(to(address)) as gateway:
        peer = await gateway.connect()
        for _ in range(3):
            assert (await peer.request("GET", "/")).body == b"ok"


async def test_interim_answers_without_end_are_not_read_without_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    flood = b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 1000 + b"\r\n\r\n"
    async with scripted(flood * 400) as address, proxied(to(address)) as gateway:
        assert (await (await gateway.connect()).request("GET", "/")).status == 502
        (node,) = gateway.proxy.show()[0]["nodes"]
        assert node["failures"] == 1
    assert not any(record.exc_info for record in caplog.records)  # it is no fault of ours


async def test_interim_answers_are_passed_over() -> None:
    text = (
        b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    )
    async with scripted(text) as address, proxied(to(address)) as gateway:
        peer = await gateway.connect()
        for _ in range(2):
            answer = await peer.request("GET", "/")
            assert (answer.status, answer.body, answer.header("link")) == (200, b"ok", "")


async def test_a_body_that_ends_with_the_connection_is_whole() -> None:
    text = b"HTTP/1.1 200 OK\r\n\r\nuntil the end"
    async with scripted(text, close=True) as address, proxied(to(address)) as gateway:
        assert (await (await gateway.connect()).request("GET", "/")).body == b"until the end"


async def test_trailers_in_chunks_are_passed_on() -> None:
    text = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n"
        b"2\r\nok\r\n0\r\nX-Sum: 7\r\nConnection: x\r\n\r\n"
    )
    async with scripted(text) as address, proxied(to(address)) as gateway:
        answer = await (await gateway.connect()).request("GET", "/")
        assert (answer.body, answer.trailers) == (b"ok", [("x-sum", "7")])


async def test_a_slow_upload_is_cut_off_by_the_endpoints_time_limit() -> None:
    ended = asyncio.Event()

    async def script(_head: Head, wire: Wire) -> None:
        try:
            await say(wire)
        finally:
            ended.set()

    async with backend(script) as node, proxied(to(node.address, timeout="0.1s")) as gateway:
        peer = await gateway.connect()
        await peer.send(HEAD + b"Content-Length: 100000\r\n\r\nslow")
        assert (await peer.answer()).status == 504
        await ended.wait()


SLOW = (
    b"GET / HTTP/1.1\r\nhost: sl",
    b"POST / HTTP/1.1\r\nhost: slow\r\ncontent-length: 100\r\n\r\nhalf",
    b"POST / HTTP/1.1\r\nhost: slow\r\ntransfer-encoding: chunked\r\n\r\n4\r\nha",
)


@pytest.fixture
def many_files() -> Iterator[None]:
    """Lets this process open as many files as the system allows it: both ends are here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
async def test_a_thousand_slow_clients_keep_nobody_waiting() -> None:
    async def hello(_head: Head, wire: Wire) -> None:
        await say(wire, 200, b"hello")

    async with (
        backend(hello) as node,
        proxied({"path": "/*", "timeout": "10s", "backends": [{"target": node.address}]}) as it,
    ):
        port = it.listening.port
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(1000)]
        for number, (_, writer) in enumerate(slow):
            writer.write(SLOW[number % len(SLOW)])
        await eventually(lambda: len(it.listening.engine.connections) == len(slow))
        peer = await it.connect()
        for _ in range(20):
            answer = await peer.request("GET", "/")
            assert (answer.status, answer.body) == (200, b"hello")
        for _, writer in slow:
            writer.close()
            await writer.wait_closed()
        await eventually(lambda: len(it.listening.engine.connections) == 1)
        assert it.proxy.in_flight == 0


async def test_an_answer_that_its_client_does_not_read_waits_at_the_back_end() -> None:
    size, sent = 64 * 1024 * 1024, 0

    async def much(_head: Head, wire: Wire) -> None:
        nonlocal sent
        await wire.read()
        wire.start(200, [(b"content-length", b"%d" % size)])
        while sent < size:
            await wire.write(bytes(65536))
            sent += 65536
        await wire.finish()

    async with (
        backend(much) as node,
        proxied(
            {"path": "/*", "timeout": "10s", "stream": True, "backends": [{"target": node.address}]}
        ) as it,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", it.listening.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: slow\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        quiet, before = 0, -1
        while quiet < 500:  # turns of the loop in which nothing moves: both ends are in it
            quiet, before = quiet + 1 if sent == before else 0, sent
            await asyncio.sleep(0)
        assert sent < size / 2
        await reader.readexactly(size)
        assert sent == size
        writer.close()
        await writer.wait_closed()
