"""What is soaked: every kind of call over HTTP and gRPC, and a count of its own tasks.

One port has our own HTTP/2, with HTTP and gRPC; the other has gRPC by grpcio. Prints both addresses
as JSON when it serves, under ``http`` and ``grpcio``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, ClassVar

from google.protobuf.wrappers_pb2 import StringValue

from kratos import App
from kratos.middleware import metadata, recovery
from kratos.testing.echo import ALL
from kratos.transport import Method, Service
from kratos.transport.http import Reply
from kratos_grpc import Grpc, GrpcServer
from kratos_http import HttpServer, Request


class Steady(Service):
    """Answers with what it is sent, and remembers nothing."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = ALL

    async def echo(self, request: StringValue, /) -> StringValue:
        return request

    async def collect(self, requests: AsyncIterator[StringValue], /) -> StringValue:
        return StringValue(value=str(len([request async for request in requests])))

    async def watch(self, request: StringValue, /) -> AsyncIterator[StringValue]:
        for word in request.value.split():
            yield StringValue(value=word)

    async def chat(self, requests: AsyncIterator[StringValue], /) -> AsyncIterator[StringValue]:
        async for request in requests:
            yield request


async def tasks(_request: Request) -> Reply:
    return Reply(200, (), str(len(asyncio.all_tasks())).encode())


def tell(app: App) -> None:
    found = [url.partition("://") for url in app.info.endpoints]
    (http,) = (address for scheme, _, address in found if scheme == "http")
    (grpcio,) = (address for scheme, _, address in found if scheme == "grpc" and address != http)
    print(json.dumps({"http": http, "grpcio": grpcio}), flush=True)


def build() -> App:
    http = HttpServer("127.0.0.1:0", protocols=[Grpc()])
    http.route("GET", "/tasks")(tasks)
    return App(
        name="soak",
        services=[Steady()],
        middleware=[recovery(), metadata()],
        servers=[http, GrpcServer("127.0.0.1:0", engine="grpcio")],
        after_start=[tell],
    )


if __name__ == "__main__":
    build().serve()
