"""The contract of middleware, over a socket, on both engines and in both versions of HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import uvicorn

from kratos.client import Client
from kratos.middleware import AnyMiddleware
from kratos.testing.availability_contract import AvailabilityContract
from kratos.testing.middleware_contract import MiddlewareContract, Transport
from kratos.transport import Caller, Mount, Service
from kratos_http import Asgi, HttpConnector, HttpServer
from kratos_http.testing import eventually, running


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
    http2: bool = False,
) -> AsyncGenerator[Served]:
    server = HttpServer("127.0.0.1:0", middleware=middleware, timeout=None, timeouts=timeouts)
    server.mount(Mount(services=[service]))
    async with running(server):
        (url,) = await server.bind()
        connector = HttpConnector(http2=http2)
        client = Client(url, transport=connector, middleware=client_middleware, timeout=None)
        async with client:
            yield Served(server, client)


def over_http2(
    service: Service,
    /,
    *,
    middleware: Sequence[AnyMiddleware] = (),
    client_middleware: Sequence[AnyMiddleware] = (),
    timeouts: dict[str, float] | None = None,
) -> AbstractAsyncContextManager[Served]:
    return over_http(
        service,
        middleware=middleware,
        client_middleware=client_middleware,
        timeouts=timeouts,
        http2=True,
    )


@asynccontextmanager
async def over_asgi(
    service: Service,
    /,
    *,
    middleware: Sequence[AnyMiddleware] = (),
    client_middleware: Sequence[AnyMiddleware] = (),
    timeouts: dict[str, float] | None = None,
) -> AsyncGenerator[Served]:
    server = HttpServer(middleware=middleware, timeout=None, timeouts=timeouts)
    server.mount(Mount(services=[service]))
    config = uvicorn.Config(Asgi(server.application), log_config=None, ws="websockets-sansio")
    host = uvicorn.Server(config)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        serving = asyncio.ensure_future(host.serve(sockets=[sock]))
        await eventually(lambda: host.started)
        client = Client(url, transport=HttpConnector(), middleware=client_middleware, timeout=None)
        async with client:
            yield Served(server, client)
        host.should_exit = True
        await serving


class TestHttp(MiddlewareContract):
    """Holds the built-in engine to the contract."""

    @pytest.fixture
    def transport(self) -> Transport:
        return over_http


class TestHttpAvailability(AvailabilityContract):
    """The same for limiters and breakers."""

    @pytest.fixture
    def transport(self) -> Transport:
        return over_http


class TestHttp2(MiddlewareContract):
    """Holds the built-in engine to it over HTTP/2."""

    @pytest.fixture
    def transport(self) -> Transport:
        return over_http2


class TestHttp2Availability(AvailabilityContract):
    """The same for limiters and breakers."""

    @pytest.fixture
    def transport(self) -> Transport:
        return over_http2


class TestAsgi(MiddlewareContract):
    """Holds the application on an ASGI server to it."""

    @pytest.fixture
    def transport(self) -> Transport:
        return over_asgi
