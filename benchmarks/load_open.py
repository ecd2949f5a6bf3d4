"""Open-loop load: calls come when they come, whether or not those before them were answered.

A load of connections that ask again when they are answered slows down with the server, and so hides
what overload does. Here calls arrive at random, at a mean rate, each in a task of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeAlias, cast

import grpc.aio

from benchmarks.load_http import content_length

__all__ = ["PATIENCE", "Opened", "Tally", "drive_closed", "drive_open", "over_grpc", "over_http"]

PATIENCE: Final = 2.0  # seconds that a caller waits

_SEED: Final = 7
_BEFORE: Final = 3.0  # seconds without overload, at most
_KEPT: Final = 200  # connections
_GAVE_UP: Final = 0

_GET: Final = b"GET /hello/kratos HTTP/1.1\r\nhost: bench\r\naccept: application/json\r\n\r\n"

Ask: TypeAlias = Callable[[], Awaitable[int]]
Opened: TypeAlias = Callable[[str], AbstractAsyncContextManager[Ask]]

_GRPC_STATUS: Final = {
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


@dataclass(slots=True)
class Tally:
    """What became of the calls.

    Attributes:
        seconds: How long calls arrived.
        latencies: Seconds of those that were answered well.
        counted: Those that were answered well, in seconds that nobody knows.
        refused: Calls that the server refused for want of room.
        late: Calls for which the time ran out, at the server or at the caller.
        failed: Calls that ended otherwise.
    """

    seconds: float
    latencies: list[float] = field(default_factory=list[float])
    counted: int = 0
    refused: int = 0
    late: int = 0
    failed: int = 0

    def add(self, status: int, took: float) -> None:
        """Count one call."""
        if status == 200:
            self.latencies.append(took)
        elif status == 429:
            self.refused += 1
        elif status in (504, _GAVE_UP):
            self.late += 1
        else:
            self.failed += 1

    @property
    def sent(self) -> int:
        """All calls."""
        return self.good + self.refused + self.late + self.failed

    @property
    def goodput(self) -> float:
        """Good answers in a second."""
        return self.good / self.seconds

    @property
    def good(self) -> int:
        """Good answers."""
        return len(self.latencies) + self.counted

    def share(self, count: int) -> float:
        """Return what part of all calls a count is."""
        return count / self.sent if self.sent else 0.0

    def percentile(self, percent: float) -> float:
        """Return the seconds within which so many percent of the good answers came."""
        ordered = sorted(self.latencies)
        if not ordered:
            return math.nan
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def drive_open(
    opened: Opened, address: str, *, before: float, rate: float, seconds: float
) -> Tally:
    """Let calls arrive at ``before`` per second for some seconds, then at ``rate``.

    Only the latter count.
    """

    async def drive() -> Tally:
        async with opened(address) as ask:
            return await _arrivals(ask, before, rate, seconds)

    return asyncio.run(drive())


def drive_closed(opened: Opened, address: str, *, calls: int, seconds: float) -> float:
    """Keep a number of calls in flight; return how many were answered well in a second."""

    async def drive() -> float:
        good = 0
        end = time.perf_counter() + seconds

        async def again(ask: Ask) -> None:
            nonlocal good
            while time.perf_counter() < end:
                if await ask() == 200:
                    good += 1

        async with opened(address) as ask, asyncio.TaskGroup() as group:
            for _ in range(calls):
                group.create_task(again(ask))
        return good / seconds

    return asyncio.run(drive())


async def _arrivals(ask: Ask, before: float, rate: float, seconds: float) -> Tally:
    tally, draw = Tally(seconds), random.Random(_SEED)
    begin = time.perf_counter()

    async def one(*, counts: bool) -> None:
        sent = time.perf_counter()
        status = await ask()
        if counts:
            tally.add(status, time.perf_counter() - sent)

    due, change = 0.0, min(_BEFORE, seconds)
    async with asyncio.TaskGroup() as group:
        while due < change + seconds:
            due += draw.expovariate(before if due < change else rate)
            wait = begin + due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            group.create_task(one(counts=due >= change))
    return tally


@asynccontextmanager
async def over_grpc(address: str) -> AsyncGenerator[Ask]:
    """Ask over gRPC, all calls on a few connections."""
    channels = [
        grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        for _ in range(4)
    ]
    methods: list[grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = [
        channel.unary_unary("/bench.Bench/Hello") for channel in channels
    ]
    turn = itertools.cycle(methods)

    async def ask() -> int:
        try:
            await next(turn)(b"\x0a\x06kratos", timeout=PATIENCE)
        except grpc.aio.AioRpcError as error:
            return _GRPC_STATUS.get(error.code(), 500)
        return 200

    try:
        yield ask
    finally:
        for channel in channels:
            await channel.close()


@asynccontextmanager
async def over_http(address: str) -> AsyncGenerator[Ask]:
    """Ask over HTTP/1.1, each call on a kept connection that is free, or on a new one."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    peers = {(await loop.create_connection(_Peer, host, int(port)))[1] for _ in range(_KEPT)}
    free = list(peers)

    async def ask() -> int:
        peer = free.pop() if free else None
        try:
            async with asyncio.timeout(PATIENCE):
                if peer is None:
                    _, peer = await loop.create_connection(_Peer, host, int(port))
                    peers.add(peer)
                status = await peer.ask()
        except TimeoutError:
            status = _GAVE_UP
        except OSError:
            status = 503
        if status == _GAVE_UP and peer is not None:
            peer.close()
            peers.discard(peer)
        elif peer is not None:
            free.append(peer)
        return status

    try:
        yield ask
    finally:
        for peer in peers:
            peer.close()


class _Peer(asyncio.Protocol):
    """One connection, one call at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int] | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if found and len(rest) >= content_length(head):
            self._buffer = b""
            self._answered(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._answered(503)

    async def ask(self) -> int:
        """Ask once and return the status."""
        if self._transport is None:
            return 503
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(_GET)
        return await self._answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def _answered(self, status: int) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(status)
