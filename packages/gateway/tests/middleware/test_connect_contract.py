"""Our client of Connect, the gateway, and our server of gRPC: calls of all arities pass."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from kratos.client import Client
from kratos.definition import Definitions
from kratos.middleware import AnyMiddleware
from kratos.testing.middleware_contract import MiddlewareContract, Transport
from kratos.transport import Caller, Mount, Service
from kratos_gateway.api.connect_pb2 import Connect
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.registry import create
from kratos_gateway.testing import proxied
from kratos_grpc import Grpc
from kratos_grpc.connect import ConnectConnector
from kratos_http import HttpServer
from kratos_http.testing import running


class Served:
    """A server behind a gateway, with a client."""

    def __init__(self, server: HttpServer, caller: Caller) -> None:
        self.caller = caller
        self._server = server

    async def drain(self, timeout: float, /) -> None:
        stopping = asyncio.ensure_future(self._server.stop())
        await asyncio.wait({stopping}, timeout=timeout)
        stopping.cancel()
        await asyncio.wait({stopping})


def through(*, defined: bool, **options: Any) -> Transport:
    """Return what serves gRPC behind a gateway, and calls it over Connect."""

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
            protocols=[Grpc()],
        )
        server.mount(Mount(services=[service]))
        connector = ConnectConnector(**options)
        return serving(server, service, connector, client_middleware, defined=defined)

    return opener


def definitions(service: Service) -> bytes:
    """Return how a service is defined."""
    made = Definitions(service.METHODS)
    names = made.of_service(service.METHODS[0].service)
    files = [FileDescriptorProto.FromString(made.data(name)) for name in names]
    return FileDescriptorSet(file=files).SerializeToString()


@asynccontextmanager
async def serving(
    server: HttpServer,
    service: Service,
    connector: ConnectConnector,
    middleware: Sequence[AnyMiddleware],
    *,
    defined: bool,
) -> AsyncGenerator[Served]:
    told: dict[str, Any] = {"@type": f"type.googleapis.com/{Connect.DESCRIPTOR.full_name}"}
    if defined:
        told["descriptors"] = base64.b64encode(definitions(service)).decode()
    async with running(server):
        address = (await server.bind())[0].rpartition("/")[2]
        endpoint = {
            "path": "/*",
            "protocol": "GRPC",
            "timeout": "60s",
            "backends": [{"target": address}],
            "middlewares": [{"name": "connect", "required": True, "options": told}],
        }
        async with proxied(endpoint, middleware=partial(create, context=Context())) as gateway:
            # So that calls that are given up at once get to the service, too.
            peer = await gateway.connect()
            kind = ("content-type", "application/grpc")
            await peer.request("POST", "/unknown.Service/Method", headers=[kind])
            url = f"http://127.0.0.1:{gateway.listening.port}"
            async with Client(url, transport=connector, middleware=middleware, timeout=None) as it:
                yield Served(server, it)


class Contract(MiddlewareContract):
    """All but one: services are called by gRPC, whatever their clients speak."""

    test_call_tells_its_middleware_who_it_is = None  # type: ignore[assignment]


class TestProto(Contract):
    @pytest.fixture
    def transport(self) -> Transport:
        return through(defined=False)


class TestJsonByDefinitions(Contract):
    @pytest.fixture
    def transport(self) -> Transport:
        return through(defined=True, json=True)


class TestJsonByTheCodecOfTheService(Contract):
    @pytest.fixture
    def transport(self) -> Transport:
        return through(defined=False, json=True)


class TestHttp2(Contract):
    @pytest.fixture
    def transport(self) -> Transport:
        return through(defined=True, http2=True)


class TestCompressed(Contract):
    @pytest.fixture
    def transport(self) -> Transport:
        return through(defined=True, json=True, compression="gzip")
