"""What ``cancelled`` opens streams at: they never end, and are counted while they are open.

Its ports are those of ``service``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from google.protobuf.wrappers_pb2 import StringValue
from tests.soak.service import Steady, tasks, tell

from kratos import App
from kratos.middleware import bulkhead, metadata, recovery
from kratos.transport.http import Reply
from kratos_grpc import Grpc, GrpcServer
from kratos_http import HttpServer, Request


class Endless(Steady):
    """Goes on for ever after what it is sent."""

    async def watch(self, request: StringValue, /) -> AsyncIterator[StringValue]:
        yield request
        await asyncio.get_running_loop().create_future()


def build() -> App:
    open_calls = bulkhead(1_000_000)

    async def calls(_request: Request) -> Reply:
        inflight = sum(stats.inflight for stats in open_calls.stats().values())
        return Reply(200, (), str(inflight).encode())

    http = HttpServer("127.0.0.1:0", protocols=[Grpc()])
    http.route("GET", "/tasks")(tasks)
    http.route("GET", "/calls")(calls)
    # Around the services alone: who asks is no call.
    http.use("/kratos.testing.Echo/*", [open_calls])
    grpc = GrpcServer("127.0.0.1:0", engine="grpcio")
    grpc.use("/kratos.testing.Echo/*", [open_calls])
    return App(
        name="endless",
        services=[Endless()],
        middleware=[recovery(), metadata()],
        servers=[http, grpc],
        after_start=[tell],
    )


if __name__ == "__main__":
    build().serve()
