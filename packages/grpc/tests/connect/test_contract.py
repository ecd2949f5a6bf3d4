"""The contract of middleware over Connect, with our client at the other end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from kratos.client import Client
from kratos.middleware import AnyMiddleware
from kratos.testing.availability_contract import AvailabilityContract
from kratos.testing.middleware_contract import MiddlewareContract, Transport
from kratos.transport import Caller, Mount, Service
from kratos_grpc.connect import Connect, ConnectConnector
from kratos_http import HttpServer
from kratos_http.testing import running


class Served:
    """A server of its own, with a client."""

    def __init__(self, server: HttpServer, caller: Caller) -> None:
        self.caller = caller
        self._server = server

    async def drain(self, timeout: float, /) -> None:
        stopping = asyncio.ensure_future(self._server.stop())
        await asyncio.wait({stopping}, timeout=timeout)
        stopping.cancel()
        await asyncio.wait({stopping})


def over_connect(**options: Any) -> Transport:
    """Return what serves over Connect, and calls so."""

    def opener(
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
            protocols=[Connect()],
        )
        server.mount(Mount(services=[service]))
        return serving(server, ConnectConnector(**options), client_middleware)

    return opener


@asynccontextmanager
async def serving(
    server: HttpServer, connector: ConnectConnector, middleware: Sequence[AnyMiddleware]
) -> AsyncGenerator[Served]:
    async with running(server):
        (url,) = await server.bind()
        async with Client(url, transport=connector, middleware=middleware, timeout=None) as client:
            yield Served(server, client)


class TestProto(MiddlewareContract):
    @pytest.fixture
    def transport(self) -> Transport:
        return over_connect()


class TestJson(MiddlewareContract):
    @pytest.fixture
    def transport(self) -> Transport:
        return over_connect(json=True)


class TestHttp2(MiddlewareContract):
    @pytest.fixture
    def transport(self) -> Transport:
        return over_connect(http2=True)


class TestAvailability(AvailabilityContract):
    @pytest.fixture
    def transport(self) -> Transport:
        return over_connect()
