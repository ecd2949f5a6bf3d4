"""The time of a call over HTTP: what ``Grpc-Timeout`` says, and what it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import Error
from kratos.middleware import logging
from kratos.selector import Node
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.testing.virtual_time import advance, run_still
from kratos.transport import (
    BUDGET_TOO_SMALL,
    Call,
    Caller,
    CallOptions,
    ChainCaller,
    Method,
    Mount,
    detached,
    server_call,
)
from kratos.transport.timeout import parse_timeout
from kratos_http import HttpConnector, HttpServer
from kratos_http.testing import HANDSHAKE, Answer, OpenPeer, Peer, client_of, socket_peer

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n"ok"'
ARITIES = (ECHO, COLLECT, WATCH, CHAT)


def served(*services: Any, **options: Any) -> HttpServer:
    server = HttpServer("127.0.0.1:0", **options)
    server.mount(Mount(services=services, middleware=[logging()]))
    return server


class Inner:
    """A service that is called, seen byte by byte."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []

    @property
    def timeout(self) -> bytes:
        """The newest request's ``Grpc-Timeout``, empty if it has none."""
        lines = self.heads[-1].split(b"\r\n")
        return next((line[14:] for line in lines if line.startswith(b"grpc-timeout: ")), b"")

    @asynccontextmanager
    async def caller(self, **options: Any) -> AsyncGenerator[ChainCaller]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(ANSWER)
            writer.close()

        listener = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        node = Node(scheme="http", address=f"127.0.0.1:{port}")
        connection = HttpConnector().connect(node)
        try:
            yield ChainCaller(connection.invoke, transport="http", **options)
        finally:
            await connection.aclose()
            listener.close()


class Relay(EchoService):
    """Uses up some time, then calls on."""

    def __init__(self, caller: ChainCaller, *, seconds: float = 0.0, aside: bool = False) -> None:
        super().__init__()
        self._caller = caller
        self._seconds = seconds
        self._aside = aside

    async def echo(self, request: StringValue, /) -> StringValue:
        advance(self._seconds)
        if self._aside:
            with detached():
                return await self._caller.unary(ECHO, request)
        return await self._caller.unary(ECHO, request)


async def ask(peer: Peer, path: str, timeout: str = "") -> Answer:
    headers = [("Content-Type", "application/json")]
    if timeout:
        headers.append(("Grpc-Timeout", timeout))
    return await peer.request("POST", f"/kratos.testing/{path}", headers=headers, body=b'"x"')


def relayed(seconds: float, given: str = "", *, aside: bool = False, **client: Any) -> bytes:
    """Return what a service of ours asks of the next one, when it has used some seconds."""

    async def run() -> bytes:
        inner = Inner()
        async with inner.caller(**client) as caller:
            server = served(Relay(caller, seconds=seconds, aside=aside), timeout=None)
            async with socket_peer(server) as peer:
                answer = await ask(peer, "echo", given)
        assert answer.status == 200
        return inner.timeout

    return run_still(run())


def test_next_hop_gets_what_is_left_of_the_header() -> None:
    left = parse_timeout(relayed(0.06, "100m"))
    assert 0.0399 < left <= 0.04


def test_next_hop_gets_the_clients_own_limit_if_that_is_less() -> None:
    left = parse_timeout(relayed(0.06, "100m", timeout=0.02))
    assert left == pytest.approx(0.02, abs=2e-6)


def test_next_hop_gets_no_limit_where_there_is_none() -> None:
    assert relayed(0.06, timeout=None) == b""


def test_next_hop_gets_no_limit_of_a_call_that_was_left_behind() -> None:
    assert relayed(0.06, "100m", aside=True, timeout=None) == b""


@pytest.mark.parametrize("path", ["echo", "watch"], ids=["unary", "events"])
async def test_request_that_comes_too_late_is_refused_before_its_handler(
    open_peer: OpenPeer, path: str
) -> None:
    service = EchoService()
    async with open_peer(served(service)) as peer:
        answer = await ask(peer, path, "0m")
    assert (answer.status, answer.json()["reason"]) == (504, "DEADLINE_EXCEEDED")
    assert service.seen == []


@pytest.mark.parametrize("path", ["chat", "collect"])
async def test_handshake_that_comes_too_late_is_refused_before_its_handler(path: str) -> None:
    service = EchoService()
    headers = [*HANDSHAKE, ("Grpc-Timeout", "0m")]
    async with socket_peer(served(service)) as peer:
        answer = await peer.request("GET", f"/kratos.testing/{path}", headers=headers)
    assert (answer.status, answer.json()["reason"]) == (504, "DEADLINE_EXCEEDED")
    assert not service.entered.is_set()


async def test_server_refuses_what_cannot_succeed_in_the_time_left(open_peer: OpenPeer) -> None:
    service = EchoService()
    server = served(service, timeout=None, floors={ECHO.operation: 60.0})
    async with open_peer(server) as peer:
        answer = await ask(peer, "echo", "30S")
    told = answer.json()
    assert (answer.status, told["code"], told["reason"]) == (504, 504, BUDGET_TOO_SMALL)
    assert told["message"].startswith("/kratos.testing.Echo/Echo was not begun: it takes 60 s, ")
    assert service.seen == []


async def use(caller: Caller, method: Method[Any, Any], options: CallOptions) -> None:
    if method is ECHO:
        await caller.unary(ECHO, text("x"), options)
    elif method is COLLECT:
        await caller.client_stream(COLLECT, [text("x")], options)
    elif method is WATCH:
        async with caller.server_stream(WATCH, text("x"), options) as replies:
            await anext(aiter(replies))
    else:
        async with caller.bidi_stream(CHAT, options) as chat:
            await anext(aiter(chat))


@pytest.mark.parametrize("method", ARITIES, ids=lambda method: method.name)
@pytest.mark.parametrize("side", ["server", "client"])
async def test_floor_of_either_side_refuses_calls_of_all_arities(
    side: str, method: Method[Any, Any]
) -> None:
    service = EchoService()
    floors = {each.operation: 60.0 for each in ARITIES}
    ends: dict[str, dict[str, Any]] = {"server": {}, "client": {}}
    ends[side] = {"floors": floors}
    server = served(service, timeout=None, **ends["server"])
    async with client_of(server, **ends["client"]) as caller:
        with pytest.raises(Error, match=BUDGET_TOO_SMALL) as refusal:
            await use(caller, method, CallOptions(timeout=30.0))
    assert refusal.value.code == 504
    assert service.seen == []


async def test_stream_keeps_the_deadline_of_its_caller() -> None:
    calls: list[Call] = []

    class Asks(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            return request

        async def collect(self, requests: Any, /) -> StringValue:
            call = server_call()
            assert call is not None
            calls.append(call)
            return text("x")

    loop = asyncio.get_running_loop()
    async with client_of(served(Asks(), timeout=None)) as caller:
        await caller.client_stream(COLLECT, [text("x")], CallOptions(timeout=30.0))
        await caller.client_stream(COLLECT, [text("x")])
    assert calls[0].deadline is not None
    assert calls[0].deadline <= loop.time() + 30.0
    assert calls[1].deadline is None
