"""Kratos: ``kratos_server HOST:PORT http|one-port|grpc|grpcio``.

``one-port`` has REST, gRPC, gRPC-Web and Connect on a port of its own HTTP/2; ``grpc`` has gRPC
alone on it.
"""

from __future__ import annotations

import sys

from benchmarks.subjects.kratos_service import CHAIN, BenchService, CounterService
from kratos import App
from kratos.transport import Server
from kratos_grpc import Grpc, GrpcServer, GrpcWeb
from kratos_grpc.connect import Connect
from kratos_http import HttpServer


def build(address: str, transport: str) -> App:
    """Return the application."""
    server = _server(address, transport)
    services = [BenchService(), CounterService()]
    return App(name="bench", services=services, middleware=CHAIN, servers=[server])


def _server(address: str, transport: str) -> Server:
    if transport == "http":
        return HttpServer(address)
    if transport == "one-port":
        return HttpServer(address, protocols=[Grpc(), GrpcWeb(), Connect()])
    return GrpcServer(address, engine="kratos" if transport == "grpc" else "grpcio")


if __name__ == "__main__":
    build(sys.argv[1], sys.argv[2]).serve()
