"""pyqwest: reqwest, in threads of Rust, whose time counts as that of the process."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from benchmarks.client.case import ACCEPT, GET, KIND, ORDER, POST, Cases, check

library: Any = import_module("pyqwest")


@asynccontextmanager
async def opened(address: str) -> AsyncGenerator[Cases]:
    """Ask by one transport."""
    url = f"http://{address}"
    kind = {**ACCEPT, "content-type": KIND}
    async with library.HTTPTransport() as transport:
        client = library.Client(transport)

        async def get() -> None:
            reply = await client.get(url + GET, headers=ACCEPT)
            check("get", reply.status, reply.content)

        async def order() -> None:
            body = json.dumps(ORDER).encode()
            reply = await client.post(url + POST, headers=kind, content=body)
            check("order", reply.status, reply.content)

        yield {"get": get, "order": order}


SUBJECTS = {"pyqwest": opened}
