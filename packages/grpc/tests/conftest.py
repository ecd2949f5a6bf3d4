from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from kratos.health import Health
from kratos.middleware import AnyMiddleware
from kratos.selector import Node
from kratos.transport import ChainCaller, Mount, Service
from kratos_grpc import GrpcConnector, GrpcServer
from kratos_grpc._connection import GrpcConnection


@dataclass
class Running:
    """A server that serves, with a client at its other end."""

    server: GrpcServer
    connection: GrpcConnection
    caller: ChainCaller
    address: str

    async def drain(self, timeout: float, /) -> None:
        """Stop the calls of the server as an application does that gives them ``timeout``."""
        stopping = asyncio.create_task(self.server.stop())
        await asyncio.wait((stopping,), timeout=timeout)
        if not stopping.done():
            stopping.cancel()
            await asyncio.wait((stopping,))


class Serve(Protocol):
    def __call__(
        self,
        *services: Service,
        middleware: Sequence[AnyMiddleware] = (),
        client_middleware: Sequence[AnyMiddleware] = (),
        connector: GrpcConnector | None = None,
        health: Health | None = None,
        secure: bool = False,
        **options: Any,
    ) -> AbstractAsyncContextManager[Running]: ...


@asynccontextmanager
async def _serving(
    *services: Service,
    middleware: Sequence[AnyMiddleware] = (),
    client_middleware: Sequence[AnyMiddleware] = (),
    connector: GrpcConnector | None = None,
    health: Health | None = None,
    secure: bool = False,
    **options: Any,
) -> AsyncGenerator[Running]:
    address = options.pop("address", "127.0.0.1:0")
    options.setdefault("timeout", None)
    server = GrpcServer(address, **options)
    server.mount(Mount(services=services, middleware=middleware, health=health))
    urls = await server.bind()
    target = urls[0].partition("://")[2] if urls else address
    running = asyncio.create_task(server.start())
    await server.ready()
    node = Node(scheme="grpc", address=target, secure=secure)
    connection = (connector or GrpcConnector()).connect(node)
    caller = ChainCaller(
        connection.invoke, transport="grpc", middleware=client_middleware, timeout=None
    )
    try:
        yield Running(server, connection, caller, target)
    finally:
        await connection.aclose()
        await server.stop()
        await running


@pytest.fixture
def serve() -> Serve:
    """Serve services over gRPC, without a default time limit on either side."""
    return _serving
