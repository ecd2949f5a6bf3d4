"""Sessions of browsers on Redis: shared by processes, ended for all at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from kratos.store import Store, from_url
from kratos.transport import Mount
from kratos.transport.http import Reply
from kratos_http import HttpServer, Request, json_reply
from kratos_http.sessions import StoredSessions, current_session
from kratos_http.testing import socket_peer

pytestmark = pytest.mark.service("redis")


def serving(store: Store) -> HttpServer:
    server = HttpServer("127.0.0.1:0")
    site = server.group("", middleware=[StoredSessions(store)])

    @site.route("POST", "/login/{user}")
    async def login(request: Request) -> Reply:
        session = current_session()
        session.rotate()
        session["user"] = request.params["user"]
        session["größe"] = [1, {"a": None}]
        return json_reply("welcome")

    @site.route("GET", "/me")
    async def me(_request: Request) -> Reply:
        return json_reply(dict(current_session()))

    @site.route("POST", "/logout")
    async def logout(_request: Request) -> Reply:
        current_session().clear()
        return json_reply("bye")

    server.mount(Mount(services=()))
    return server


@pytest.fixture
async def browsers(url: str, prefix: str) -> AsyncIterator[list[Any]]:
    """Browsers of two servers, each with a client of Redis of its own."""
    async with AsyncExitStack() as stack:
        made: list[Any] = []
        for _ in range(2):
            store = from_url(f"{url}?prefix={prefix}&timeout=10s")
            stack.push_async_callback(store.aclose)
            made.append(await stack.enter_async_context(socket_peer(serving(store))))
        yield made


def cookie_of(answer: Any) -> list[tuple[str, str]]:
    return [("Cookie", answer.header("set-cookie").partition(";")[0])]


async def test_session_made_by_one_process_is_known_to_another_until_it_is_ended(
    browsers: list[Any], client: Any, prefix: str
) -> None:
    first, second = browsers
    cookie = cookie_of(await first.request("POST", "/login/ada"))
    told = await second.request("GET", "/me", headers=cookie)
    assert told.json() == {"user": "ada", "größe": [1, {"a": None}]}
    (key,) = [key async for key in client.scan_iter(match=f"{prefix}*")]
    assert await client.pttl(key) > 0

    await second.request("POST", "/logout", headers=cookie)

    assert (await first.request("GET", "/me", headers=cookie)).json() == {}
    assert [key async for key in client.scan_iter(match=f"{prefix}*")] == []


async def test_session_that_redis_has_dropped_is_none(
    browsers: list[Any], client: Any, prefix: str, until: Callable[..., Awaitable[None]]
) -> None:
    first, second = browsers
    cookie = cookie_of(await first.request("POST", "/login/ada"))
    async for key in client.scan_iter(match=f"{prefix}*"):
        await client.pexpire(key, 1)

    async def is_over() -> bool:
        return bool((await second.request("GET", "/me", headers=cookie)).json() == {})

    await until(is_over)
