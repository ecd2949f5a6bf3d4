"""Middleware between real clients and real back ends, by the proxy."""

from __future__ import annotations

import asyncio
import base64
import gzip
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from kratos import plugins
from kratos.metrics import MemoryMeter
from kratos.testing.echo import ECHO, WATCH, EchoService
from kratos.testing.log import MemoryLogger
from kratos.testing.tracing import MemoryTracer
from kratos.transport import Mount
from kratos.transport.http import Head, Socket, Wire
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.backend import Client, ClientOptions, Connections
from kratos_gateway.exchange import Answer, Request
from kratos_gateway.middleware import Context, create
from kratos_gateway.testing import backend, proxied, say
from kratos_grpc import GrpcServer
from kratos_http.testing import HANDSHAKE, eventually, frame, listening, next_frame

TEXT = 1  # of a frame
TYPE = "type.googleapis.com/"

for plugin in plugins.find("kratos.gateway.middleware"):  # so that their options are known
    plugins.load("kratos.gateway.middleware", plugin.name)


class Asking:
    """The back ends of a middleware's own."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._connections = Connections()
        self._client = Client(endpoint, ClientOptions(connections=self._connections))

    async def __call__(self, request: Request, /) -> Answer:
        return await self._client(request)

    async def aclose(self) -> None:
        await self._client.aclose()
        await self._connections.aclose()


def use(name: str, kind: str = "", **options: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"name": name, "required": True}
    if kind:
        told["options"] = {"@type": f"{TYPE}{kind}", **options}
    return told


def ours(name: str, kind: str, **options: Any) -> dict[str, Any]:
    return use(name, f"kratos.gateway.v1.{kind}", **options)


def factory(**context: Any) -> Any:
    return partial(create, context=Context(upstream=Asking, **context))


def endpoint(target: str, *middlewares: dict[str, Any], **more: Any) -> dict[str, Any]:
    told = {"path": "/*", "protocol": "HTTP", "timeout": "5s", "backends": [{"target": target}]}
    return {**told, "middlewares": list(middlewares), **more}


async def hello(_head: Head, wire: Wire) -> None:
    await say(
        wire,
        200,
        b"hello, " * 500,
        ("content-type", "text/plain"),
        ("etag", '"1"'),
        ("cache-control", "public, max-age=60"),
    )


async def test_everything_at_once_over_http1_and_http2() -> None:
    logger, meter, tracer = MemoryLogger(), MemoryMeter(), MemoryTracer()
    key = {"name": "ada", "key": "ada's key is long enough"}
    chain = [
        ours("requestid", "RequestId"),
        use("tracing"),
        use("logging"),
        use("cors", "gateway.middleware.cors.v1.Cors", allowOrigins=["a.example"]),
        ours("ipfilter", "IpFilter", allow=["127.0.0.0/8"]),
        ours("keyauth", "KeyAuth", keys=[key], subjectHeader="x-user"),
        ours("ratelimit", "RateLimit", rate=0.001, burst=3, per="caller"),
        ours("bodylimit", "BodyLimit", maxBytes="1000"),
        use("bbr"),
        use("circuitbreaker", "gateway.middleware.circuitbreaker.v1.CircuitBreaker", ratio="10000"),
        ours("compression", "Compression", codings=["gzip"]),
        ours("cache", "Cache"),
        use("rewrite", "gateway.middleware.rewrite.v1.Rewrite", stripPrefix="/api"),
    ]
    headers = [
        ("Accept-Encoding", "gzip"),
        ("Origin", "https://a.example"),
        ("X-Api-Key", key["key"]),
        ("X-User", "root"),
    ]
    made = factory(logger=logger, meter=meter, tracer=tracer)
    async with (
        backend(hello) as node,
        proxied(endpoint(node.address, *chain), middleware=made) as gateway,
    ):
        peer = await gateway.connect()
        first = await peer.request("GET", "/api/a?b=c", headers=headers)
        again = await peer.request("GET", "/api/a?b=c", headers=headers)
        assert (first.status, gzip.decompress(first.body)) == (200, b"hello, " * 500)
        assert (again.status, again.body) == (200, first.body)
        assert again.header("cache-status").startswith("gateway; hit")
        assert first.header("access-control-allow-origin") == "https://a.example"
        assert first.header("etag") == 'W/"1"'
        assert len(node.heads) == 1
        head = node.heads[0]
        assert (head.path, head.query) == (b"/a", b"b=c")
        assert node.header("x-user") == "ada"
        assert not node.header("x-api-key")
        assert node.header("traceparent")
        assert node.header("x-request-id") == first.header("x-request-id")
        refused = await peer.request("POST", "/api/a", headers=headers, body=b"x" * 2000)
        assert (refused.status, refused.json()["reason"]) == (413, "BODY_TOO_LARGE")
        limited = await peer.request("GET", "/api/b", headers=headers)
        assert (limited.status, limited.header("retry-after")) == (429, "1000")
        nobody = await peer.request("GET", "/api/b")
        assert nobody.status == 401
        preflight = await peer.request(
            "OPTIONS", "/api/b", headers=[("Origin", "https://a.example")]
        )
        assert preflight.status == 200
        await peer.aclose()
        assert tracer.finished()
        assert len(logger.records) == 6


async def test_upload_that_turns_out_too_large_is_answered_413() -> None:
    async def reading(_head: Head, wire: Wire) -> None:
        await say(wire)

    chain = ours("bodylimit", "BodyLimit", maxBytes="100000")
    async with (
        backend(reading) as node,
        proxied(endpoint(node.address, chain), middleware=factory()) as gateway,
    ):
        peer = await gateway.connect()
        await peer.send(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        chunk = b"%x\r\n%b\r\n" % (50_000, b"x" * 50_000)
        try:
            for _ in range(4):
                await peer.send(chunk)
            await peer.send(b"0\r\n\r\n")
        except ConnectionError:
            pass
        assert (await peer.answer()).status == 413
        await peer.aclose()


async def test_service_decides_and_backup_answers() -> None:
    async def door(head: Head, wire: Wire) -> None:
        ok = head.header(b"authorization") == b"yes"
        await say(wire, 200 if ok else 302, b"", ("x-user", "ada"), ("location", "/login"))

    async def spare(_head: Head, wire: Wire) -> None:
        await say(wire, 200, b"spare")

    async with backend(hello) as node, backend(door) as doorman, backend(spare) as other:
        auth = ours(
            "extauth",
            "ExtAuth",
            endpoint={"path": "/check", "backends": [{"target": doorman.address}]},
            backEndHeaders=["x-user"],
        )
        broken = use(
            "circuitbreaker",
            "gateway.middleware.circuitbreaker.v1.CircuitBreaker",
            ratio="0",
            backupService={"endpoint": {"backends": [{"target": other.address}]}},
        )
        async with proxied(endpoint(node.address, auth, broken), middleware=factory()) as gateway:
            peer = await gateway.connect()
            refused = await peer.request("POST", "/a", body=b"body")
            assert (refused.status, refused.header("location")) == (302, "/login")
            let_in = await peer.request(
                "POST", "/a", headers=[("Authorization", "yes")], body=b"body"
            )
            assert (let_in.status, let_in.body) == (200, b"spare")
            assert doorman.header("x-forwarded-uri") == "/a"
            assert other.header("x-user") == "ada"
            assert not node.heads
            await peer.aclose()


@asynccontextmanager
async def greeter() -> AsyncGenerator[str]:
    server = GrpcServer("127.0.0.1:0", engine="kratos")
    server.mount(Mount(services=(EchoService(),)))
    (url,) = await server.bind()
    serving = asyncio.ensure_future(server.start())
    await server.ready()
    try:
        yield url.rpartition("/")[2]
    finally:
        await server.stop()
        await serving


async def test_json_and_grpc_web_reach_a_service_of_grpc() -> None:
    chain = [use("grpcweb"), ours("transcoder", "Transcoder")]
    async with (
        greeter() as address,
        proxied(
            endpoint(address, *chain, protocol="GRPC", timeout="0.5s"), middleware=factory()
        ) as gateway,
    ):
        peer = await gateway.connect()
        json_type = [("Content-Type", "application/json")]
        answer = await peer.request("POST", ECHO.operation, headers=json_type, body=b'"hello"')
        assert (answer.status, answer.json()) == (200, "hello")
        answer = await peer.request("POST", ECHO.operation, headers=json_type, body=b'"fail"')
        assert (answer.status, answer.json()["message"]) == (409, "try later")
        web = [("Content-Type", "application/grpc-web-text+proto")]
        body = base64.b64encode(b"\0\0\0\0\x0a\x0a\x08one fail")
        answer = await peer.request("POST", WATCH.operation, headers=web, body=body)
        parts = b"".join(
            base64.b64decode(answer.body[at : at + 4]) for at in range(0, len(answer.body), 4)
        )
        assert b"grpc-message: try later" in parts
        answer = await peer.request("POST", ECHO.operation, headers=json_type, body=b'"hang"')
        assert answer.status == 504
        assert answer.header("content-type") == "application/json"
        await peer.aclose()


async def test_call_of_grpc_web_that_fails_at_once_has_no_trailers_over_http2() -> None:
    async with (
        greeter() as address,
        proxied(
            endpoint(address, use("grpcweb"), protocol="GRPC"), middleware=factory()
        ) as gateway,
    ):
        peer = await gateway.connect_http2()
        web = [("content-type", "application/grpc-web+proto")]
        body = b"\0\0\0\0\x06\x0a\x04fail"
        answer = await peer.request("POST", ECHO.operation, headers=web, body=body)
        assert (answer.header("grpc-status"), answer.trailers) == ("10", [])


class Room:
    """A node that echoes what it hears."""

    def route(self, _head: Head, /) -> Room:
        return self

    async def talk(self, _head: Head, socket: Socket, /) -> None:
        await socket.accept()
        while (message := await socket.receive()) is not None:
            await socket.send(message)


async def test_websocket_passes_middleware_that_lets_it_in() -> None:
    tracer, key = MemoryTracer(), {"name": "ada", "key": "ada's key is long enough"}
    chain = [
        ours("requestid", "RequestId"),
        use("tracing"),
        use("logging"),
        ours("keyauth", "KeyAuth", keys=[key], query="key"),
        ours("ratelimit", "RateLimit", rate=100),
        ours("compression", "Compression"),
        ours("cache", "Cache", defaultTtl="60s"),
        use("circuitbreaker", "gateway.middleware.circuitbreaker.v1.CircuitBreaker", ratio="10000"),
        use("rewrite", "gateway.middleware.rewrite.v1.Rewrite", stripPrefix="/api"),
    ]
    async with (
        listening(Room()) as node,
        proxied(
            endpoint(f"127.0.0.1:{node.port}", *chain), middleware=factory(tracer=tracer)
        ) as gateway,
    ):
        peer = await gateway.connect()
        assert (await peer.request("GET", "/api/room", headers=HANDSHAKE)).status == 401
        await peer.aclose()
        peer = await gateway.connect()
        target = "/api/room?key=" + key["key"].replace(" ", "%20")
        answer = await peer.request("GET", target, headers=HANDSHAKE)
        assert answer.status == 101
        assert answer.header("x-request-id")
        await peer.send(frame(TEXT, b"hello"))
        assert await next_frame(peer) == (TEXT, b"hello")
        await peer.aclose()
        await eventually(lambda: not gateway.proxy.in_flight)
    assert [span.attributes["http.status_code"] for span in tracer.finished()] == [
        401,
        401,
        101,
        101,
    ]


async def test_attempts_are_traced_and_logged_each_and_limited_once() -> None:
    logger, tracer = MemoryLogger(), MemoryTracer()

    async def twice(head: Head, wire: Wire) -> None:
        await say(wire, 503 if len(node.heads) < 3 else 200, b"body of " + head.path)

    chain = [
        ours("requestid", "RequestId"),
        use("tracing"),
        use("logging"),
        ours("ratelimit", "RateLimit", rate=0.001, burst=1),
        use("rewrite", "gateway.middleware.rewrite.v1.Rewrite", stripPrefix="/a"),
    ]
    retry = {"attempts": 3, "conditions": [{"byStatusCode": "503"}]}
    made = factory(logger=logger, tracer=tracer)
    async with (
        backend(twice) as node,
        proxied(endpoint(node.address, *chain, retry=retry), middleware=made) as gateway,
    ):
        peer = await gateway.connect()
        answer = await peer.request("POST", "/a/a", body=b"in")
        assert (answer.status, answer.body) == (200, b"body of /a")
        await peer.aclose()
        assert len({head.header(b"x-request-id") for head in node.heads}) == 1
        assert len({head.header(b"traceparent") for head in node.heads}) == 3
    assert [fields["code"] for _, _, fields in logger.records] == [503, 503, 200]
    assert [fields["last_attempt"] for _, _, fields in logger.records] == [False, False, True]
    assert len(tracer.finished()) == 6


async def test_back_end_that_is_late_opens_the_circuit_and_is_logged_and_traced_as_late() -> None:
    logger, tracer = MemoryLogger(), MemoryTracer()

    async def late(_head: Head, wire: Wire) -> None:
        await wire.read()
        await asyncio.get_running_loop().create_future()

    ratio = {"success": 0.9, "request": 1}
    chain = [
        use("tracing"),
        use("logging"),
        use(
            "circuitbreaker",
            "gateway.middleware.circuitbreaker.v1.CircuitBreaker",
            successRatio=ratio,
        ),
    ]
    made = factory(logger=logger, tracer=tracer)
    async with (
        backend(late) as node,
        proxied(endpoint(node.address, *chain, timeout="0.05s"), middleware=made) as gateway,
    ):
        peer = await gateway.connect()
        statuses = [(await peer.request("GET", "/a")).status for _ in range(30)]
        await peer.aclose()
    assert statuses[0] == 504
    assert 503 in statuses
    assert logger.records[0][2]["code"] == 504
    assert isinstance(tracer.finished()[0].error, TimeoutError)


async def test_page_of_another_origin_may_read_that_a_back_end_failed_and_under_which_name() -> (
    None
):
    chain = [
        ours("requestid", "RequestId"),
        use("cors", "gateway.middleware.cors.v1.Cors", allowOrigins=["a.example"]),
    ]
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        target = f"127.0.0.1:{nobody.getsockname()[1]}"
        async with proxied(endpoint(target, *chain), middleware=factory()) as gateway:
            peer = await gateway.connect()
            answer = await peer.request("GET", "/a", headers=[("Origin", "https://a.example")])
            await peer.aclose()
    assert answer.status == 502
    assert answer.header("access-control-allow-origin") == "https://a.example"
    assert answer.header("x-request-id")


async def test_an_answer_of_middleware_to_head_tells_the_length_that_get_has() -> None:
    data = {"statusCode": 202, "body": base64.b64encode(b"hello").decode()}
    breaker = use(
        "circuitbreaker",
        "gateway.middleware.circuitbreaker.v1.CircuitBreaker",
        ratio="0",
        responseData=data,
    )
    async with proxied(endpoint("127.0.0.1:1", breaker), middleware=factory()) as gateway:
        peer = await gateway.connect()
        answer = await peer.request("HEAD", "/")
        assert (answer.status, answer.header("content-length"), answer.body) == (202, "5", b"")


BEGUN = b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("protocol", "rest", "status"),
    [("HTTP", b"no size\r\n", 400), ("GRPC", b"no size\r\n", 200), ("HTTP", b"4\r\nhalf", 504)],
)
async def test_client_that_sends_its_body_wrongly_or_slowly_keeps_no_other_out(
    protocol: str, rest: bytes, status: int
) -> None:
    breaker = use(
        "circuitbreaker",
        "gateway.middleware.circuitbreaker.v1.CircuitBreaker",
        successRatio={"success": 0.9, "request": 1},
    )
    told = endpoint("", breaker, timeout="0.2s", protocol=protocol)
    async with backend(hello) as node:
        told["backends"] = [{"target": node.address}]
        async with proxied(told, middleware=factory()) as gateway:
            for _ in range(30):
                peer = await gateway.connect()
                await peer.send(BEGUN + rest)
                answer = await peer.answer()
                assert (answer.status, answer.header("grpc-status")) in ((status, ""), (200, "3"))
                await peer.aclose()
            peer = await gateway.connect()
            for _ in range(10):
                assert (await peer.request("GET", "/a")).body == b"hello, " * 500
            await peer.aclose()


async def test_upload_is_copied_as_it_comes_and_who_hangs_over_a_copy_holds_up_nobody() -> None:
    sizes: dict[str, int] = {}

    def reading(name: str) -> Any:
        async def script(_head: Head, wire: Wire) -> None:
            while piece := await wire.read():
                sizes[name] = sizes.get(name, 0) + len(piece)
            await say(wire)

        return script

    async def hanging(_head: Head, _wire: Wire) -> None:
        await asyncio.get_running_loop().create_future()

    meter, size = MemoryMeter(), 24_000_000  # more than buffers of sockets hold
    async with (
        backend(reading("node")) as node,
        backend(reading("copy")) as shadow,
        backend(hanging) as stuck,
    ):
        chain = [
            ours("mirror", "Mirror", endpoint={"backends": [{"target": each}], "timeout": "60s"})
            for each in (shadow.address, stuck.address)
        ]
        chain[0]["options"]["maxBuffered"] = str(2 * size)
        made = factory(meter=meter)
        async with proxied(endpoint(node.address, *chain), middleware=made) as gateway:
            peer = await gateway.connect()
            answer = await peer.request("POST", "/a", body=b"x" * size)
            assert (answer.status, sizes["node"]) == (200, size)
            await eventually(lambda: sizes.get("copy") == size, within=15)
            copies = "kratos_gateway_mirror_copies"
            await eventually(lambda: meter.value(copies, outcome="answered") == 1)
            assert meter.value(copies, outcome="given_up") == 1
            await peer.aclose()


def recorded(logger: MemoryLogger) -> list[dict[str, Any]]:
    """Return the streams that were recorded."""
    return [dict(fields) for _, message, fields in logger.records if message == "stream"]


async def test_websocket_is_recorded_and_logged_when_it_has_closed() -> None:
    logger = MemoryLogger()
    chain = [use("logging"), use("streamrecorder")]
    async with listening(Room()) as node:
        told = endpoint(f"127.0.0.1:{node.port}", *chain, stream=True)
        async with proxied(told, middleware=factory(logger=logger)) as gateway:
            peer = await gateway.connect()
            assert (await peer.request("GET", "/room", headers=HANDSHAKE)).status == 101
            await peer.send(frame(TEXT, b"hello"))
            assert await next_frame(peer) == (TEXT, b"hello")
            assert not logger.records
            await peer.aclose()
            await eventually(lambda: len(logger.records) == 2)
    [line] = [fields for _, message, fields in logger.records if message == "request"]
    assert (line["code"], line["stream"]) == (101, True)
    assert str(line["stream_body"]).startswith("5 bytes of request, 5 bytes of response")
    [stream] = recorded(logger)
    assert stream["chunks"] == [
        {"index": 0, "tag": "request", "text": "hello"},
        {"index": 1, "tag": "response", "text": "hello"},
    ]


async def test_call_of_grpc_is_recorded_message_by_message() -> None:
    logger = MemoryLogger()
    async with greeter() as address:
        told = endpoint(address, use("streamrecorder"), protocol="GRPC")
        async with proxied(told, middleware=factory(logger=logger)) as gateway:
            peer = await gateway.connect_http2()
            headers = [("Content-Type", "application/grpc"), ("TE", "trailers")]
            body = b"\0\0\0\0\x09\x0a\x07one two"
            answer = await peer.request("POST", WATCH.operation, headers=headers, body=body)
            assert answer.status == 200
            await eventually(lambda: bool(recorded(logger)))
    [stream] = recorded(logger)
    found = [(chunk["tag"], chunk["text"]) for chunk in stream["chunks"]]
    assert found == [
        ("request", "\n\x07one two"),
        ("response", "\n\x03one"),
        ("response", "\n\x03two"),
    ]


async def test_json_is_changed_between_client_and_back_end_over_http1_and_http2() -> None:
    async def echo(_head: Head, wire: Wire) -> None:
        pieces: list[bytes] = []
        while piece := await wire.read():
            pieces.append(piece)
        await say(wire, 200, b"".join(pieces), ("content-type", "application/json"))

    chain = [
        ours("compression", "Compression", codings=["gzip"], minimum="1"),
        ours(
            "transform",
            "Transform",
            request=[{"set": {"path": "/user", "template": "{header:x-user}"}}],
            response=[{"wrap": "data"}, {"add": {"path": "/pad", "value": "x" * 2000}}],
        ),
    ]
    async with (
        backend(echo) as node,
        proxied(endpoint(node.address, *chain), middleware=factory()) as gateway,
    ):
        headers = [("Content-Type", "application/json"), ("X-User", "ada")]
        headers.append(("Accept-Encoding", "gzip"))
        for peer in (await gateway.connect(), await gateway.connect_http2()):
            answer = await peer.request("POST", "/a", headers=headers, body=b'{"id":1.10}')
            assert answer.header("content-encoding") == "gzip"
            text = gzip.decompress(answer.body)
            assert text.startswith(b'{"data":{"id":1.10,"user":"ada"},"pad":"xxx')
            assert node.header("content-length") == "24"
            await peer.aclose()
