"""Kratos' gateway: ``gateway_kratos HOST:PORT ROUTES``."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvloop

from kratos.transport.listening import place_of
from kratos_gateway.api.gateway_pb2 import Backend, Endpoint, Gateway, Protocol
from kratos_gateway.proxy import Proxy
from kratos_http.listening import Engine, Listening, Place


@asynccontextmanager
async def _nothing() -> AsyncGenerator[None]:
    yield


async def _serve(address: str, routes: int) -> None:
    node = Backend(target=os.environ["BENCH_BACKEND"])
    endpoints = [
        Endpoint(path=f"/r{number:05}/*", protocol=Protocol.HTTP, backends=[node])
        for number in range(routes)
    ]
    server = Listening(
        place_of(address),
        engine=Engine(Proxy(Gateway(endpoints=endpoints))),
        place=Place(),
        endpoint=None,
        tls=None,
        sock=None,
        cancel_grace=1.0,
    )
    await server.start(_nothing)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(sys.argv[1], int(sys.argv[2])))
