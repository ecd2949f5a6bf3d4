"""Calls over gRPC are freed when they end, not when the garbage collector comes."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, TypeAlias

import pytest

from kratos.errors import Error
from kratos.testing.echo import ALL, CHAT, WATCH, EchoService, text
from kratos.transport import Call, ChainCaller, Method
from kratos_grpc._grpcio.attempt import Attempt
from kratos_grpc._http2_attempt import Http2Attempt

Left: TypeAlias = Callable[[], bool]


@pytest.fixture
def left() -> Generator[Left]:
    """Tell whether calls are left of the test's own, while nothing is collected."""
    logging.disable(logging.CRITICAL)  # records of captured logs keep their tracebacks
    gc.collect()
    before = calls()  # of other tests; kept, so that no new one gets the place of an old one
    known = set(map(id, before))
    gc.disable()
    yield lambda: any(id(call) not in known for call in calls())
    gc.enable()
    logging.disable(logging.NOTSET)


def calls() -> list[object]:
    return [found for found in gc.get_objects() if isinstance(found, Call | Attempt | Http2Attempt)]


@pytest.mark.parametrize("word", ["ok", "fail", "crash"])
@pytest.mark.parametrize("method", ALL, ids=lambda each: each.arity.value)
async def test_calls_are_freed_however_they_end(
    serve: Any, say: Any, left: Left, method: Method[Any, Any], word: str
) -> None:
    async with serve(EchoService()) as served:
        for _ in range(3):
            with suppress(Error):
                await say(served.caller, method, word)
        while left():  # noqa: ASYNC110  the server's end of a call sets no event
            await asyncio.sleep(0)


@pytest.mark.parametrize("method", [WATCH, CHAT], ids=lambda each: each.arity.value)
async def test_streams_that_are_left_early_are_freed(
    serve: Any, left: Left, method: Method[Any, Any]
) -> None:
    async def use(caller: ChainCaller) -> None:
        opening: Any
        if method is WATCH:
            opening = caller.server_stream(WATCH, text("one hang"))
        else:
            opening = caller.bidi_stream(CHAT)
        async with opening as stream:
            if method is CHAT:
                await stream.send(text("one"))
            await stream.__anext__()

    async with serve(EchoService()) as served:
        for _ in range(3):
            await use(served.caller)
        while left():  # noqa: ASYNC110  the server's end of a call sets no event
            await asyncio.sleep(0)


@pytest.mark.parametrize("method", ALL, ids=lambda each: each.arity.value)
async def test_calls_whose_caller_gives_up_are_freed(
    serve: Any, say: Any, left: Left, method: Method[Any, Any]
) -> None:
    service = EchoService()

    async def use(caller: ChainCaller) -> None:
        service.entered.clear()
        calling = asyncio.create_task(say(caller, method, "hang"))
        await service.entered.wait()
        calling.cancel()
        with suppress(asyncio.CancelledError):
            await calling

    async with serve(service) as served:
        for _ in range(3):
            await use(served.caller)
        while left():  # noqa: ASYNC110  the server's end of a call sets no event
            await asyncio.sleep(0)
