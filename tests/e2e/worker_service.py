"""A service of several workers: ``worker_service.py REGISTRY OPTIONS``, the latter as JSON.

Calls are answered with the process id, after a moment. ``hold`` is answered when the worker is
told to stop; ``stick`` keeps its event loop busy. Prints ``serving PID``, ``held``, ``stuck`` and
``stopped PID``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

from google.protobuf.wrappers_pb2 import StringValue

from kratos import App, run
from kratos.errors import ConfigError
from kratos.metrics import MemoryMeter
from kratos.process import worker_slot
from kratos.testing.echo import EchoService
from kratos.transport import Server
from kratos_http import HttpServer
from kratos_http.debug import DebugServer


def say(text: str) -> None:
    # One write, so that lines of several processes do not mix.
    os.write(1, f"{text}\n".encode())


class Held(EchoService):
    def __init__(self, meter: MemoryMeter) -> None:
        super().__init__()
        self._release = asyncio.Event()
        self._calls = meter.counter("calls_total")

    async def echo(self, request: StringValue, /) -> StringValue:
        self._calls.inc()
        if request.value == "hold":
            say("held")
            await self._release.wait()
        if request.value == "stick":
            say("stuck")
            time.sleep(3600)  # noqa: ASYNC251  what it is for
        await asyncio.sleep(0.01)
        return StringValue(value=str(os.getpid()))

    def release(self, _app: App) -> None:
        self._release.set()


def build() -> App:
    options: dict[str, Any] = {"workers": 2, **json.loads(sys.argv[2])}
    failure = options.pop("failure", None)
    if failure is not None and worker_slot() is not None:
        raise {"refused": ConfigError, "failed": LookupError}[failure]("no luck today")
    servers: list[Server] = [HttpServer(options.pop("http", "127.0.0.1:0"), timeout=60)]
    engine = options.pop("engine", "grpcio")
    if grpc := options.pop("grpc", ""):
        from kratos_grpc import GrpcServer

        servers.append(GrpcServer(grpc, timeout=60, engine=engine))
    host = options.pop("host", None)
    meter = MemoryMeter()
    service = Held(meter)
    return App(
        **options,
        name="held",
        services=[service],
        servers=servers,
        host_servers=[] if host is None else [DebugServer(host, metrics=meter)],
        metrics=meter,
        registrar=sys.argv[1],
        after_start=[lambda _: say(f"serving {os.getpid()}")],
        before_stop=[service.release],
        after_stop=[lambda _: say(f"stopped {os.getpid()}")],
    )


if __name__ == "__main__":
    run(build)
