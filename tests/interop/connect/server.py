"""The server under test: started by the runner, which tells it on standard input what to serve."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from connectrpc.conformance.v1.conformance_pb2 import (
    ServerCompatRequest,
    ServerCompatResponse,
)
from tests.interop.connect.frames import read, standard_input, write
from tests.interop.connect.service import Service

from kratos import App
from kratos.tls import ServerTls
from kratos.transport import Missing
from kratos_gateway.api.connect_pb2 import Connect as Options
from kratos_gateway.backend import Apart
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.registry import create
from kratos_gateway.testing import proxied
from kratos_grpc import Grpc, GrpcServer, GrpcWeb
from kratos_grpc.connect import Connect
from kratos_grpc.limits import ServerLimits
from kratos_http import HttpServer
from kratos_http.protocols import HttpProtocol

ENGINES = ("gateway", "grpcio", "kratos")


def server_for(request: ServerCompatRequest, engine: str) -> Any:
    """Return what serves as the runner wants it."""
    tls = None
    if request.use_tls:
        tls = ServerTls(
            certificate=request.server_creds.cert,
            key=request.server_creds.key,
            client_ca=request.client_tls_cert or None,
        )
    most = request.message_receive_limit
    if engine == "grpcio":
        limits = ServerLimits(max_receive=most) if most else ServerLimits()
        return GrpcServer("127.0.0.1:0", timeout=None, tls=tls, limits=limits, engine="grpcio")
    more: dict[str, Any] = {"max_receive": most} if most else {}
    protocols: list[HttpProtocol] = [Grpc(**more), GrpcWeb(**more), Connect(**more)]
    return HttpServer("127.0.0.1:0", timeout=None, tls=tls, protocols=protocols)


@asynccontextmanager
async def behind_gateway(back_end: str) -> AsyncGenerator[str]:
    """Serve the gateway before a server of gRPC, and yield its address."""
    options: dict[str, Any] = {"@type": f"type.googleapis.com/{Options.DESCRIPTOR.full_name}"}
    options["reflection"] = {}
    endpoint: dict[str, Any] = {
        "path": "/*",
        "protocol": "GRPC",
        "timeout": "60s",
        "backends": [{"target": back_end}],
        "middlewares": [
            {"name": "grpcweb", "required": True},
            {"name": "connect", "required": True, "options": options},
        ],
    }
    factory = partial(create, context=Context(upstream=Apart))
    async with proxied(endpoint, middleware=factory) as gateway:
        yield f"127.0.0.1:{gateway.listening.port}"


async def serve(engine: str) -> None:
    """Serve until the runner says that it is enough."""
    request = await read(ServerCompatRequest, await standard_input())
    assert request is not None, "the runner says what to serve"
    incomplete: type[Any] = Service  # which is an error to type checkers otherwise
    app = App(
        name="conformance",
        services=[incomplete()],
        missing=Missing.UNIMPLEMENTED,
        servers=[server_for(request, engine)],
    )
    serving = asyncio.create_task(app.run())
    await app.ready()
    address = app.endpoints[0].partition("://")[2]
    async with AsyncExitStack() as stack:
        if engine == "gateway":
            address = await stack.enter_async_context(behind_gateway(address))
        host, _, port = address.rpartition(":")
        certificate = request.server_creds.cert if request.use_tls else b""
        told = ServerCompatResponse(host=host, port=int(port), pem_cert=certificate)
        write(told, sys.stdout.buffer)
        await serving


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, required=True)
    asyncio.run(serve(parser.parse_args().engine))
