"""Middleware around some operations of a server."""

from __future__ import annotations

from typing import Any

import pytest

from kratos.errors import ConfigError, Error, StartupError
from kratos.health import Health
from kratos.testing.echo import ALL, CHAT, ECHO, WATCH, EchoService
from kratos.transport import Call, CallOptions, Handler, Method, Mount
from kratos_grpc import GrpcServer
from kratos_grpc.health import health_check
from kratos_grpc.reflection import REFLECTION

every_arity = pytest.mark.parametrize("method", ALL, ids=lambda each: each.arity.value)


def named(name: str) -> Any:
    async def middleware(call: Call, request: Any, next: Handler, /) -> Any:
        call.reply_headers.add("x-by", name)
        return await next(call, request)

    return middleware


async def refuse(_call: Call, _request: Any, _next: Handler, /) -> Any:
    raise Error(401, "UNAUTHORIZED")


async def test_middleware_is_around_what_its_selector_selects(serve: Any, say: Any) -> None:
    use = {
        "*": [named("rest")],
        "/kratos.testing.Echo/C*": [named("c"), named("more")],
        CHAT.operation: [named("chat")],
    }
    seen: dict[str, list[str]] = {}
    async with serve(EchoService(), middleware=[named("server")], use=use) as served:
        for method in ALL:
            ends: list[Call] = []
            await say(served.caller, method, "ok", options=CallOptions(on_end=ends.append))
            seen[method.name] = ends[0].reply_headers.values("x-by")
    assert seen == {
        "echo": ["server", "rest"],
        "collect": ["server", "c", "more"],
        "watch": ["server", "rest"],
        "chat": ["server", "chat"],
    }


@every_arity
async def test_what_is_refused_reaches_no_handler(
    serve: Any, say: Any, method: Method[Any, Any]
) -> None:
    service = EchoService()
    async with serve(service, use={method.operation: [refuse]}) as served:
        with pytest.raises(Error, match="UNAUTHORIZED"):
            await say(served.caller, method, "ok")
        other = WATCH if method is ECHO else ECHO
        assert await say(served.caller, other, "free") == ["free"]
    assert service.seen == ["free"]


async def test_selector_of_everything_leaves_the_probes_alone(serve: Any) -> None:
    async with serve(EchoService(), health=Health(), use={"*": [refuse]}) as served:
        await health_check()(served.connection)


def test_selector_that_is_like_no_operation_is_refused() -> None:
    with pytest.raises(ConfigError, match="like no operation"):
        GrpcServer().use("shop.v1.Orders", [])


@pytest.mark.parametrize("selector", ["/kratos.testing.Echo/Chatt", "/kratos.testing.Eco/*"])
def test_selector_that_selects_nothing_is_refused_when_services_are_mounted(selector: str) -> None:
    server = GrpcServer()
    server.use(selector, [refuse])
    with pytest.raises(StartupError, match=r"use\(.* did you mean"):
        server.mount(Mount(services=[EchoService()]))


@pytest.mark.parametrize("selector", ["/grpc.reflection.*", REFLECTION.operation])
async def test_selector_may_name_reflection_which_passes_the_middleware_too(
    serve: Any, say: Any, selector: str
) -> None:
    async with serve(EchoService(), use={selector: [refuse]}) as served:
        assert await say(served.caller, ECHO, "ok") == ["ok"]
        with pytest.raises(Error, match="UNAUTHORIZED"):
            async with served.caller.bidi_stream(REFLECTION) as stream:
                await anext(stream)


def test_selector_that_comes_after_the_chains_were_linked_is_refused() -> None:
    server = GrpcServer()
    server.mount(Mount(services=[EchoService()]))
    with pytest.raises(ConfigError, match="before the application starts"):
        server.use("*", [])
