"""Ours: the generated client, with discovery, selection and chain as all calls have them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Literal

from bench.bench_kratos import BenchClient
from bench.bench_pb2 import CountRequest, HelloRequest
from bench.counter_kratos import CounterClient

from benchmarks.client.case import Cases
from benchmarks.grpc_calls import COUNTED, check_count, check_greeting
from kratos import Client
from kratos_grpc import GrpcConnector


@asynccontextmanager
async def _opened(engine: Literal["kratos", "grpcio"], address: str) -> AsyncGenerator[Cases]:
    """Ask by the generated clients."""
    async with Client(address, transport=GrpcConnector(engine=engine)) as caller:
        bench, counter = BenchClient(caller), CounterClient(caller)

        async def unary() -> None:
            check_greeting(await bench.hello(HelloRequest(name="kratos")))

        async def stream() -> None:
            replies = 0
            async with counter.count(CountRequest(name="kratos", messages=COUNTED)) as incoming:
                async for reply in incoming:
                    check_greeting(reply)
                    replies += 1
            check_count(replies)

        yield {"unary": unary, "stream": stream}


SUBJECTS = {"kratos": partial(_opened, "kratos"), "kratos-grpcio": partial(_opened, "grpcio")}
