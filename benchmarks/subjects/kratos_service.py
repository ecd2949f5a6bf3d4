"""The service behind both transports, and the chain that all calls pass."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

from bench.bench_kratos import Bench
from bench.bench_pb2 import CountRequest, HelloReply, HelloRequest, OrderReply, OrderRequest
from bench.counter_kratos import Counter

from benchmarks.subjects.greetings import greeting
from kratos.middleware import AnyMiddleware, metadata, recovery
from kratos.transport import Call, Handler


class BenchService(Bench):
    """Greets, and adds orders up."""

    async def hello(self, request: HelloRequest, /) -> HelloReply:
        """Greet."""
        return greeting(request)

    async def order(self, request: OrderRequest, /) -> OrderReply:
        """Add an order up."""
        total = sum(line.quantity * line.price for line in request.lines)
        return OrderReply(id=request.customer, total=total, lines=request.lines)


class CounterService(Counter):
    """Greets often."""

    async def count(self, request: CountRequest, /) -> AsyncIterator[HelloReply]:
        """Greet as often as is asked for."""
        for _ in range(request.messages):
            yield greeting(request)


class Timing:
    """Adds up how long calls took."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0

    async def __call__(self, call: Call, request: Any, next: Handler, /) -> Any:
        """Time one call."""
        start = time.perf_counter()
        try:
            return await next(call, request)
        finally:
            self.count += 1
            self.seconds += time.perf_counter() - start


CHAIN: tuple[AnyMiddleware, ...] = (recovery(), Timing(), metadata())
