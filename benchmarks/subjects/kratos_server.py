"""Kratos, over its own HTTP engine or over gRPC: ``kratos_server HOST:PORT http|grpc``."""

from __future__ import annotations

import sys

from benchmarks.subjects.kratos_service import CHAIN, BenchService, CounterService
from kratos import App
from kratos_grpc import GrpcServer
from kratos_http import HttpServer


def build(address: str, transport: str) -> App:
    """Return the application."""
    server = HttpServer(address) if transport == "http" else GrpcServer(address)
    services = [BenchService(), CounterService()]
    return App(name="bench", services=services, middleware=CHAIN, servers=[server])


if __name__ == "__main__":
    build(sys.argv[1], sys.argv[2]).serve()
