"""niquests."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from benchmarks.client.case import ACCEPT, GET, KIND, ORDER, POST, Cases, check

library: Any = import_module("niquests")


@asynccontextmanager
async def opened(address: str) -> AsyncGenerator[Cases]:
    """Ask by one session."""
    url = f"http://{address}"
    kind = {**ACCEPT, "content-type": KIND}
    async with library.AsyncSession(pool_maxsize=100) as client:

        async def get() -> None:
            reply = await client.get(url + GET, headers=ACCEPT)
            check("get", reply.status_code, reply.content)

        async def order() -> None:
            body = json.dumps(ORDER).encode()
            reply = await client.post(url + POST, data=body, headers=kind)
            check("order", reply.status_code, reply.content)

        yield {"get": get, "order": order}


SUBJECTS = {"niquests": opened}
