"""grpclib, with the stubs that its generated code makes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from bench.bench_pb2 import CountRequest, HelloReply, HelloRequest

from benchmarks.client.case import Cases
from benchmarks.grpc_calls import COUNT, COUNTED, HELLO, check_count, check_greeting

library: Any = import_module("grpclib.client")


@asynccontextmanager
async def opened(address: str) -> AsyncGenerator[Cases]:
    """Ask on one channel."""
    host, _, port = address.rpartition(":")
    async with library.Channel(host, int(port)) as channel:
        hello = library.UnaryUnaryMethod(channel, HELLO, HelloRequest, HelloReply)
        count = library.UnaryStreamMethod(channel, COUNT, CountRequest, HelloReply)

        async def unary() -> None:
            check_greeting(await hello(HelloRequest(name="kratos"), timeout=2.0))

        async def stream() -> None:
            replies = 0
            async with count.open() as call:
                await call.send_message(CountRequest(name="kratos", messages=COUNTED), end=True)
                async for reply in call:
                    check_greeting(reply)
                    replies += 1
            check_count(replies)

        yield {"unary": unary, "stream": stream}


SUBJECTS = {"grpclib": opened}
