"""Kratos as an ASGI application on uvicorn (httptools, uvloop)."""

from __future__ import annotations

import sys

import uvicorn

from benchmarks.subjects.kratos_service import CHAIN, BenchService
from kratos.transport import Mount
from kratos_http import Asgi, HttpServer

if __name__ == "__main__":
    host, _, port = sys.argv[1].rpartition(":")
    server = HttpServer()
    server.mount(Mount(services=[BenchService()], middleware=CHAIN))
    uvicorn.run(
        Asgi(server.application),
        host=host,
        port=int(port),
        http="httptools",
        loop="uvloop",
        log_level="warning",
        access_log=False,
        lifespan="off",
    )
