"""Kratos on several workers: ``kratos_workers HOST:PORT WORKERS [grpc]``."""

from __future__ import annotations

import sys

from bench.bench_pb2 import HelloReply, HelloRequest

from benchmarks.subjects.kratos_service import CHAIN, BenchService
from kratos import App, run
from kratos.process import worker_slot
from kratos_grpc import GrpcServer
from kratos_http import HttpServer


class Counting(BenchService):
    """Greets with the number of the worker."""

    async def hello(self, request: HelloRequest, /) -> HelloReply:
        """Greet."""
        return HelloReply(message=f"Hello {request.name} from {worker_slot()}")


def build() -> App:
    """Return the application."""
    server = GrpcServer(sys.argv[1]) if "grpc" in sys.argv else HttpServer(sys.argv[1])
    return App(name="bench", services=[Counting()], middleware=CHAIN, servers=[server])


if __name__ == "__main__":
    run(build, workers=int(sys.argv[2]))
