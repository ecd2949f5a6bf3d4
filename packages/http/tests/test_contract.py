"""The contract of middleware, over a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import pytest

from kratos.client import Client
from kratos.middleware import AnyMiddleware
from kratos.testing.availability_contract import UnaryAvailabilityContract
from kratos.testing.middleware_contract import Transport, UnaryMiddlewareContract
from kratos.transport import Arity, Caller, Mount, Service
from kratos_http import HttpConnector, HttpServer
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


@asynccontextmanager
async def over_http(
    service: Service,
    /,
    *,
    middleware: Sequence[AnyMiddleware] = (),
    client_middleware: Sequence[AnyMiddleware] = (),
    timeouts: dict[str, float] | None = None,
) -> AsyncGenerator[Served]:
    server = HttpServer("127.0.0.1:0", middleware=middleware, timeout=None, timeouts=timeouts)
    server.mount(Mount(services=[service]))
    async with running(server):
        (url,) = await server.bind()
        client = Client(url, transport=HttpConnector(), middleware=client_middleware, timeout=None)
        async with client:
            yield Served(server, client)


class TestHttp(UnaryMiddlewareContract):
    """Holds what a transport carries to the contract."""

    arities = frozenset({Arity.UNARY, Arity.SERVER_STREAM})

    @pytest.fixture
    def transport(self) -> Transport:
        return over_http


class TestHttpAvailability(UnaryAvailabilityContract):
    """The same for limiters and breakers."""

    @pytest.fixture
    def transport(self) -> Transport:
        return over_http
