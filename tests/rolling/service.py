"""A service of two workers, to be replaced or ended under load: ``service.py REGISTRY DELAY``.

Calls take a millisecond; a stream tells who serves it until it is cut off.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any, Final

from google.protobuf.wrappers_pb2 import StringValue

from kratos import App, run
from kratos.middleware import recovery
from kratos.testing.echo import EchoService
from kratos_grpc import GrpcServer
from kratos_http import HttpServer

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)


class Rolling(EchoService):
    async def echo(self, request: StringValue, /) -> StringValue:
        await asyncio.sleep(0.001)
        return StringValue(value=str(os.getpid()))

    async def watch(self, request: StringValue, /) -> AsyncIterator[StringValue]:
        while True:
            yield StringValue(value=str(os.getpid()))
            await asyncio.sleep(0.05)


def build() -> App:
    engine: Any = sys.argv[3]
    return App(
        name="rolling",
        services=[Rolling()],
        middleware=[recovery()],
        servers=[
            HttpServer("127.0.0.1:0", timeout=60.0),
            GrpcServer("127.0.0.1:0", timeout=60.0, engine=engine),
        ],
        registrar=sys.argv[1],
        require_registration=True,  # callers come when it says that it has started
        drain_delay=float(sys.argv[2]),
        stop_timeout=2.0,
        workers=2,
    )


def end_with_parent() -> None:
    """Have the system send SIGTERM to this process when the one that started it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    end_with_parent()
    run(build)
