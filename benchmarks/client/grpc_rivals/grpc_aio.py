"""grpc.aio alone, with the stubs that its generated code makes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
from bench.bench_pb2 import CountRequest, HelloReply, HelloRequest

from benchmarks.client.case import Cases
from benchmarks.grpc_calls import COUNT, COUNTED, HELLO, check_count, check_greeting


@asynccontextmanager
async def opened(address: str) -> AsyncGenerator[Cases]:
    """Ask on one channel."""
    types: Any = {
        "request_serializer": HelloRequest.SerializeToString,
        "response_deserializer": HelloReply.FromString,
    }
    async with grpc.aio.insecure_channel(address) as channel:
        hello: Any = channel.unary_unary(HELLO, **types)
        count: Any = channel.unary_stream(COUNT, **types)

        async def unary() -> None:
            check_greeting(await hello(HelloRequest(name="kratos"), timeout=2.0))

        async def stream() -> None:
            replies = 0
            async for reply in count(CountRequest(name="kratos", messages=COUNTED)):
                check_greeting(reply)
                replies += 1
            check_count(replies)

        yield {"unary": unary, "stream": stream}


SUBJECTS = {"grpc.aio": opened}
