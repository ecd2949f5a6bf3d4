"""What the machine takes by itself: ready bytes are sent, and answers cut by their length."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, cast

from benchmarks.client.case import Ask, Cases, check, ready
from benchmarks.load_http import content_length

__all__ = ["SUBJECTS"]

_CONNECTIONS: Final = 32


class _Wire(asyncio.Protocol):
    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes) -> asyncio.Future[bytes]:
        self._answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answered

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if found and len(rest) >= content_length(head):
            self._buffer = b""
            self._answered.set_result(rest)

    def close(self) -> None:
        self._transport.close()


@asynccontextmanager
async def opened(address: str) -> AsyncGenerator[Cases]:
    """Ask by connections that are open all the time."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    wires = [(await loop.create_connection(_Wire, host, int(port)))[1] for _ in range(_CONNECTIONS)]
    idle = list(wires)

    def asking(case: str) -> Ask:
        async def ask() -> None:
            wire = idle.pop()
            body = await wire.ask(ready(case, address))
            idle.append(wire)
            check(case, 200, body)

        return ask

    yield {"get": asking("get"), "order": asking("order")}
    for wire in wires:
        wire.close()


SUBJECTS = {"no client at all": opened}
