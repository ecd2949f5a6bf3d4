"""Ours: the generated client, with discovery, selection and chain as all calls have them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from bench.bench_kratos import BenchClient
from bench.bench_pb2 import HelloRequest
from bench.counter_kratos import CounterClient

from benchmarks.client.case import Cases
from benchmarks.grpc_calls import check_count, check_greeting
from kratos import Client


@asynccontextmanager
async def opened(address: str) -> AsyncGenerator[Cases]:
    """Ask by the generated clients."""
    async with Client(address, transport="grpc") as caller:
        bench, counter = BenchClient(caller), CounterClient(caller)

        async def unary() -> None:
            check_greeting(await bench.hello(HelloRequest(name="kratos")))

        async def stream() -> None:
            replies = 0
            async with counter.count(HelloRequest(name="kratos")) as incoming:
                async for reply in incoming:
                    check_greeting(reply)
                    replies += 1
            check_count(replies)

        yield {"unary": unary, "stream": stream}


SUBJECTS = {"kratos-grpcio": opened}
