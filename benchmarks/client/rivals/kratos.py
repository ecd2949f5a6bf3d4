"""Ours: its connections alone, the whole client in bytes as the others, and with messages."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from bench.bench_kratos import BenchClient
from bench.bench_pb2 import HelloRequest, OrderRequest

from benchmarks.client.case import GET, KIND, ORDER, POST, Ask, Cases, check, ready
from kratos import Client
from kratos.selector import Node
from kratos_http import HttpClient, HttpConnector


@asynccontextmanager
async def connections(address: str) -> AsyncGenerator[Cases]:
    """Ask by the connections to one node, which is the part that a library would take over."""
    pool = HttpConnector().connect(Node(scheme="http", address=address)).pool

    def asking(case: str) -> Ask:
        async def ask() -> None:
            data = ready(case, address)
            reply = await pool.exchange(lambda: data, repeatable=case == "get", head_only=False)
            check(case, reply.status, reply.body)

        return ask

    yield {"get": asking("get"), "order": asking("order")}
    await pool.aclose(drain=0.0)


@asynccontextmanager
async def plain(address: str) -> AsyncGenerator[Cases]:
    """Ask in bytes, behind discovery, selection and chain as all calls."""
    async with Client(address) as caller:
        client = HttpClient(caller)

        async def get() -> None:
            reply = await client.request("GET", GET)
            check("get", reply.status, reply.body)

        async def order() -> None:
            body = json.dumps(ORDER).encode()
            reply = await client.request("POST", POST, body=body, content_type=KIND)
            check("order", reply.status, reply.body)

        yield {"get": get, "order": order}


@asynccontextmanager
async def generated(address: str) -> AsyncGenerator[Cases]:
    """Ask by the generated client: messages are encoded and decoded."""
    async with Client(address) as caller:
        client = BenchClient(caller)

        async def get() -> None:
            reply = await client.hello(HelloRequest(name="kratos"))
            if reply.message != "Hello kratos":
                raise ValueError(f"answered with {reply}")

        async def order() -> None:
            reply = await client.order(OrderRequest(**ORDER))
            if reply.total != 375.0:
                raise ValueError(f"answered with {reply}")

        yield {"get": get, "order": order}


SUBJECTS = {
    "kratos, connections": connections,
    "kratos": plain,
    "kratos, messages": generated,
}
