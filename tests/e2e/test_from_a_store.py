"""Idempotency keys, cached replies and request ids over each transport."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos import App, CallOptions, Client, Error
from kratos.middleware import (
    AnyMiddleware,
    Call,
    Handler,
    cache,
    idempotency,
    idempotency_key,
    request_id,
    retry,
)
from kratos.store import MemoryStore
from kratos.testing import MemoryMeter
from kratos.testing.app import running
from kratos.testing.echo import ECHO, EchoService, text
from kratos.transport import server_call
from kratos_grpc import GrpcServer
from kratos_http import HttpServer

MAKERS: dict[str, Any] = {"http": HttpServer, "grpc": GrpcServer}

pytestmark = pytest.mark.parametrize("transport", MAKERS)


class Slow(EchoService):
    """Answers when it is let go, and says where things are."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def echo(self, request: StringValue, /) -> StringValue:
        call = server_call()
        assert call is not None
        call.reply_headers.set("location", "/payments/1")
        self.entered.set()
        if request.value == "slow":
            await self.go.wait()
        return await super().echo(request)


@asynccontextmanager
async def reaching(
    transport: str,
    service: EchoService,
    *middleware: AnyMiddleware,
    client: tuple[AnyMiddleware, ...] = (),
) -> AsyncGenerator[Client]:
    server = MAKERS[transport]("127.0.0.1:0", timeout=60)
    app = App(services=[service], servers=[server], middleware=middleware, signals=())
    async with (
        running(app),
        Client(app.endpoints[0], timeout=60, middleware=client) as caller,
    ):
        yield caller


async def asked(caller: Client, word: str, **headers: str) -> tuple[Any, Call]:
    """Return the reply, or the error, and the call with its headers."""
    ends: list[Call] = []
    pairs = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        answer: Any = await caller.unary(
            ECHO, text(word), CallOptions(headers=pairs, on_end=ends.append)
        )
    except Error as error:
        answer = error
    return answer, ends[0]


async def test_repeated_call_is_answered_from_the_store(transport: str) -> None:
    service = Slow()
    async with reaching(transport, service, idempotency(MemoryStore())) as caller:
        await asked(caller, "pay", idempotency_key='"k"')
        reply, call = await asked(caller, "pay", idempotency_key="k")
    assert reply == text("pay")
    assert call.reply_headers.get("idempotency-replayed") == "true"
    assert call.reply_headers.values("location") == ["/payments/1"]
    assert service.seen == ["pay"]


async def test_refusals_arrive_with_code_reason_and_time(transport: str) -> None:
    service = Slow()
    async with reaching(transport, service, idempotency(MemoryStore(), required=True)) as caller:
        first = asyncio.ensure_future(asked(caller, "slow", idempotency_key="k"))
        await service.entered.wait()
        in_use, call = await asked(caller, "slow", idempotency_key="k")
        reused, _ = await asked(caller, "other", idempotency_key="k")
        missing, _ = await asked(caller, "pay")
        service.go.set()
        await first
    assert (in_use.code, in_use.reason) == (409, "IDEMPOTENCY_KEY_IN_USE")
    assert in_use.metadata == {"retry_after": "1"}
    assert call.reply_headers.get("retry-after") == "1"
    assert (reused.code, reused.reason) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert (missing.code, missing.reason) == (400, "IDEMPOTENCY_KEY_REQUIRED")


async def test_kept_error_arrives_as_the_first_one_did(transport: str) -> None:
    service = EchoService()
    kept = idempotency(MemoryStore(), keeps=lambda error: error.code == 409)
    async with reaching(transport, service, kept) as caller:
        first, _ = await asked(caller, "fail", idempotency_key="k")
        again, call = await asked(caller, "fail", idempotency_key="k")
    assert (again.code, again.reason, again.message) == (first.code, first.reason, first.message)
    assert again.metadata == first.metadata
    assert call.reply_headers.get("idempotency-replayed") == "true"
    assert service.seen == ["fail"]


async def test_retry_after_a_lost_reply_runs_nothing_twice(transport: str) -> None:
    lost = 0

    async def lose(call: Call, request: Any, next: Handler, /) -> Any:
        nonlocal lost
        reply = await next(call, request)
        if not lost:
            lost += 1
            raise ConnectionResetError("on the way back")
        return reply

    service = EchoService()
    chain = (idempotency_key(), retry(), lose)
    async with reaching(transport, service, idempotency(MemoryStore()), client=chain) as caller:
        assert await caller.unary(ECHO, text("pay")) == text("pay")
    assert (service.seen, lost) == (["pay"], 1)


async def test_cached_reply_tells_its_age(transport: str) -> None:
    service, meter = Slow(), MemoryMeter()
    cached = cache(MemoryStore(), operations={ECHO.operation: 60.0}, meter=meter)
    async with reaching(transport, service, cached) as caller:
        await asked(caller, "look")
        reply, call = await asked(caller, "look")
        await asked(caller, "look", authorization="Bearer x")
    assert reply == text("look")
    assert call.reply_headers.get("age") == "0"
    assert call.reply_headers.get("cache-status") == "kratos; hit"
    assert service.seen == ["look", "look"]
    assert meter.value("server_cache_total", kind=transport, result="hit") == 1


@pytest.mark.parametrize("word", ["ok", "fail", "crash"])
async def test_request_id_is_told_however_the_call_ends(transport: str, word: str) -> None:
    async with reaching(transport, EchoService(), request_id()) as caller:
        _, call = await asked(caller, word, x_request_id="abc-1")
    assert call.reply_headers.values("x-request-id") == ["abc-1"]
