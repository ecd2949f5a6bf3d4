"""grpc.aio alone in several processes at one port: ``raw_grpc_workers HOST:PORT PROCESSES``."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from typing import Any

import grpc.aio
from bench.bench_pb2 import HelloReply, HelloRequest


def _greeter(number: str) -> Any:
    async def hello(request: HelloRequest, _context: Any) -> HelloReply:
        return HelloReply(message=f"Hello {request.name} from {number}")

    return grpc.unary_unary_rpc_method_handler(
        hello,
        request_deserializer=HelloRequest.FromString,
        response_serializer=HelloReply.SerializeToString,
    )


async def _serve(address: str, number: str) -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 1)])
    generic = grpc.method_handlers_generic_handler("bench.Bench", {"Hello": _greeter(number)})
    server.add_generic_rpc_handlers((generic,))
    server.add_insecure_port(address)
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(1)


def _supervise(address: str, count: int) -> None:
    command = [sys.executable, "-m", "benchmarks.subjects.raw_grpc_workers", address, "as"]
    children = [subprocess.Popen([*command, str(number)]) for number in range(count)]

    def end(_number: int, _frame: object) -> None:
        for child in children:
            child.terminate()

    signal.signal(signal.SIGTERM, end)
    for child in children:
        child.wait()


if __name__ == "__main__":
    if sys.argv[2] == "as":
        asyncio.run(_serve(sys.argv[1], sys.argv[3]))
    else:
        _supervise(sys.argv[1], int(sys.argv[2]))
