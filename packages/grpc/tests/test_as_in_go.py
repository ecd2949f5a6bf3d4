"""What Go Kratos' own tests hold over gRPC, where no other test here does."""

from __future__ import annotations

from typing import Any

import pytest

from kratos.testing.echo import ECHO, EchoService, text
from kratos.transport import Call, CallOptions, Handler


@pytest.mark.parametrize(
    ("callers", "servers", "due"),
    [(40.0, 80.0, 40.0), (80.0, 40.0, 40.0), (40.0, None, 40.0), (None, 40.0, 40.0)],
)
async def test_earlier_deadline_of_caller_and_server_holds(
    callers: float | None, servers: float | None, due: float, serve: Any
) -> None:
    left = await left_to_the_handler(serve, callers, servers)
    assert left is not None
    assert due - 20.0 < left <= due


async def test_call_without_a_deadline_on_either_side_has_none(serve: Any) -> None:
    assert await left_to_the_handler(serve, None, None) is None


async def left_to_the_handler(
    serve: Any, callers: float | None, servers: float | None
) -> float | None:
    left: list[float | None] = []

    async def note(call: Call, request: Any, next: Handler, /) -> Any:
        left.append(call.remaining())
        return await next(call, request)

    async with serve(EchoService(), middleware=[note], timeout=servers) as served:
        await served.caller.unary(ECHO, text("ok"), CallOptions(timeout=callers))
    return left[0]


async def test_names_of_headers_arrive_in_lower_case_and_are_found_in_any(serve: Any) -> None:
    seen: list[tuple[list[str], list[str]]] = []

    async def note(call: Call, request: Any, next: Handler, /) -> Any:
        seen.append((call.headers.keys(), call.headers.values("X-Asked")))
        call.reply_headers.set("X-Answered", "yes")
        return await next(call, request)

    ended: list[Call] = []
    options = CallOptions(headers={"X-Asked": ["one", "two"]}, on_end=ended.append)
    async with serve(EchoService(), middleware=[note]) as served:
        await served.caller.unary(ECHO, text("ok"), options)
    names, values = seen[0]
    assert "x-asked" in names
    assert values == ["one", "two"]
    assert "x-answered" in ended[0].reply_headers.keys()  # noqa: SIM118  keys as they came


async def test_each_end_of_a_call_knows_what_is_called_and_where(serve: Any) -> None:
    seen: list[tuple[str, str, str, str]] = []

    async def note(call: Call, request: Any, next: Handler, /) -> Any:
        try:
            return await next(call, request)
        finally:
            side = call.side.value
            seen.append((side, call.transport, call.method.operation, call.peer or call.endpoint))

    both = {"middleware": [note], "client_middleware": [note]}
    async with serve(EchoService(), **both) as served:
        await served.caller.unary(ECHO, text("ok"))
        address = served.address
    server, client = seen
    assert server[:3] == ("server", "grpc", ECHO.operation)
    assert server[3].startswith("127.0.0.1:")
    assert client == ("client", "grpc", ECHO.operation, address)
