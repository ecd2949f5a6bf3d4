"""The connections of a client to one node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from kratos_http._dial import Dialer
from kratos_http._pool import ConnectionPool, PoolOptions

P = TypeVar("P", bound=asyncio.BaseProtocol)

OPTIONS = PoolOptions(
    max_connections=4, idle_timeout=60.0, connect_timeout=60.0, max_reply=1000, max_head=1000
)


class GatedDialer(Dialer):
    """One whose attempts to connect take until a test says so."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def open(self, make: Callable[[], P], *, through: bool = False) -> P:
        self.asked.set()
        await self.gate.wait()
        return await super().open(make, through=through)


async def test_kept_connection_is_a_sound_one_while_another_is_being_opened() -> None:
    ended: asyncio.Queue[None] = asyncio.Queue()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        ended.put_nowait(None)

    async with await asyncio.start_server(hold, "127.0.0.1") as server:
        host, port = server.sockets[0].getsockname()
        dialer = GatedDialer(f"{host}:{port}")
        pool = ConnectionPool(dialer, OPTIONS)
        await pool.warm()
        dialer.gate.clear()
        dialer.asked.clear()
        opening = asyncio.create_task(pool.dedicate())
        await dialer.asked.wait()
        states = [pool.healthy]
        await pool.warm()
        states.append(pool.healthy)
        dialer.gate.set()
        pool.dismiss(await opening)
        await pool.aclose(drain=0.0)
        for _ in range(2):
            await ended.get()
    assert states == [True, True]
