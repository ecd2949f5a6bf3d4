"""What all tests of Connect begin with: a server on a port, and a connection to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import pytest

from kratos.middleware import AnyMiddleware
from kratos.transport import Mount, Service
from kratos_grpc.connect import Connect
from kratos_http import HttpServer
from kratos_http.testing import SocketPeer, socket_peer


class Speak(Protocol):
    def __call__(
        self, *services: Service, middleware: Sequence[AnyMiddleware] = (), **options: Any
    ) -> AbstractAsyncContextManager[SocketPeer]: ...


@pytest.fixture
def speak() -> Speak:
    """Return what serves services over Connect, and connects to them by HTTP/1.1."""

    @asynccontextmanager
    async def speaking(
        *services: Service, middleware: Sequence[AnyMiddleware] = (), **options: Any
    ) -> AsyncGenerator[SocketPeer]:
        server = HttpServer(
            "127.0.0.1:0", middleware=middleware, protocols=[Connect(**options)], timeout=None
        )
        server.mount(Mount(services=services))
        async with socket_peer(server) as peer:
            yield peer

    return speaking
