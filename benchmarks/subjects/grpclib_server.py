"""grpclib, which is written in Python on h2, on uvloop."""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module
from typing import Any

import uvloop
from bench.bench_pb2 import CountRequest, HelloReply, HelloRequest

from benchmarks.grpc_calls import COUNT, HELLO
from benchmarks.subjects.greetings import greeting


class _Service:
    """What generated code would say."""

    async def hello(self, stream: Any) -> None:
        await stream.send_message(greeting(await stream.recv_message()))

    async def count(self, stream: Any) -> None:
        request = await stream.recv_message()
        for _ in range(request.messages):
            await stream.send_message(greeting(request))

    def __mapping__(self) -> dict[str, Any]:  # grpclib's own name
        const: Any = import_module("grpclib.const")
        kinds = const.Cardinality
        return {
            HELLO: const.Handler(self.hello, kinds.UNARY_UNARY, HelloRequest, HelloReply),
            COUNT: const.Handler(self.count, kinds.UNARY_STREAM, CountRequest, HelloReply),
        }


async def _serve(address: str) -> None:
    library: Any = import_module("grpclib.server")
    utils: Any = import_module("grpclib.utils")
    host, _, port = address.rpartition(":")
    server = library.Server([_Service()])
    with utils.graceful_exit([server]):
        await server.start(host, int(port))
        await server.wait_closed()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(sys.argv[1]))
