"""The client of connectrpc, over its gRPC protocol; HTTP is that of pyqwest, which is in Rust."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from bench.bench_pb2 import HelloReply, HelloRequest

from benchmarks.client.case import Cases
from benchmarks.grpc_calls import check_greeting

library: Any = import_module("connectrpc.client")
compat: Any = import_module("connectrpc.compat")
method: Any = import_module("connectrpc.method")
protocol: Any = import_module("connectrpc.protocol")
pyqwest: Any = import_module("pyqwest")


@asynccontextmanager
async def opened(address: str) -> AsyncGenerator[Cases]:
    """Ask on one connection."""
    transport = pyqwest.HTTPTransport(http_version=pyqwest.HTTPVersion.HTTP2)
    codec, *_ = compat.google_protobuf_codecs()
    hello = method.MethodInfo(
        name="Hello",
        service_name="bench.Bench",
        stream_type=method.StreamType.UNARY,
        input=HelloRequest,
        output=HelloReply,
        idempotency_level=method.IdempotencyLevel.UNKNOWN,
    )
    async with (
        transport,
        library.ConnectClient(
            f"http://{address}",
            codec=codec,
            protocol=protocol.ProtocolType.GRPC,
            accept_compression=(),
            send_compression=None,
            http_client=pyqwest.Client(transport),
        ) as client,
    ):

        async def unary() -> None:
            request = HelloRequest(name="kratos")
            check_greeting(
                await client.execute_unary(request=request, method=hello, timeout_ms=2_000)
            )

        yield {"unary": unary}


# Of a thousand small messages on end, pyqwest takes the server for an attacker.
CASES = ("unary",)
SUBJECTS = {"connect-python": opened}
