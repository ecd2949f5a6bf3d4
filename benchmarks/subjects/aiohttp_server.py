"""aiohttp's own server on uvloop: dictionaries, nothing validated."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import uvloop

web: Any = import_module("aiohttp.web")


async def hello(request: Any) -> Any:
    """Greet."""
    return web.json_response({"message": "Hello " + request.match_info["name"]})


async def order(request: Any) -> Any:
    """Add an order up."""
    given: dict[str, Any] = await request.json()
    total = sum(line["quantity"] * line["price"] for line in given["lines"])
    return web.json_response({"id": given["customer"], "total": total, "lines": given["lines"]})


if __name__ == "__main__":
    host, _, port = sys.argv[1].rpartition(":")
    app = web.Application()
    app.add_routes([web.get("/hello/{name}", hello), web.post("/orders", order)])
    web.run_app(
        app,
        host=host,
        port=int(port),
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
    )
