"""gRPC on several workers: unary calls by 64 connections, in one process and in two."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter

import grpc.aio

from benchmarks.measure import Load, Subject

_OURS = "benchmarks.subjects.kratos_workers"
_RAW = "benchmarks.subjects.raw_grpc_workers"
SUBJECTS = (
    Subject(name="kratos", module=_OURS, options=("1", "grpc"), pinned=False),
    Subject(name="kratos, 2 workers", module=_OURS, options=("2", "grpc"), pinned=False),
    Subject(name="raw grpc.aio", module=_RAW, options=("1",), pinned=False),
    Subject(name="raw grpc.aio, 2 processes", module=_RAW, options=("2",), pinned=False),
)

_CONNECTIONS = 64
_REQUEST = b"\x0a\x06kratos"  # HelloRequest(name="kratos")


def loads() -> list[Load]:
    """Return the one kind of request."""
    return [Load(case="unary", drive=_run)]


def _run(address: str, seconds: float) -> int:
    return asyncio.run(_drive(address, seconds))


async def _drive(address: str, seconds: float) -> int:
    end = time.monotonic() + seconds
    answers: Counter[bytes] = Counter()  # each worker answers with its number

    async def ask() -> None:
        # Else channels of one process share a connection.
        own = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(address, options=own) as channel:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
            call = channel.unary_unary("/bench.Bench/Hello")
            while time.monotonic() < end:
                answers[await call(_REQUEST)] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(_CONNECTIONS):
            group.create_task(ask())
    if len(answers) > 1:
        shares = (f"{100 * answers[who] / answers.total():.0f} %" for who in sorted(answers))
        print(f"calls {' : '.join(shares)}", file=sys.stderr)
    return answers.total()
