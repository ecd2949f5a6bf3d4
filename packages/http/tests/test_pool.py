"""The connections of a client to one node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import pytest

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
        self.failure: OSError | None = None
        self.opened = 0

    async def open(self, make: Callable[[], P], *, through: bool = False) -> P:
        self.asked.set()
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        opened = await super().open(make, through=through)
        self.opened += 1
        return opened


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


@asynccontextmanager
async def gated() -> AsyncGenerator[tuple[ConnectionPool, GatedDialer]]:
    """Make a pool whose attempts to connect take until a test says so, and a server to lead to."""

    ended: asyncio.Queue[None] = asyncio.Queue()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        ended.put_nowait(None)

    async with await asyncio.start_server(hold, "127.0.0.1") as server:
        host, port = server.sockets[0].getsockname()
        dialer = GatedDialer(f"{host}:{port}")
        dialer.gate.clear()
        pool = ConnectionPool(dialer, OPTIONS)
        try:
            yield pool, dialer
        finally:
            await pool.aclose(drain=0.0)
            for _ in range(dialer.opened):
                await ended.get()


async def abandoned(attempt: Coroutine[Any, Any, object], dialer: GatedDialer) -> None:
    """Begin to connect, and give up."""
    connecting = asyncio.ensure_future(attempt)
    await dialer.asked.wait()
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting


async def test_caller_that_gives_up_connecting_says_nothing_of_the_server() -> None:
    async with gated() as (pool, dialer):
        await abandoned(pool.warm(), dialer)
        assert pool.healthy


async def test_connection_whose_caller_gave_up_serves_the_next_request() -> None:
    async with gated() as (pool, dialer):
        await abandoned(pool.warm(), dialer)
        dialer.gate.set()
        dialer.asked.clear()
        while pool.kept == 0:  # noqa: ASYNC110  nobody waits for it
            await asyncio.sleep(0)
        await pool.warm()
        assert not dialer.asked.is_set()


async def test_stream_whose_caller_gave_up_leaves_no_connection() -> None:
    async with gated() as (pool, dialer):
        await abandoned(pool.dedicate(), dialer)
        dialer.gate.set()
        while pool.open:  # noqa: ASYNC110  nobody waits for it
            await asyncio.sleep(0)


async def test_failure_to_connect_is_noted_though_its_caller_gave_up() -> None:
    async with gated() as (pool, dialer):
        dialer.failure = ConnectionRefusedError("nobody")
        await abandoned(pool.warm(), dialer)
        dialer.gate.set()
        while pool.healthy:  # noqa: ASYNC110  nobody waits for it
            await asyncio.sleep(0)
        assert pool.open == 0


async def test_pool_that_is_closed_waits_for_no_attempt_without_a_caller() -> None:
    async with gated() as (pool, dialer):
        await abandoned(pool.warm(), dialer)
        async with asyncio.timeout(30):
            await pool.aclose(drain=60.0)
        assert pool.open == 0


class Transport(asyncio.Transport):
    """One of TLS, which only an abort ends."""

    def __init__(self) -> None:
        super().__init__({"sslcontext": object()})
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.aborted = True


class TornDialer(Dialer):
    """One whose caller is gone in the moment in which the connection stands."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1:1")
        self.transport = Transport()

    async def open(self, make: Callable[[], P], *, through: bool = False) -> P:
        del through
        make().connection_made(self.transport)
        raise asyncio.CancelledError


@pytest.mark.parametrize("stream", [False, True])
async def test_connection_that_is_given_up_as_it_stands_is_cut_off(*, stream: bool) -> None:
    dialer = TornDialer()
    pool = ConnectionPool(dialer, OPTIONS)

    with pytest.raises(ConnectionAbortedError):
        await (pool.dedicate() if stream else pool.warm())

    assert dialer.transport.aborted
    assert pool.open == 0
    await pool.aclose(drain=0)


class StuckDialer(TornDialer):
    """One whose connections stand, and do not get any further."""

    async def open(self, make: Callable[[], P], *, through: bool = False) -> P:
        del through
        protocol = make()
        protocol.connection_made(self.transport)
        await asyncio.get_running_loop().create_future()
        return protocol


@pytest.mark.parametrize("stream", [False, True])
async def test_connection_that_takes_too_long_as_it_stands_is_cut_off(*, stream: bool) -> None:
    dialer = StuckDialer()
    pool = ConnectionPool(dialer, replace(OPTIONS, connect_timeout=0.0))

    with pytest.raises(TimeoutError):
        await (pool.dedicate() if stream else pool.warm())

    assert dialer.transport.aborted
    assert pool.open == 0
    await pool.aclose(drain=0)
