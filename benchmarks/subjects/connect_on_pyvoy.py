"""connect-python's gRPC on pyvoy, the server that its documentation names for that (on Envoy)."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.bench_pb2 import CountRequest, HelloReply, HelloRequest

from benchmarks.grpc_calls import COUNT, HELLO
from benchmarks.subjects.greetings import greeting


class _Service:
    async def hello(self, request: HelloRequest, _: Any) -> HelloReply:
        return greeting(request)

    async def count(self, request: CountRequest, _: Any) -> AsyncIterator[HelloReply]:
        for _number in range(request.messages):
            yield greeting(request)


def application() -> Any:
    """Return what generated code would make of the two services, as one application."""
    compat: Any = import_module("connectrpc.compat")
    server: Any = import_module("connectrpc.server")
    library: Any = import_module("connectrpc.method")
    kinds = library.StreamType
    types: Any = {
        "output": HelloReply,
        "idempotency_level": library.IdempotencyLevel.UNKNOWN,
    }
    hello = library.MethodInfo(
        name="Hello",
        service_name="bench.Bench",
        stream_type=kinds.UNARY,
        input=HelloRequest,
        **types,
    )
    count = library.MethodInfo(
        name="Count",
        service_name="bench.Counter",
        stream_type=kinds.SERVER_STREAM,
        input=CountRequest,
        **types,
    )

    def endpoints(service: _Service) -> dict[str, Any]:
        return {
            HELLO: server.Endpoint.unary(method=hello, function=service.hello),
            COUNT: server.Endpoint.server_stream(method=count, function=service.count),
        }

    kind: Any = type("Bench", (server.ConnectASGIApplication,), {"path": "/bench.Bench"})
    codecs = compat.google_protobuf_codecs()
    return kind(service=_Service(), endpoints=endpoints, codecs=codecs)


if __name__ == "__main__":
    host, _, port = sys.argv[1].rpartition(":")
    app = "benchmarks.subjects.connect_on_pyvoy:app"
    program = str(Path(sys.executable).with_name("pyvoy"))
    arguments = ["--address", host, "--port", port, "--loop", "uvloop", "--no-lifespan", app]
    os.execv(program, [program, *arguments])
else:
    # Its server sets futures twice when a reply ends, which the loop would log each time.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    app = application()
