"""A real client of gRPC, a real server of it, and the gateway in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.address import split_host_port
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.transport.http import Head, Wire
from kratos_gateway.testing import proxied
from kratos_grpc import Grpc
from kratos_grpc.testing import server
from kratos_http.testing import listening, running

grpc: Any = import_module("grpc")
aio: Any = import_module("grpc.aio")

CODECS = {
    "request_serializer": StringValue.SerializeToString,
    "response_deserializer": StringValue.FromString,
}


@asynccontextmanager
async def channel(**more: Any) -> AsyncGenerator[tuple[Any, EchoService]]:
    """Return a client's channel to a gateway before a server of the echo service."""
    service = EchoService()
    async with running(server(Grpc(), services=[service])) as node:
        (url,) = {url for url in await node.bind() if url.startswith("grpc://")}
        _, port = split_host_port(url.removeprefix("grpc://"))
        backends = [{"target": f"127.0.0.1:{port}"}]
        endpoint = {"path": "/kratos.testing.Echo/*", "protocol": "GRPC", "method": "POST"}
        given = {**endpoint, "timeout": "5s", "backends": backends, **more}
        async with (
            proxied(given) as gateway,
            aio.insecure_channel(f"127.0.0.1:{gateway.listening.port}") as opened,
        ):
            yield opened, service


async def words(*given: str) -> AsyncIterator[StringValue]:
    for word in given:
        yield text(word)


async def test_a_unary_call() -> None:
    async with channel() as (opened, _):
        call = opened.unary_unary(ECHO.operation, **CODECS)
        for word in ("a", "x" * 100_000, ""):
            assert (await call(text(word), timeout=5)).value == word


async def test_an_error_keeps_its_status_and_its_details() -> None:
    async with channel() as (opened, _):
        with pytest.raises(aio.AioRpcError) as failed:
            await opened.unary_unary(ECHO.operation, **CODECS)(text("fail"), timeout=5)
        assert failed.value.code() == grpc.StatusCode.ABORTED
        assert failed.value.details() == "try later"
        assert "grpc-status-details-bin" in dict(failed.value.trailing_metadata())


async def test_replies_in_a_stream() -> None:
    async with channel() as (opened, _):
        call = opened.unary_stream(WATCH.operation, **CODECS)
        assert [each.value async for each in call(text("a b c"), timeout=5)] == ["a", "b", "c"]


async def test_requests_in_a_stream() -> None:
    async with channel() as (opened, _):
        call = opened.stream_unary(COLLECT.operation, **CODECS)
        assert (await call(words("a", "b"), timeout=5)).value == "a b"


async def test_a_conversation_in_turns_beyond_the_time_limit_of_the_endpoint() -> None:
    async with channel(timeout="0.2s") as (opened, _):
        call = opened.stream_stream(CHAT.operation, **CODECS)()
        for word in ("a", "b", "c"):
            await asyncio.sleep(0.1)
            await call.write(text(word))
            assert (await call.read()).value == word
        await call.done_writing()
        assert await call.read() is aio.EOF
        assert await call.code() == grpc.StatusCode.OK


async def test_a_call_that_hangs_ends_with_the_time_limit_of_the_endpoint() -> None:
    async with channel(timeout="0.1s") as (opened, service):
        with pytest.raises(aio.AioRpcError) as failed:
            await opened.unary_unary(ECHO.operation, **CODECS)(text("hang"), timeout=5)
        assert failed.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        await service.left.wait()
        assert service.interrupted == 1


class Unready:
    """A server that is not ready for the first calls, and says so as servers of gRPC do."""

    def __init__(self, refusals: int) -> None:
        self.left = refusals
        self.asked = 0

    def route(self, _head: Head, /) -> Unready:
        return self

    async def converse(self, _head: Head, wire: Wire, /) -> None:
        pieces: list[bytes] = []
        while piece := await wire.read():
            pieces.append(piece)
        self.asked += 1
        self.left -= 1
        wire.start(200, [(b"content-type", b"application/grpc")])
        if self.left >= 0:
            await wire.finish([(b"grpc-status", b"14")])
            return
        await wire.write(b"".join(pieces))
        await wire.finish([(b"grpc-status", b"0")])


async def test_a_call_is_tried_again_by_the_status_that_comes_at_its_end() -> None:
    node = Unready(2)
    async with listening(node) as opened:
        backends = [{"target": f"127.0.0.1:{opened.port}"}]
        condition = {"byHeader": {"name": "Grpc-Status", "value": "14"}}
        retry = {"attempts": 3, "conditions": [condition]}
        async with channel(backends=backends, retry=retry) as (peer, _):
            reply = await peer.unary_unary(ECHO.operation, **CODECS)(text("again"), timeout=5)
    assert (reply.value, node.asked) == ("again", 3)


async def test_an_unknown_route_is_unimplemented() -> None:
    async with channel() as (opened, _):
        with pytest.raises(aio.AioRpcError) as failed:
            await opened.unary_unary("/other.Service/Do", **CODECS)(text("a"), timeout=5)
        assert failed.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_a_back_end_that_is_not_there_is_no_protocol_error() -> None:
    async with channel(backends=[{"target": "127.0.0.1:1"}]) as (opened, _):
        with pytest.raises(aio.AioRpcError) as failed:
            await opened.unary_unary(ECHO.operation, **CODECS)(text("a"), timeout=5)
        assert failed.value.code() == grpc.StatusCode.UNKNOWN
        assert failed.value.details() == "the back end could not be reached, or was lost"
