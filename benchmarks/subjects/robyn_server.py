"""Robyn, one process and one worker: dictionaries, nothing validated."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any


async def hello(request: Any) -> dict[str, Any]:
    """Greet."""
    return {"message": "Hello " + request.path_params["name"]}


async def order(request: Any) -> dict[str, Any]:
    """Add an order up."""
    given: dict[str, Any] = request.json()
    total = sum(line["quantity"] * line["price"] for line in given["lines"])
    return {"id": given["customer"], "total": total, "lines": given["lines"]}


if __name__ == "__main__":
    host, _, port = sys.argv.pop().rpartition(":")  # robyn reads what is left there as its own
    app = import_module("robyn").Robyn(__file__)
    app.get("/hello/:name")(hello)
    app.post("/orders")(order)
    app.start(host=host, port=int(port))
