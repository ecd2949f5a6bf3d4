"""Operations around handlers that belong to no service."""

from __future__ import annotations

from typing import Any

from google.protobuf.empty_pb2 import Empty

from kratos.transport import Arity, Call, Dispatcher, Handler, Method, Side

METHOD = Method(operation="/plain", name="plain", arity=Arity.UNARY, request=Empty, reply=Empty)


def named(name: str, seen: list[str]) -> Any:
    async def middleware(call: Call, request: Any, next: Handler) -> Any:
        seen.append(name)
        return await next(call, request)

    return middleware


async def test_linked_handler_runs_behind_the_middleware_of_dispatcher_and_its_own() -> None:
    async def handler(call: Call, request: Any) -> str:
        call.seal()
        return f"got {request}"

    seen: list[str] = []
    dispatcher = Dispatcher(transport="test", middleware=[named("outer", seen)])
    first = dispatcher.link(METHOD, handler, middleware=[named("inner", seen)])
    second = dispatcher.link(METHOD, handler)
    call = Call(METHOD, side=Side.SERVER, transport="test")
    assert await first.run(call, "it") == "got it"
    assert seen == ["outer", "inner"]
    assert await second.run(Call(METHOD, side=Side.SERVER, transport="test"), "it") == "got it"
    assert not dispatcher.operations


async def test_linked_handler_has_the_time_limit_it_asks_for() -> None:
    async def handler(call: Call, request: Any) -> float | None:
        call.seal()
        return call.remaining()

    async def remaining(timeout: float | None) -> Any:
        call = Call(METHOD, side=Side.SERVER, transport="test")
        return await dispatcher.link(METHOD, handler, timeout=timeout).run(call, None)

    dispatcher = Dispatcher(transport="test", timeout=10, timeouts={"/plain": 100})
    assert 50 < await remaining(None) <= 100
    assert 500 < await remaining(1000) <= 1000
    assert await remaining(float("inf")) is None
