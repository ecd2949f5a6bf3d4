"""A service whose calls wait until it is told to stop: ``holding_service.py REGISTRY CALLS``.

Prints ``serving``, then ``full`` when so many calls wait, and answers them when it stops.
"""

from __future__ import annotations

import asyncio
import sys

from google.protobuf.wrappers_pb2 import StringValue

from kratos import App
from kratos.middleware import recovery
from kratos.testing.echo import EchoService
from kratos_grpc import GrpcServer
from kratos_http import HttpServer


class Holding(EchoService):
    def __init__(self, calls: int) -> None:
        super().__init__()
        self._missing = calls
        self._release = asyncio.Event()

    async def echo(self, request: StringValue, /) -> StringValue:
        self._missing -= 1
        if self._missing == 0:
            print("full", flush=True)
        await self._release.wait()
        return request

    def release(self, app: App) -> None:
        self._release.set()


def build(registry: str, calls: int) -> App:
    service = Holding(calls)
    return App(
        name="holding",
        services=[service],
        middleware=[recovery()],
        servers=[HttpServer("127.0.0.1:0", timeout=60), GrpcServer("127.0.0.1:0", timeout=60)],
        registrar=registry,
        require_registration=True,
        after_start=[lambda app: print("serving", flush=True)],
        before_stop=[service.release],
    )


if __name__ == "__main__":
    build(sys.argv[1], int(sys.argv[2])).serve()
