"""The test kit over the transports that are installed: what leaves nothing behind, and faults."""

from __future__ import annotations

import asyncio

import pytest

from kratos import App
from kratos.client import Client
from kratos.errors import Error
from kratos.testing import CallFaults, MemoryRegistry, running
from kratos.testing.echo import CHAT, ECHO, WATCH, EchoService, text
from kratos.testing.fixtures import AppFixture, ClientFixture
from kratos.transport import CallOptions, Connector
from kratos_grpc import GrpcConnector, GrpcServer
from kratos_http import HttpConnector, HttpServer

every_transport = pytest.mark.parametrize("transport", ["http", "grpc"])
CONNECTORS = {"http": HttpConnector, "grpc": GrpcConnector}


def application(registrar: MemoryRegistry | None = None) -> App:
    """Return an application with a server of every kind."""
    return App(
        name="echo",
        services=[EchoService()],
        servers=[
            HttpServer("127.0.0.1:0", timeout=None),
            GrpcServer("127.0.0.1:0", timeout=None),
        ],
        signals=(),
        registrar=registrar,
    )


@every_transport
async def test_fixture_leaves_nothing_of_a_real_server_and_its_client(
    transport: str, kratos_client: ClientFixture
) -> None:
    client = await kratos_client(application(), transport=transport, timeout=None)
    assert (await client.unary(ECHO, text("ok"))).value == "ok"
    async with client.bidi_stream(CHAT) as stream:
        await stream.send(text("a"))
        assert (await anext(stream)).value == "a"


async def test_topology_of_two_applications_meets_in_the_registry(
    kratos_app: AppFixture, kratos_registry: MemoryRegistry
) -> None:
    for _ in range(2):
        await kratos_app(application(kratos_registry))
    async with Client(
        "discovery:///echo", transport="grpc", discovery=kratos_registry, timeout=None
    ) as client:
        await client.ready()
        assert (await client.unary(ECHO, text("ok"))).value == "ok"
        assert len(client.nodes.nodes) == 2


def faulty(transport: str, faults: CallFaults) -> Connector:
    """Return the connector of a transport with faults in its way."""
    made: Connector = CONNECTORS[transport]()
    return faults.connector(made)


async def watch(client: Client, words: str, got: list[str]) -> None:
    """Add the replies of a stream to a list as they come."""
    async with client.server_stream(WATCH, text(words)) as replies:
        async for reply in replies:
            got.append(reply.value)  # noqa: PERF401  what came before a failure counts


@every_transport
async def test_faults_disturb_calls_of_a_real_transport(transport: str) -> None:
    faults = CallFaults()
    async with running(application()) as app:
        url = next(each for each in app.endpoints if each.startswith(transport))
        async with Client(url, transport=faulty(transport, faults), timeout=None) as client:
            refusal = faults.refuse(operation=ECHO, times=1)
            with pytest.raises(Error) as refused:
                await client.unary(ECHO, text("ok"))
            assert (refused.value.code, refusal.hits) == (503, 1)
            faults.cut_stream(after=2)
            got: list[str] = []
            with pytest.raises(Error, match="broke after 2 replies"):
                await watch(client, "a b hang", got)
            assert got == ["a", "b"]
            faults.clear()
            assert (await client.unary(ECHO, text("ok"))).value == "ok"


@every_transport
async def test_half_open_link_of_a_real_transport_holds_an_open_stream(transport: str) -> None:
    faults = CallFaults()
    async with running(application()) as app:
        url = next(each for each in app.endpoints if each.startswith(transport))
        async with (
            Client(url, transport=faulty(transport, faults), timeout=None) as client,
            client.bidi_stream(CHAT, CallOptions(timeout=0)) as stream,
        ):
            await stream.send(text("a"))
            assert (await anext(stream)).value == "a"
            faults.half_open()
            sending = asyncio.create_task(stream.send(text("b")))
            reading = asyncio.ensure_future(anext(stream))
            await asyncio.wait((sending, reading), timeout=0.05)
            assert not sending.done()
            assert not reading.done()
            faults.restore()
            await sending
            assert (await reading).value == "b"
