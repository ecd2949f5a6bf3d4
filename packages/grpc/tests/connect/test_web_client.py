"""Our client over gRPC-Web: against our server, and against what no server of ours answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from struct import pack
from typing import Any

import pytest

from kratos.client import Client
from kratos.errors import ConfigError, Error
from kratos.middleware import AnyMiddleware
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.testing.middleware_contract import MiddlewareContract, Transport
from kratos.transport import Call, CallOptions, Mount, Service
from kratos_grpc import GrpcWeb
from kratos_grpc.web import GrpcWebConnector
from kratos_http import HttpServer
from kratos_http.testing import running


class Served:
    """A server of its own, with a client."""

    def __init__(self, server: HttpServer, caller: Client) -> None:
        self.caller = caller
        self._server = server

    async def drain(self, timeout: float, /) -> None:
        stopping = asyncio.ensure_future(self._server.stop())
        await asyncio.wait({stopping}, timeout=timeout)
        stopping.cancel()
        await asyncio.wait({stopping})


@asynccontextmanager
async def serving(
    server: HttpServer, connector: GrpcWebConnector, middleware: Sequence[AnyMiddleware] = ()
) -> AsyncGenerator[Served]:
    async with running(server):
        (url,) = await server.bind()
        async with Client(url, transport=connector, middleware=middleware, timeout=None) as client:
            yield Served(server, client)


def over_web(
    service: Service,
    /,
    *,
    middleware: Sequence[AnyMiddleware] = (),
    client_middleware: Sequence[AnyMiddleware] = (),
    timeouts: dict[str, float] | None = None,
) -> AbstractAsyncContextManager[Served]:
    server = HttpServer(
        "127.0.0.1:0",
        middleware=middleware,
        timeout=None,
        timeouts=timeouts,
        protocols=[GrpcWeb()],
    )
    server.mount(Mount(services=[service]))
    return serving(server, GrpcWebConnector(http2=True), client_middleware)


class TestWeb(MiddlewareContract):
    @pytest.fixture
    def transport(self) -> Transport:
        return over_web


@pytest.mark.parametrize(
    "options", [{}, {"json": True}, {"compression": "gzip"}, {"http2": True}], ids=str
)
async def test_all_arities_pass(options: dict[str, Any]) -> None:
    long = "x" * 3000
    server = HttpServer("127.0.0.1:0", timeout=None, protocols=[GrpcWeb(compression="gzip")])
    server.mount(Mount(services=[EchoService()]))
    async with serving(server, GrpcWebConnector(**options)) as served:
        client = served.caller
        call = CallOptions(timeout=30, headers={"x-two": "2"})
        assert (await client.unary(ECHO, text(long), call)).value == long
        reply = await client.client_stream(COLLECT, [text("a"), text(long)], None)
        assert reply.value == f"a {long}"
        async with client.server_stream(WATCH, text(f"a {long}"), None) as replies:
            assert [each.value async for each in replies] == ["a", long]
        async with client.bidi_stream(CHAT, None) as stream:
            await stream.send(text(long))
            await stream.end()
            assert [each.value async for each in stream] == [long]
        with pytest.raises(Error) as failure:
            await client.unary(ECHO, text("fail"), None)
        assert (failure.value.code, failure.value.reason) == (409, "BUSY")
        assert failure.value.metadata["table"] == "7"


def test_wrong_options_are_refused() -> None:
    wrong: list[dict[str, Any]] = [{"compression": "lzw"}, {"max_receive": 0}, {"prefix": "api"}]
    for options in wrong:
        with pytest.raises(ConfigError):
            GrpcWebConnector(**options)


WEB = "content-type: application/grpc-web+proto"


def enveloped(data: bytes, flags: int = 0) -> bytes:
    return pack(">BI", flags, len(data)) + data


def ended(trailers: str) -> bytes:
    return enveloped(trailers.encode(), 0x80)


@asynccontextmanager
async def answered(status: int, headers: Sequence[str], body: bytes) -> AsyncGenerator[Client]:
    """Run a server that answers its request so, with a client of it."""
    head = "".join(
        f"{line}\r\n"
        for line in (
            f"HTTP/1.1 {status} X",
            *headers,
            f"content-length: {len(body)}",
            "connection: close",
        )
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(8)  # five bytes, and the message
        writer.write(head.encode() + b"\r\n" + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, Client(url, transport=GrpcWebConnector(), timeout=None) as client:
        yield client


async def test_names_of_trailers_are_read_whatever_their_case() -> None:
    calls = list[Call]()
    body = enveloped(b"") + ended("Grpc-Status: 0\r\nX-Cost:7\r\n")
    async with answered(200, [WEB, "x-one: 1"], body) as client:
        assert (await client.unary(ECHO, text("a"), CallOptions(on_end=calls.append))).value == ""
    assert calls[0].trailers.get("x-cost") == "7"
    assert calls[0].reply_headers.get("x-one") == "1"


@pytest.mark.parametrize(
    ("status", "headers", "body", "code", "message"),
    [
        (200, [WEB], ended("grpc-status: 5\r\ngrpc-message: no%21\r\n"), 404, "no!"),
        (200, [WEB, "grpc-status: 5", "grpc-message: no"], b"", 404, "no"),
        (200, [WEB, "grpc-status: 8"], ended("grpc-status: 5\r\n"), 404, ""),
        (200, [WEB, "grpc-status: 0"], b"", 500, "the call ended well, and without a reply"),
        (200, [WEB], ended("grpc-status: 0\r\n"), 500, "the call ended well, and without a reply"),
        (200, [WEB], enveloped(b"") * 2 + ended("grpc-status: 0\r\n"), 500, "the call ended well"),
        (200, [WEB], ended("grpc-message: no\r\n"), 500, "the call ended without a status"),
        (200, [WEB], ended("grpc-status\r\n"), 500, "the trailers of the answer are malformed"),
        (200, [WEB], enveloped(b""), 500, "the answer ends without telling"),
        (200, [WEB], enveloped(b"x", 1), 500, "a reply is compressed, and no header"),
        (200, [WEB, "grpc-encoding: lzw"], b"", 500, "the answer came compressed as 'lzw'"),
        (200, ["content-type: application/grpc-web+json"], b"", 500, "the answer is 'applica"),
        (200, ["content-type: text/html"], b"", 500, "the answer is none of gRPC-Web: HTTP 200"),
        (503, [], b"", 503, "the answer is none of gRPC-Web: HTTP 503, no content type"),
    ],
)
async def test_answers_that_are_none_of_a_method(
    status: int, headers: Sequence[str], body: bytes, code: int, message: str
) -> None:
    async with answered(status, headers, body) as client:
        with pytest.raises(Error) as failure:
            await client.unary(ECHO, text("a"), None)
    assert failure.value.code == code
    assert failure.value.message.startswith(message)
