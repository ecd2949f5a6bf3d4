"""Applications that find each other in Nacos, over both transports."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any, ClassVar

import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct

from kratos import App, Client
from kratos.errors import Error
from kratos.registry import from_url
from kratos.testing.app import running
from kratos.transport import Arity, HttpRule, Method, Service
from kratos_grpc import GrpcServer
from kratos_http import HttpServer

pytestmark = [pytest.mark.service("nacos"), pytest.mark.slow]

PATIENCE = 60.0  # seconds

WHO: Method[Empty, Struct] = Method(
    operation="/fleet.Fleet/Who",
    name="who",
    arity=Arity.UNARY,
    request=Empty,
    reply=Struct,
    http=(HttpRule(verb="GET", path="/who"),),
)


class Fleet(Service):
    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (WHO,)

    def __init__(self, one: str) -> None:
        self._reply = Struct()
        self._reply.update({"id": one})

    async def who(self, _: Empty, /) -> Struct:
        return self._reply


async def answered(client: Client) -> set[str]:
    """Return who answered a number of calls."""
    found: set[str] = set()
    for _ in range(10):
        try:
            found.add(str(dict(await client.unary(WHO, Empty(), None))["id"]))
        except Error as error:
            found.add(error.reason)
    return found


async def until(client: Client, *expected: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while await answered(client) != set(expected):  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.05)


async def test_applications_are_called_while_they_are_there(address: str, group: str) -> None:
    url = f"nacos://{address}?group={group}"
    async with AsyncExitStack() as stack:
        apps: list[AsyncExitStack] = []
        for one in ("a", "b"):
            registry = from_url(url)
            stack.push_async_callback(registry.aclose)
            app = App(
                id=one,
                name="fleet",
                version="v1",
                metadata={"zone": one},
                services=[Fleet(one)],
                servers=[HttpServer("127.0.0.1:0"), GrpcServer("127.0.0.1:0")],
                registrar=registry,
            )
            apps.append(await stack.enter_async_context(AsyncExitStack()))
            await apps[-1].enter_async_context(running(app))
        discovery = from_url(url)
        stack.push_async_callback(discovery.aclose)
        clients = [
            await stack.enter_async_context(
                Client(f"discovery:///{name}", transport=transport, discovery=discovery)
            )
            # The second name is the one that Go asks for.
            for name, transport in (("fleet", "grpc"), ("fleet.grpc", "grpc"), ("fleet", "http"))
        ]

        for client in clients:
            await until(client, "a", "b")
        await apps[0].aclose()
        for client in clients:
            await until(client, "b")
