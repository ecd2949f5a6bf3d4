"""A service of two workers that calls itself: ``shop.py REGISTRY``.

Every call leaves a trace, some fail, and some are refused. The supervisor shows the figures of all.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sys

import prometheus_client

from aegis import Gcra
from kratos import App, Client, Error, run
from kratos.metrics import default_meter
from kratos.middleware import metrics, ratelimit, retry, tracing
from kratos.testing.echo import ECHO, EchoService, text
from kratos.testing.tracing import MemoryTracer
from kratos_http import HttpServer
from kratos_http.debug import DebugServer

ORDERS = prometheus_client.Counter("shop_orders_total", "Made by the program itself.")
REPEATABLE = dataclasses.replace(ECHO, idempotent=True)


async def call() -> None:
    """Call until the end, some hundred times a second."""
    meter = default_meter()
    chain = [metrics(), retry(meter=meter)]
    registry = sys.argv[1]
    async with Client(
        "discovery:///shop", transport="http", discovery=registry, middleware=chain, meter=meter
    ) as client:
        while True:
            for word in ("hello", "fail", "crash"):
                try:
                    await client.unary(REPEATABLE, text(word))
                except Error:
                    ORDERS.inc()
                await asyncio.sleep(0.005)  # without a node the answer is there at once


def begin(app: App) -> None:
    """Start to call; returns nothing, as a hook that returns a task is awaited."""
    app.spawn(call(), name="calls")


def build() -> App:
    limit = ratelimit(Gcra(rate=50, burst=50), meter=default_meter())
    return App(
        name="shop",
        services=[EchoService()],
        servers=[HttpServer("127.0.0.1:0")],
        host_servers=[DebugServer()],
        middleware=[tracing(MemoryTracer()), limit],
        registrar=sys.argv[1],
        after_start=[begin],
        workers=2,
    )


if __name__ == "__main__":
    run(build)
