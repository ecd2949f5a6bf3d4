"""Litestar on uvicorn, as its documentation teaches, with the decorators called by hand."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.subjects.on_uvicorn import serve
from benchmarks.subjects.plain_orders import HelloReply, OrderReply, OrderRequest, added_up


async def hello(name: str) -> HelloReply:
    """Greet."""
    return HelloReply(message="Hello " + name)


async def order(data: OrderRequest) -> OrderReply:
    """Add an order up."""
    return added_up(data)


if __name__ == "__main__":
    litestar: Any = import_module("litestar")
    handlers = [
        litestar.get("/hello/{name:str}")(hello),
        litestar.post("/orders", status_code=200)(order),
    ]
    serve(litestar.Litestar(handlers, openapi_config=None))
