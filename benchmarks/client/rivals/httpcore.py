"""httpcore, which is the connections of httpx alone."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from benchmarks.client.case import ACCEPT, GET, KIND, ORDER, POST, Cases, check

library: Any = import_module("httpcore")


@asynccontextmanager
async def opened(address: str) -> AsyncGenerator[Cases]:
    """Ask by one pool."""
    url = f"http://{address}"
    kind = {**ACCEPT, "content-type": KIND}
    async with library.AsyncConnectionPool(max_connections=100) as pool:

        async def get() -> None:
            reply = await pool.request("GET", url + GET, headers=ACCEPT)
            check("get", reply.status, reply.content)

        async def order() -> None:
            body = json.dumps(ORDER).encode()
            reply = await pool.request("POST", url + POST, headers=kind, content=body)
            check("order", reply.status, reply.content)

        yield {"get": get, "order": order}


SUBJECTS = {"httpcore": opened}
