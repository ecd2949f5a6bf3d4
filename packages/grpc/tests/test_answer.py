"""Calls with one reply: what they take of the event loop, and of the core."""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import Error
from kratos.testing.echo import COLLECT, ECHO, EchoService, text
from kratos.transport import Cause, server_call
from kratos_grpc._grpcio.answer import Answer
from kratos_grpc.status import WireStatus

pytestmark = pytest.mark.engine("grpcio")  # whose insides these are about

_cygrpc: Any = importlib.import_module("grpc._cython.cygrpc")

KEPT = Error(404, "KEPT", "one error for all calls, which keeps what it went through")


class Prompt(EchoService):
    """Answers without waiting, or fails; ``slow`` waits for a turn of the loop."""

    async def echo(self, request: StringValue, /) -> StringValue:
        call = server_call()
        assert call is not None
        call.reply_headers.set("x-said", "before")
        call.trailers.set("x-said", "after")
        if request.value == "slow":
            await asyncio.sleep(0)
        if request.value == "fail":
            raise KEPT
        return request


class Tasks:
    """Counts the tasks of the loop."""

    def __init__(self) -> None:
        self.named: list[str] = []

    def __call__(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
        self.named.append(coro.__qualname__)
        return asyncio.Task(coro, loop=loop, **options)

    def of_a_call(self) -> list[str]:
        return [name for name in self.named if "_handle" in name or "_schedule" in name]


@pytest.mark.parametrize(("word", "watched"), [("ok", 0), ("fail", 0), ("slow", 1)])
async def test_peer_of_a_call_is_watched_only_where_it_waits(
    serve: Any, word: str, watched: int
) -> None:
    async with serve(Prompt()) as served:
        asyncio.get_running_loop().set_task_factory(tasks := Tasks())
        with suppress(Error):
            await served.caller.unary(ECHO, text(word))
        assert len(tasks.of_a_call()) == 1 + watched


@pytest.mark.parametrize("word", ["ok", "slow", "fail"])
async def test_headers_and_trailers_go_with_the_answer(serve: Any, word: str) -> None:
    told: list[tuple[str, str]] = []

    async def listen(call: Any, request: Any, next: Any) -> Any:
        try:
            return await next(call, request)
        finally:
            told.append((call.reply_headers.get("x-said"), call.trailers.get("x-said")))

    async with serve(Prompt(), client_middleware=[listen]) as served:
        with suppress(Error):
            await served.caller.unary(ECHO, text(word))
    assert told == [("before", "after")]


async def test_error_that_is_kept_keeps_no_call_of_the_core(serve: Any) -> None:
    kind: type = _cygrpc.RPCState

    def of_the_core() -> int:
        return sum(isinstance(found, kind) for found in gc.get_objects())

    async with serve(Prompt()) as served:
        await served.caller.unary(ECHO, text("ok"))
        gc.collect()
        before = of_the_core()
        with pytest.raises(Error, match="KEPT"):
            await served.caller.unary(ECHO, text("fail"))
        assert KEPT.__traceback__ is not None
        while of_the_core() > before:  # noqa: ASYNC110  the server's end sets no event
            await asyncio.sleep(0)


async def test_read_that_outlives_its_call_is_refused(serve: Any) -> None:
    class Keeping(EchoService):
        kept: AsyncIterator[StringValue]

        async def collect(self, requests: AsyncIterator[StringValue], /) -> StringValue:
            self.kept = requests
            return text("enough")

    service = Keeping()
    async with serve(service) as served:
        assert (await served.caller.client_stream(COLLECT, [text("one")])).value == "enough"
        while served.server._dispatcher.calls:  # noqa: ASYNC110  its end sets no event
            await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="the call has ended"):
            await anext(service.kept)


async def test_call_that_waits_hears_of_its_peers_leaving(serve: Any) -> None:
    causes: list[Cause | None] = []

    async def listen(call: Any, request: Any, next: Any) -> Any:
        try:
            return await next(call, request)
        finally:
            causes.append(call.cause)

    service = EchoService()
    async with serve(service, middleware=[listen]) as served:
        call = asyncio.create_task(served.caller.unary(ECHO, text("hang")))
        await service.entered.wait()
        call.cancel()
        await asyncio.wait((call,))
        await service.left.wait()
        while not causes:  # noqa: ASYNC110  the chain's end sets no event
            await asyncio.sleep(0)
    assert causes == [Cause.PEER_GONE]


async def test_defect_of_the_server_itself_is_answered_and_logged(
    serve: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    async with serve(EchoService()) as served:
        monkeypatch.setattr("kratos_grpc._grpcio.exchange.SingleReply._new_call", broken)
        with pytest.raises(Error) as failure:
            await served.caller.unary(ECHO, text("ok"))
    assert (failure.value.code, failure.value.message) == (500, "unknown request error")
    assert "a defect" in caplog.text


@pytest.mark.parametrize(
    ("told", "level"),
    [("Failed grpc_call_start_batch: 8", logging.ERROR), ("Failed", logging.DEBUG)],
)
async def test_answer_that_the_core_refuses_is_an_error_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, told: str, level: int
) -> None:
    async def refuse(*_: object) -> None:
        raise _cygrpc.ExecuteBatchError(told)

    monkeypatch.setattr("kratos_grpc._grpcio.answer._execute", refuse)
    caplog.set_level(logging.DEBUG, "kratos.grpc")
    answer = Answer(object(), asyncio.get_running_loop())
    await answer.send(status=WireStatus(code=5, message="no"))
    assert [record.levelno for record in caplog.records] == [level]
