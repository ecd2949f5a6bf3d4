"""A service of Kratos over sockets, as the proxy asks back ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from kratos.selector import Node
from kratos.testing.echo import EchoService
from kratos.transport import Mount
from kratos_gateway.exchange import Answer, Handler, Request
from kratos_grpc import GrpcServer
from kratos_http import HttpConnector
from kratos_http import carrier as http


def _through(carrier: http.Carrier) -> Handler:
    """Return a handler that asks over HTTP/2."""

    async def ask(asked: Request, /) -> Answer:
        assert isinstance(asked.body, bytes)
        sent = await carrier.open(http.Request(asked.method, asked.path, asked.headers))
        await sent.send(asked.body)
        await sent.end()
        status, headers = await sent.answer()
        return Answer(status, list(headers), sent)

    return ask


@pytest.fixture
async def echo() -> AsyncIterator[Handler]:
    """A handler behind which the service stands."""
    server = GrpcServer("127.0.0.1:0", engine="kratos")
    server.mount(Mount(services=(EchoService(),)))
    (url,) = await server.bind()
    serving = asyncio.ensure_future(server.start())
    await server.ready()
    node = Node(scheme="http", address=url.rpartition("/")[2])
    carrier = HttpConnector().carrier(node, http2=True)
    yield _through(carrier)
    await carrier.aclose()
    await server.stop()
    await serving
