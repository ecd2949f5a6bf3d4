"""Clients that go away do no harm to the calls of others on the connections to nodes."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from kratos.transport.http import Head, Wire
from kratos_gateway.testing import backend, proxied, say
from kratos_http.testing import eventually


def to(address: str) -> dict[str, Any]:
    backends = [{"target": address}]
    return {"path": "/*", "protocol": "GRPC", "timeout": "60s", "backends": backends}


async def test_calls_that_are_cancelled_do_not_wear_out_the_connection_of_others() -> None:
    cancelled: Counter[str] = Counter()
    begun: asyncio.Queue[None] = asyncio.Queue()
    go = asyncio.Event()

    async def script(head: Head, wire: Wire) -> None:
        begun.put_nowait(None)
        if head.path == b"/long":
            await go.wait()
            await say(wire, 200, b"at last")
            return
        try:
            await asyncio.Event().wait()
        finally:
            cancelled[head.peer] += 1

    async with backend(script) as node, proxied(to(node.address)) as gateway:
        peer = await gateway.connect_http2()
        long = peer.begin("GET", "/long", end=True)
        await begun.get()
        for _ in range(300):
            call = peer.begin("GET", "/", end=True)
            await begun.get()
            call.reset()
        await eventually(lambda: cancelled.total() == 300)
        assert max(cancelled.values()) <= 100
        assert len(cancelled) > 2
        go.set()
        assert (await long.answer()).body == b"at last"
