"""Services behind every transport, for middleware that has to act the same on all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Final, Literal, Protocol

from kratos.client import Client
from kratos.middleware import AnyMiddleware
from kratos.transport import Caller, ChainCaller, Mount, Service
from kratos.transport.local import LocalTransport
from kratos_grpc import GrpcConnector, GrpcServer
from kratos_http import HttpConnector, HttpServer
from kratos_http.testing import running


class Open(Protocol):
    """Serves a service, notes where, and calls it."""

    def __call__(
        self,
        service: Service,
        /,
        *,
        middleware: Sequence[AnyMiddleware] = (),
        client_middleware: Sequence[AnyMiddleware] = (),
        urls: list[str] | None = None,
    ) -> AbstractAsyncContextManager[Caller]: ...


def tell(urls: list[str] | None, url: str) -> None:
    if urls is not None:
        urls.append(url)


@asynccontextmanager
async def over_http(
    service: Service,
    /,
    *,
    middleware: Sequence[AnyMiddleware] = (),
    client_middleware: Sequence[AnyMiddleware] = (),
    urls: list[str] | None = None,
) -> AsyncGenerator[Caller]:
    server = HttpServer("127.0.0.1:0", middleware=middleware, timeout=None)
    server.mount(Mount(services=[service]))
    async with running(server):
        (url,) = await server.bind()
        tell(urls, url)
        connector = HttpConnector()
        async with Client(
            url, transport=connector, middleware=client_middleware, timeout=None
        ) as client:
            yield client


@asynccontextmanager
async def over_grpc(
    service: Service,
    /,
    *,
    middleware: Sequence[AnyMiddleware] = (),
    client_middleware: Sequence[AnyMiddleware] = (),
    urls: list[str] | None = None,
    engine: Literal["grpcio", "kratos"],
) -> AsyncGenerator[Caller]:
    server = GrpcServer("127.0.0.1:0", middleware=middleware, timeout=None, engine=engine)
    server.mount(Mount(services=[service]))
    (url,) = await server.bind()
    tell(urls, url)
    serving = asyncio.create_task(server.start())
    await server.ready()
    try:
        connector = GrpcConnector(engine=engine)
        async with Client(
            url, transport=connector, middleware=client_middleware, timeout=None
        ) as client:
            yield client
    finally:
        await server.stop()
        await serving


@asynccontextmanager
async def in_process(
    service: Service,
    /,
    *,
    middleware: Sequence[AnyMiddleware] = (),
    client_middleware: Sequence[AnyMiddleware] = (),
    urls: list[str] | None = None,
) -> AsyncGenerator[Caller]:
    tell(urls, "local")
    transport = LocalTransport(service, middleware=middleware, timeout=None, encode=True)
    yield ChainCaller(
        transport.invoke, transport="local", middleware=client_middleware, timeout=None
    )


TRANSPORTS: Final[dict[str, Open]] = {
    "http": over_http,
    "grpc": partial(over_grpc, engine="grpcio"),
    "grpc-kratos": partial(over_grpc, engine="kratos"),
    "local": in_process,
}
"""Over HTTP a stream of replies is SSE, and one of requests a WebSocket."""
