"""A bounded gRPC load: unary calls, a number of them in flight on one connection."""

from __future__ import annotations

import asyncio
import time

import grpc.aio

__all__ = ["drive"]

_IN_FLIGHT = 32


async def _drive(address: str, path: str, request: bytes, seconds: float) -> int:
    end = time.monotonic() + seconds
    answered = 0
    async with grpc.aio.insecure_channel(address) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)

        async def ask() -> None:
            nonlocal answered
            while time.monotonic() < end:
                await call(request)
                answered += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(_IN_FLIGHT):
                group.create_task(ask())
    return answered


def drive(address: str, path: str, request: bytes, seconds: float) -> int:
    """Call one method again and again and return how many answers came."""
    return asyncio.run(_drive(address, path, request, seconds))
