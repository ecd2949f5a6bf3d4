"""A bounded load of gRPC: a number of calls in flight on one connection.

By the program in Go where there is Go, since it takes a tenth of what servers in Python do; else
by grpc.aio, which keeps one core as busy as they keep the other.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final, Literal, TypeAlias

import grpc.aio

from benchmarks.go_program import program
from benchmarks.grpc_calls import COUNT, HELLO

__all__ = ["Kind", "drive", "generator", "take_first_core"]

Kind: TypeAlias = Literal["unary", "stream"]

_IN_FLIGHT: Final = 32
_PATHS: Final = {"unary": HELLO, "stream": COUNT}
_REQUEST: Final = b"\x0a\x06kratos"  # HelloRequest(name="kratos")


def generator(kind: Kind) -> Callable[[str, float], int]:
    """Return what makes calls for some seconds, and returns how many messages came back.

    The first time, the program in Go is compiled, which takes a minute or two.
    """
    if shutil.which("go") is None:
        print(f"no Go: the load of {kind} is made by grpc.aio", file=sys.stderr)
        ask = drive if kind == "unary" else _drive_streams
        return lambda address, seconds: ask(address, _PATHS[kind], _REQUEST, seconds)
    path = program()

    def drive_by_go(address: str, seconds: float) -> int:
        done = subprocess.run(
            [path, "load", kind, address, str(_IN_FLIGHT), str(seconds)],
            env={**os.environ, "GOMAXPROCS": "1"},
            stdout=subprocess.PIPE,
            preexec_fn=take_first_core,
            check=True,
        )
        return int(done.stdout)

    return drive_by_go


def drive(address: str, path: str, request: bytes, seconds: float) -> int:
    """Call one unary method again and again and return how many answers came."""

    async def ask(channel: grpc.aio.Channel) -> int:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
        await call(request)
        return 1

    return asyncio.run(_drive(address, ask, seconds))


def take_first_core() -> None:
    """Leave the second core to the server (for processes that are about to begin)."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _drive_streams(address: str, path: str, request: bytes, seconds: float) -> int:
    async def ask(channel: grpc.aio.Channel) -> int:
        call: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(path)
        replies = 0
        async for _ in call(request):
            replies += 1
        return replies

    return asyncio.run(_drive(address, ask, seconds))


async def _drive(
    address: str, ask: Callable[[grpc.aio.Channel], Awaitable[int]], seconds: float
) -> int:
    end = time.monotonic() + seconds
    replies = 0

    async def keep_asking(channel: grpc.aio.Channel) -> None:
        nonlocal replies
        while time.monotonic() < end:
            came = await ask(channel)  # apart, or what others add meanwhile is lost
            replies += came

    async with grpc.aio.insecure_channel(address) as channel, asyncio.TaskGroup() as group:
        for _ in range(_IN_FLIGHT):
            group.create_task(keep_asking(channel))
    return replies
