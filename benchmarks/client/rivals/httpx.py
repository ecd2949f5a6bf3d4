"""httpx."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from benchmarks.client.case import ACCEPT, GET, KIND, ORDER, POST, Cases, check

library: Any = import_module("httpx")


@asynccontextmanager
async def opened(address: str) -> AsyncGenerator[Cases]:
    """Ask by one client."""
    async with library.AsyncClient(base_url=f"http://{address}", headers=ACCEPT) as client:

        async def get() -> None:
            reply = await client.get(GET)
            check("get", reply.status_code, reply.content)

        async def order() -> None:
            body = json.dumps(ORDER).encode()
            reply = await client.post(POST, content=body, headers={"content-type": KIND})
            check("order", reply.status_code, reply.content)

        yield {"get": get, "order": order}


SUBJECTS = {"httpx": opened}
