"""The server of grpcio on threads, as many as the documentation's examples have: ten."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from bench.bench_pb2 import CountRequest, HelloReply, HelloRequest

from benchmarks.subjects.greetings import greeting


def _hello(request: HelloRequest, _context: grpc.ServicerContext) -> HelloReply:
    return greeting(request)


def _count(request: CountRequest, _context: grpc.ServicerContext) -> Iterator[HelloReply]:
    for _ in range(request.messages):
        yield greeting(request)


def _serve(address: str) -> None:
    server = grpc.server(ThreadPoolExecutor(max_workers=10))
    types: Any = {"response_serializer": HelloReply.SerializeToString}
    hello = grpc.unary_unary_rpc_method_handler(
        _hello, request_deserializer=HelloRequest.FromString, **types
    )
    count = grpc.unary_stream_rpc_method_handler(
        _count, request_deserializer=CountRequest.FromString, **types
    )
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler("bench.Bench", {"Hello": hello}),
            grpc.method_handlers_generic_handler("bench.Counter", {"Count": count}),
        )
    )
    server.add_insecure_port(address)

    def stop(_number: int, _frame: object) -> None:
        server.stop(1)

    signal.signal(signal.SIGTERM, stop)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    _serve(sys.argv[1])
