"""A bounded load of gRPC by grpc.aio: a number of calls in flight, shared by some connections.

It is for where there is no Go: it keeps one core as busy as servers in Python keep the other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import grpc.aio

from benchmarks.grpc_calls import COUNT, COUNTED, HELLO

__all__ = ["drive", "drive_hello", "drive_streams", "one_long_stream"]

_IN_FLIGHT: Final = 32
_REQUEST: Final = b"\x0a\x06kratos"  # HelloRequest(name="kratos")
_PATIENCE: Final = 2.0  # seconds, of calls with a deadline

_Ask: TypeAlias = Callable[[grpc.aio.Channel], Awaitable[int]]


def drive(address: str, path: str, request: bytes, seconds: float) -> int:
    """Call one unary method again and again, and return how many answers came."""
    ask = _unary(path, request, deadline=False)
    return asyncio.run(_drive(address, ask, seconds, in_flight=_IN_FLIGHT, connections=1))


def drive_hello(
    *, in_flight: int = _IN_FLIGHT, connections: int = 1, deadline: bool = False
) -> Callable[[str, float], int]:
    """Return what calls for some seconds, and returns how many answers came.

    Args:
        in_flight: How many calls at once, over all connections.
        connections: How many.
        deadline: Whether each call has one, and an identity of its own.
    """
    ask = _unary(HELLO, _REQUEST, deadline=deadline)

    def drive_some(address: str, seconds: float) -> int:
        work = _drive(address, ask, seconds, in_flight=in_flight, connections=connections)
        return asyncio.run(work)

    return drive_some


def drive_streams(address: str, seconds: float) -> int:
    """Read streams again and again, and return how many messages came."""
    ask = _stream(COUNTED)
    return asyncio.run(_drive(address, ask, seconds, in_flight=_IN_FLIGHT, connections=1))


def one_long_stream(address: str, messages: int) -> int:
    """Read one stream of so many messages, and return how many came."""
    ask = _stream(messages)

    async def read() -> int:
        async with grpc.aio.insecure_channel(address) as channel:
            return await ask(channel)

    return asyncio.run(read())


def _unary(path: str, request: bytes, *, deadline: bool) -> _Ask:
    number = time.time_ns()

    async def ask(channel: grpc.aio.Channel) -> int:
        nonlocal number
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
        if deadline:
            number += 1
            await call(request, timeout=_PATIENCE, metadata=[("x-request-id", f"{number:x}")])
        else:
            await call(request)
        return 1

    return ask


def _stream(messages: int) -> _Ask:
    request = _REQUEST + b"\x10" + _varint(messages)  # CountRequest

    async def ask(channel: grpc.aio.Channel) -> int:
        call: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(COUNT)
        replies = 0
        async for _ in call(request):
            replies += 1
        return replies

    return ask


def _varint(number: int) -> bytes:
    pieces = bytearray()
    while number > 0x7F:
        pieces.append(number & 0x7F | 0x80)
        number >>= 7
    pieces.append(number)
    return bytes(pieces)


async def _drive(
    address: str, ask: _Ask, seconds: float, *, in_flight: int, connections: int
) -> int:
    end = time.monotonic() + seconds
    replies = 0

    async def keep_asking(channel: grpc.aio.Channel) -> None:
        nonlocal replies
        while time.monotonic() < end:
            came = await ask(channel)  # apart, or what others add meanwhile is lost
            replies += came

    # Channels with the same target and options share a connection, unless told otherwise.
    own = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(address, options=own) for _ in range(connections)]
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(in_flight):
                group.create_task(keep_asking(channels[number % connections]))
    finally:
        for channel in channels:
            await channel.close()
    return replies
