"""The client against servers that are away, deaf, closed to it, or none."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
import pytest

from kratos.testing.proxy import FaultProxy
from kratos_nacos import NacosClient, NacosUnavailable

QUICK = 0.5  # seconds

Connect = Callable[..., NacosClient]


async def test_server_that_is_away_is_named() -> None:
    async with NacosClient(["127.0.0.1:1"], grpc_offset=1) as client:
        with pytest.raises(NacosUnavailable, match=r"127\.0\.0\.1:2 does not .* port for gRPC"):
            await client.connect("naming")


async def test_server_without_the_calls_of_nacos_is_told() -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with NacosClient([f"127.0.0.1:{port}"], grpc_offset=0) as client:
            with pytest.raises(NacosUnavailable, match="does not speak the gRPC of Nacos 2"):
                await client.connect("naming")
    finally:
        await server.stop(0)


async def test_server_that_speaks_something_else_does_not_answer() -> None:
    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with NacosClient([f"127.0.0.1:{port}"], grpc_offset=0, timeout=QUICK) as client:
            with pytest.raises(NacosUnavailable, match="does not answer"):
                await client.connect("naming")


class Deaf(grpc.GenericRpcHandler):
    """Answers each request of Nacos with a body of one's choice, and says nothing on streams."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def service(self, handler_call_details: Any) -> grpc.RpcMethodHandler[Any, Any]:
        if handler_call_details.method == "/Request/request":
            return grpc.unary_unary_rpc_method_handler(self._answer)
        return grpc.stream_stream_rpc_method_handler(self._listen)

    async def _answer(self, _request: bytes, _context: Any) -> bytes:
        # Field 3, the body, whose field 2 is its value.
        value = b"\x12" + bytes([len(self._body)]) + self._body
        return b"\x1a" + bytes([len(value)]) + value

    async def _listen(self, requests: Any, _context: Any) -> AsyncIterator[bytes]:
        async for _ in requests:
            yield b""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[1]", "answers ServerCheckRequest with no message of Nacos"),
        (b"{", "answers ServerCheckRequest with no message of Nacos"),
        (b'{"errorCode":7,"message":"no"}', r"refuses ServerCheckRequest: no \(7\)"),
        (b"{}", r"refuses ServerCheckRequest: no reason given"),
    ],
)
async def test_answer_that_is_no_use_is_told(body: bytes, message: str) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([Deaf(body)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with NacosClient([f"127.0.0.1:{port}"], grpc_offset=0) as client:
            with pytest.raises(NacosUnavailable, match=message):
                await client.connect("naming")
    finally:
        await server.stop(0)


async def test_closed_client_says_so() -> None:
    client = NacosClient()
    await client.aclose()
    await client.aclose()

    with pytest.raises(NacosUnavailable, match="the client is closed"):
        await client.connect("naming")


@pytest.mark.service("nacos")
async def test_next_endpoint_is_asked_when_one_is_away(address: str) -> None:
    async with NacosClient(["127.0.0.1:1", address]) as client:
        assert not (await client.connect("naming")).over


@pytest.mark.service("nacos")
async def test_next_endpoint_is_asked_when_one_is_deaf(address: str, proxy: FaultProxy) -> None:
    proxy.stall()
    deaf = f"127.0.0.1:{proxy.port - 1000}"
    async with NacosClient([deaf, address], timeout=QUICK) as client:
        assert not (await client.connect("naming")).over


@pytest.mark.service("nacos")
async def test_endpoint_that_answered_is_asked_again(address: str, proxy: FaultProxy) -> None:
    proxy.cut()
    async with NacosClient([f"127.0.0.1:{proxy.port - 1000}", address]) as client:
        await client.connect("naming")
        proxy.restore()
        await client.connect("naming")

        assert proxy.connections == 0


@pytest.mark.service("nacos")
@pytest.mark.parametrize("broken", [False, True])
async def test_closed_connection_leaves_no_socket(
    disturbed: NacosClient, proxy: FaultProxy, broken: bool
) -> None:
    # What gRPC calls a closed channel keeps its socket while a call of it is held somewhere.
    gc.collect()
    gc.disable()
    try:
        link = await disturbed.connect("naming")
        assert proxy.connections == 1
        kept: list[BaseException] = []
        try:
            await link.ask("Nonsense", {})
        except NacosUnavailable as error:
            kept.append(error)
        if broken:
            proxy.stall()
            asking = asyncio.ensure_future(link.ask("ServerCheckRequest", {}))
            await asyncio.sleep(0)
            await link.aclose()
            with pytest.raises(NacosUnavailable, match="was closed") as told:
                await asking
            kept.append(told.value)
            del asking
            proxy.restore()
        else:
            await link.aclose()
        async with asyncio.timeout(15):
            while proxy.connections:  # noqa: ASYNC110  no event tells
                await asyncio.sleep(0.01)
    finally:
        gc.enable()


@pytest.mark.service("nacos")
async def test_cancelled_connecting_leaves_nothing(
    disturbed: NacosClient, proxy: FaultProxy
) -> None:
    await (await disturbed.connect("naming")).aclose()
    tasks = asyncio.all_tasks()
    for turns in range(0, 60, 3):
        connecting = asyncio.ensure_future(disturbed.connect("naming"))
        for _ in range(turns):
            await asyncio.sleep(0)
        connecting.cancel()
        await asyncio.wait({connecting})
        if not connecting.cancelled():
            await connecting.result().aclose()
    async with asyncio.timeout(10):
        while asyncio.all_tasks() - tasks:  # noqa: ASYNC110  no event tells
            await asyncio.sleep(0.01)
        while proxy.connections:  # noqa: ASYNC110  no event tells
            await asyncio.sleep(0.01)


@pytest.mark.service("nacos")
async def test_closing_the_client_ends_what_is_under_way(
    disturbed: NacosClient, proxy: FaultProxy
) -> None:
    link = await disturbed.connect("naming")
    proxy.stall()
    asking = asyncio.ensure_future(link.ask("HealthCheckRequest", {}))
    ending = asyncio.ensure_future(link.end())
    await asyncio.sleep(0)

    await disturbed.aclose()

    with pytest.raises(NacosUnavailable, match="was closed"):
        await asking
    await ending
