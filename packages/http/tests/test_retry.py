"""Retries over HTTP, where a server says by a header when to try again."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from aegis import Backoff
from kratos.errors import Error
from kratos.middleware import retry
from kratos.selector import Node
from kratos.testing.clock import InstantClock
from kratos.testing.echo import ECHO, WATCH, EchoService, text
from kratos.transport import Call, ChainCaller, Handler, Method, Mount
from kratos_http import HttpConnector, HttpServer
from kratos_http.testing import running


class Refuser:
    """A server's middleware that refuses the first call, and says for how long."""

    def __init__(self) -> None:
        self.seen = 0

    async def __call__(self, call: Call, request: Any, next: Handler, /) -> Any:
        self.seen += 1
        if self.seen == 1:
            call.reply_headers.set("retry-after", "1")
            raise Error(503, "BUSY")
        return await next(call, request)


@asynccontextmanager
async def calling(refuser: Refuser, clock: InstantClock) -> AsyncGenerator[ChainCaller]:
    def always(_method: Method[Any, Any]) -> bool:
        return True

    server = HttpServer("127.0.0.1:0")
    server.mount(Mount(services=[EchoService()], middleware=[refuser]))
    again = retry(clock=clock, backoff=Backoff(base=0.1, jitter="none"), idempotent=always)
    async with running(server):
        (url,) = await server.bind()
        node = Node(scheme="http", address=url.partition("://")[2])
        connection = HttpConnector().connect(node)
        yield ChainCaller(connection.invoke, transport="http", middleware=[again])
        await connection.aclose()


async def test_wait_that_a_server_asks_for_is_kept() -> None:
    refuser, clock = Refuser(), InstantClock()
    async with calling(refuser, clock) as caller:
        assert (await caller.unary(ECHO, text("x"))).value == "x"
    assert (refuser.seen, clock.waited) == (2, [1.1])


async def test_stream_that_is_refused_is_opened_again() -> None:
    refuser, clock = Refuser(), InstantClock()
    async with calling(refuser, clock) as caller, caller.server_stream(WATCH, text("a b")) as words:
        assert [word.value async for word in words] == ["a", "b"]
    assert (refuser.seen, clock.waited) == (2, [1.1])
