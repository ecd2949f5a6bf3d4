"""Starlette on uvicorn, written as its documentation teaches: dictionaries, nothing validated."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from benchmarks.subjects.on_uvicorn import serve


async def hello(request: Request) -> JSONResponse:
    """Greet."""
    return JSONResponse({"message": "Hello " + request.path_params["name"]})


async def order(request: Request) -> JSONResponse:
    """Add an order up."""
    given: dict[str, Any] = await request.json()
    total = sum(line["quantity"] * line["price"] for line in given["lines"])
    return JSONResponse({"id": given["customer"], "total": total, "lines": given["lines"]})


if __name__ == "__main__":
    serve(
        Starlette(routes=[Route("/hello/{name}", hello), Route("/orders", order, methods=["POST"])])
    )
