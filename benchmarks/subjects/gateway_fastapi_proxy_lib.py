"""fastapi-proxy-lib on uvicorn: ``gateway_fastapi_proxy_lib HOST:PORT ROUTES``."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from benchmarks.subjects.on_uvicorn import serve

httpx: Any = import_module("httpx")
library: Any = import_module("fastapi_proxy_lib.core.http")


def _app(routes: int) -> Starlette:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
    node = f"http://{os.environ['BENCH_BACKEND']}/"
    proxy = library.ReverseHttpProxy(httpx.AsyncClient(limits=limits), base_url=node)

    async def forward(request: Request) -> Any:
        return await proxy.proxy(request=request, path=request.url.path.removeprefix("/"))

    return Starlette(
        routes=[Route(f"/r{number:05}/{{path:path}}", forward) for number in range(routes)]
    )


if __name__ == "__main__":
    serve(_app(int(sys.argv[2])))
