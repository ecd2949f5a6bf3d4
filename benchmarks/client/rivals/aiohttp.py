"""aiohttp, without cookies, which no service needs."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from benchmarks.client.case import ACCEPT, GET, KIND, ORDER, POST, Cases, check

library: Any = import_module("aiohttp")


@asynccontextmanager
async def opened(address: str) -> AsyncGenerator[Cases]:
    """Ask by one session."""
    jar = library.DummyCookieJar()
    async with library.ClientSession(f"http://{address}", headers=ACCEPT, cookie_jar=jar) as client:

        async def get() -> None:
            async with client.get(GET) as reply:
                check("get", reply.status, await reply.read())

        async def order() -> None:
            body = json.dumps(ORDER).encode()
            kind = {"content-type": KIND}
            async with client.post(POST, data=body, headers=kind) as reply:
                check("order", reply.status, await reply.read())

        yield {"get": get, "order": order}


SUBJECTS = {"aiohttp": opened}
