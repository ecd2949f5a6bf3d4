"""A service that more is asked of than it can do.

``overloaded HOST:PORT http|grpc computes|waits none|bbr|...``. Either way it can answer some 200
calls a second: ``computes`` keeps the CPU busy for 5 ms each, ``waits`` has a back end that does
8 at a time in 40 ms.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Final

from bench.bench_pb2 import HelloReply, HelloRequest

from benchmarks.subjects.kratos_service import BenchService
from kratos import App
from kratos.middleware import AnyMiddleware, ratelimit, recovery, shedding
from kratos_grpc import GrpcServer
from kratos_http import HttpServer

_COMPUTING: Final = 0.005  # seconds, by the clock so that neighbours do not stretch it
_WAITING: Final = 0.04  # seconds
_AT_A_TIME: Final = 8

PROTECTIONS: Final[dict[str, Callable[[], AnyMiddleware]]] = {
    "bbr": lambda: ratelimit("bbr"),
    "gradient2": lambda: ratelimit("gradient2"),
    "shedder": shedding,
}


class Computes(BenchService):
    """Takes the CPU for itself while it computes."""

    async def hello(self, request: HelloRequest, /) -> HelloReply:
        """Greet, after a lot of thought."""
        end = time.perf_counter() + _COMPUTING
        while time.perf_counter() < end:
            pass
        return HelloReply(message="Hello " + request.name)


class Waits(BenchService):
    """Waits for a back end that does a few things at a time."""

    def __init__(self) -> None:
        self._back_end = asyncio.Semaphore(_AT_A_TIME)

    async def hello(self, request: HelloRequest, /) -> HelloReply:
        """Greet, when the back end has answered."""
        async with self._back_end:
            await asyncio.sleep(_WAITING)
        return HelloReply(message="Hello " + request.name)


def build(address: str, transport: str, work: str, protection: str) -> App:
    """Return the application."""
    chain: list[AnyMiddleware] = [recovery()]
    if protection != "none":
        chain.append(PROTECTIONS[protection]())
    return App(
        name="overloaded",
        services=[Computes() if work == "computes" else Waits()],
        middleware=chain,
        servers=[HttpServer(address) if transport == "http" else GrpcServer(address)],
    )


if __name__ == "__main__":
    build(*sys.argv[1:5]).serve()
