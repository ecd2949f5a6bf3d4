"""The floor of grpc.aio, messages in and out: ``grpc_aio_raw HOST:PORT uvloop|asyncio``."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import uvloop
from bench.bench_pb2 import CountRequest, HelloReply, HelloRequest

from benchmarks.subjects.greetings import greeting


async def _hello(request: HelloRequest, _context: Any) -> HelloReply:
    return greeting(request)


async def _count(request: CountRequest, _context: Any) -> AsyncIterator[HelloReply]:
    for _ in range(request.messages):
        yield greeting(request)


async def _serve(address: str) -> None:
    server = grpc.aio.server()
    types: Any = {"response_serializer": HelloReply.SerializeToString}
    hello = grpc.unary_unary_rpc_method_handler(
        _hello, request_deserializer=HelloRequest.FromString, **types
    )
    count: Any = grpc.unary_stream_rpc_method_handler(
        _count, request_deserializer=CountRequest.FromString, **types
    )
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler("bench.Bench", {"Hello": hello}),
            grpc.method_handlers_generic_handler("bench.Counter", {"Count": count}),
        )
    )
    server.add_insecure_port(address)
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(1)


if __name__ == "__main__":
    factory = uvloop.new_event_loop if sys.argv[2] == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(sys.argv[1]))
