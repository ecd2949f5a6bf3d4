"""BlackSheep on uvicorn, as its documentation teaches."""

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


def application() -> Any:
    """Return what is served."""
    blacksheep: Any = import_module("blacksheep")
    app = blacksheep.Application()
    app.router.add_get("/hello/{name}", hello)
    app.router.add_post("/orders", order)
    return app


if __name__ == "__main__":
    serve(application(), lifespan="on")  # without one it does not serve
