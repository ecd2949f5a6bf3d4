"""One middleware refuses every kind of call, whatever it comes in by, before a handler runs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import pytest
import uvicorn

from kratos import App, Client
from kratos.errors import Error, unauthorized
from kratos.testing import client_of, serving
from kratos.testing.app import running
from kratos.testing.echo import ALL, CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.transport import Arity, Call, CallOptions, Handler, Method, Mount
from kratos_grpc import GrpcConnector, GrpcServer
from kratos_grpc.connect import Connect, ConnectConnector
from kratos_http import Asgi, HttpServer
from kratos_http.testing import HANDSHAKE, OpenPeer, asgi_peer, eventually, socket_peer

Opener: TypeAlias = Callable[[EchoService], AbstractAsyncContextManager[Client]]

REFUSAL = (401, "NO_TOKEN")


async def auth(call: Call, request: Any, next: Handler, /) -> Any:
    """Let in who says the word."""
    if call.headers.get("authorization") != "Bearer sesame":
        raise unauthorized("NO_TOKEN", "say who you are")
    return await next(call, request)


@asynccontextmanager
async def in_process(service: EchoService) -> AsyncGenerator[Client]:
    async with serving(service, middleware=[auth]) as client:
        yield client


@asynccontextmanager
async def over_grpcio(service: EchoService) -> AsyncGenerator[Client]:
    server = GrpcServer("127.0.0.1:0", timeout=None, engine="grpcio")
    app = App(name="echo", services=[service], middleware=[auth], servers=[server], signals=())
    async with client_of(app, transport="grpc", timeout=None) as client:
        yield client


@asynccontextmanager
async def over_http2(service: EchoService) -> AsyncGenerator[Client]:
    server = GrpcServer("127.0.0.1:0", timeout=None, engine="kratos")
    app = App(name="echo", services=[service], middleware=[auth], servers=[server], signals=())
    connector = GrpcConnector(engine="kratos")
    async with running(app), Client(app.endpoints[0], transport=connector, timeout=None) as client:
        yield client


@asynccontextmanager
async def over_connect(service: EchoService) -> AsyncGenerator[Client]:
    server = HttpServer("127.0.0.1:0", timeout=None, protocols=[Connect()])
    app = App(name="echo", services=[service], middleware=[auth], servers=[server], signals=())
    connector = ConnectConnector(http2=True)
    async with running(app), Client(app.endpoints[0], transport=connector, timeout=None) as client:
        yield client


@asynccontextmanager
async def over_httptools(service: EchoService) -> AsyncGenerator[Client]:
    server = HttpServer("127.0.0.1:0", timeout=None)
    app = App(name="echo", services=[service], middleware=[auth], servers=[server], signals=())
    async with client_of(app, transport="http", timeout=None) as client:
        yield client


@asynccontextmanager
async def over_asgi(service: EchoService) -> AsyncGenerator[Client]:
    server = HttpServer(middleware=[auth], timeout=None)
    server.mount(Mount(services=[service]))
    config = uvicorn.Config(Asgi(server.application), log_config=None, ws="websockets-sansio")
    host = uvicorn.Server(config)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        running = asyncio.ensure_future(host.serve(sockets=[sock]))
        await eventually(lambda: host.started)
        async with Client(f"http://127.0.0.1:{sock.getsockname()[1]}", timeout=None) as client:
            yield client
        host.should_exit = True
        await running


every_way_in = pytest.mark.parametrize(
    "opener", [in_process, over_grpcio, over_http2, over_connect, over_httptools, over_asgi]
)
every_arity = pytest.mark.parametrize("method", ALL, ids=[each.arity.value for each in ALL])


async def call(client: Client, method: Method[Any, Any], *, token: str) -> list[str]:
    """Call a method of the echo service with one word and return what it answers.

    Over HTTP, a stream of replies alone comes as server-sent events, and one of requests goes
    over a WebSocket.
    """
    options = CallOptions(headers={"authorization": f"Bearer {token}"} if token else {})
    if method.arity is Arity.UNARY:
        return [(await client.unary(ECHO, text("ok"), options)).value]
    if method.arity is Arity.CLIENT_STREAM:
        return [(await client.client_stream(COLLECT, [text("ok")], options)).value]
    if method.arity is Arity.SERVER_STREAM:
        async with client.server_stream(WATCH, text("ok"), options) as replies:
            return [reply.value async for reply in replies]
    async with client.bidi_stream(CHAT, options) as stream:
        await stream.send(text("ok"))
        await stream.end()
        return [reply.value async for reply in stream]


@every_way_in
@every_arity
@pytest.mark.parametrize("token", ["", "guess"], ids=["no_token", "wrong_token"])
async def test_caller_without_the_token_is_refused_before_the_handler_runs(
    opener: Opener, method: Method[Any, Any], token: str
) -> None:
    service = EchoService()
    async with opener(service) as client:
        with pytest.raises(Error) as refusal:
            await call(client, method, token=token)
    assert (refusal.value.code, refusal.value.reason) == REFUSAL
    assert refusal.value.message == "say who you are"
    assert not service.entered.is_set()
    assert service.seen == []


@every_way_in
@every_arity
async def test_caller_with_the_token_is_served(opener: Opener, method: Method[Any, Any]) -> None:
    service = EchoService()
    async with opener(service) as client:
        assert await call(client, method, token="sesame") == ["ok"]
    assert service.seen == ["ok"]


@every_way_in
@pytest.mark.parametrize("method", [WATCH, CHAT], ids=["server_stream", "bidi_stream"])
async def test_refused_stream_is_never_open(opener: Opener, method: Method[Any, Any]) -> None:
    async with opener(EchoService()) as client:
        opening: Any = (
            client.server_stream(WATCH, text("ok")) if method is WATCH else client.bidi_stream(CHAT)
        )
        with pytest.raises(Error) as refusal:
            async with opening as replies:
                await anext(replies)
    assert (refusal.value.code, refusal.value.reason) == REFUSAL


JSON = ("content-type", "application/json")
EVENTS = ("accept", "text/event-stream")


@pytest.mark.parametrize(
    ("open_peer", "method", "path", "headers"),
    [
        (socket_peer, "POST", "/kratos.testing/echo", [JSON]),
        (socket_peer, "POST", "/kratos.testing/watch", [JSON, EVENTS]),
        (socket_peer, "GET", "/kratos.testing/collect", HANDSHAKE),
        (socket_peer, "GET", "/kratos.testing/chat", HANDSHAKE),
        (asgi_peer, "POST", "/kratos.testing/echo", [JSON]),
        (asgi_peer, "POST", "/kratos.testing/watch", [JSON, EVENTS]),
    ],
    ids=["unary", "events", "client_websocket", "bidi_websocket", "asgi_unary", "asgi_events"],
)
async def test_refusal_is_a_plain_answer_to_whatever_http_asks_for(
    open_peer: OpenPeer, method: str, path: str, headers: Any
) -> None:
    service = EchoService()
    server = HttpServer("127.0.0.1:0", middleware=[auth])
    server.mount(Mount(services=[service]))
    async with open_peer(server) as peer:
        body = b'"ok"' if method == "POST" else b""
        answer = await peer.request(method, path, headers=headers, body=body)
    assert answer.status == 401
    assert answer.header("content-type").startswith("application/json")
    assert answer.json()["reason"] == "NO_TOKEN"
    assert not service.entered.is_set()
