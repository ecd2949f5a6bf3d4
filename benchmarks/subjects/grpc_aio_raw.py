"""The floor of grpc.aio: one generic handler, bytes in, bytes out."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

import grpc.aio
from bench.bench_pb2 import HelloReply, HelloRequest


async def _hello(request: HelloRequest, _context: Any) -> HelloReply:
    return HelloReply(message="Hello " + request.name)


async def _serve(address: str) -> None:
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        _hello,
        request_deserializer=HelloRequest.FromString,
        response_serializer=HelloReply.SerializeToString,
    )
    generic = grpc.method_handlers_generic_handler("bench.Bench", {"Hello": handler})
    server.add_generic_rpc_handlers((generic,))
    server.add_insecure_port(address)
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(1)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
