"""The client against servers that are away, deaf, closed to it, or none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc.aio
import pytest

from kratos.testing.proxy import FaultProxy
from kratos_etcd import EtcdClient, EtcdUnavailable
from kratos_etcd import etcd_pb2 as pb
from kratos_etcd.rpc import PUT, RANGE

QUICK = 0.5  # seconds


async def ask(client: EtcdClient, key: str = "/test") -> pb.RangeResponse:
    return await client.ask(RANGE, pb.RangeRequest(key=key.encode()))


@pytest.fixture
async def proxy(address: str) -> AsyncIterator[FaultProxy]:
    host, _, port = address.rpartition(":")
    async with FaultProxy(host, int(port)) as made:
        yield made


async def test_server_that_is_away_is_named() -> None:
    async with EtcdClient(["127.0.0.1:1"]) as client:
        with pytest.raises(EtcdUnavailable, match=r"etcd at 127\.0\.0\.1:1 does not answer"):
            await ask(client)


async def test_server_without_the_calls_of_etcd_is_told() -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with EtcdClient([f"127.0.0.1:{port}"]) as client:
            with pytest.raises(EtcdUnavailable, match="does not speak the API of etcd 3"):
                await ask(client)
            with pytest.raises(EtcdUnavailable, match="does not speak the API of etcd 3"):
                await client.watch(b"/test", since=0)
    finally:
        await server.stop(0)


async def test_server_that_speaks_something_else_does_not_answer() -> None:
    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with EtcdClient([f"127.0.0.1:{port}"], timeout=QUICK) as client:
            with pytest.raises(EtcdUnavailable, match="does not answer"):
                await ask(client)


async def test_closed_client_says_so() -> None:
    client = EtcdClient()
    await client.aclose()
    await client.aclose()

    with pytest.raises(EtcdUnavailable, match="the client is closed"):
        await ask(client)


@pytest.mark.service("etcd")
async def test_next_endpoint_is_asked_when_one_is_away(address: str) -> None:
    async with EtcdClient(["127.0.0.1:1", address]) as client:
        assert (await ask(client)).header.revision > 0


@pytest.mark.service("etcd")
async def test_next_endpoint_is_asked_when_one_is_deaf(address: str, proxy: FaultProxy) -> None:
    proxy.stall()
    async with EtcdClient([proxy.address, address], timeout=QUICK) as client:
        assert (await ask(client)).header.revision > 0


@pytest.mark.service("etcd")
async def test_endpoint_that_answered_is_asked_again(address: str, proxy: FaultProxy) -> None:
    proxy.cut()
    async with EtcdClient([proxy.address, address]) as client:
        await ask(client)
        proxy.restore()
        await ask(client)

        assert proxy.connections == 0


@pytest.mark.service("etcd")
async def test_client_comes_back_to_an_endpoint_that_was_away(proxy: FaultProxy) -> None:
    async with EtcdClient([proxy.address, "127.0.0.1:1"]) as client:
        await ask(client)
        proxy.cut()
        with pytest.raises(EtcdUnavailable, match="does not answer"):
            await ask(client)

        proxy.restore()

        async with asyncio.timeout(10):
            while True:
                try:
                    assert (await ask(client)).header.revision > 0
                    return
                except EtcdUnavailable:
                    await asyncio.sleep(0.02)


@pytest.mark.service("etcd")
async def test_watch_is_opened_elsewhere_after_a_failure(address: str) -> None:
    async with EtcdClient(["127.0.0.1:1", address]) as client:
        with pytest.raises(EtcdUnavailable, match="does not answer"):
            await client.watch(b"/test", since=0)

        (await client.watch(b"/test", since=0)).close()


@pytest.mark.service("etcd")
async def test_closing_the_client_ends_a_watch(address: str, folder: str) -> None:
    client = EtcdClient([address])
    watch = await client.watch(folder.encode(), since=0)
    waiting = asyncio.ensure_future(watch.next())
    await asyncio.sleep(0)

    await client.aclose()

    with pytest.raises(EtcdUnavailable, match="closed"):
        await waiting


@pytest.mark.service("etcd")
async def test_watch_tells_the_past_from_a_revision_on(client: EtcdClient, folder: str) -> None:
    key = folder.encode()
    before = (await ask(client)).header.revision
    await client.ask(PUT, pb.PutRequest(key=key, value=b"1"))
    await client.ask(PUT, pb.PutRequest(key=key, value=b"2"))
    watch = await client.watch(key, since=before)

    values: list[bytes] = []
    while len(values) < 2:
        response = await watch.next()
        assert response is not None
        values += [event.kv.value for event in response.events]

    watch.close()
    assert values == [b"1", b"2"]


@pytest.mark.service("etcd")
async def test_many_megabytes_are_read(client: EtcdClient, folder: str) -> None:
    value = b"x" * 1_000_000
    for number in range(6):
        key = f"{folder}/{number}".encode()
        await client.ask(PUT, pb.PutRequest(key=key, value=value))

    request = pb.RangeRequest(key=f"{folder}/".encode(), range_end=f"{folder}0".encode())
    reply = await client.ask(RANGE, request)

    assert [len(entry.value) for entry in reply.kvs] == [len(value)] * 6
