"""Kratos as an ASGI application on uvicorn."""

from __future__ import annotations

from benchmarks.subjects.kratos_service import CHAIN, BenchService
from benchmarks.subjects.on_uvicorn import serve
from kratos.transport import Mount
from kratos_http import Asgi, HttpServer

if __name__ == "__main__":
    server = HttpServer()
    server.mount(Mount(services=[BenchService()], middleware=CHAIN))
    serve(Asgi(server.application))
