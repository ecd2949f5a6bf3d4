"""Calls are freed when they end, not when the garbage collector comes."""

from __future__ import annotations

import gc
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from kratos.errors import Error
from kratos.metrics import MemoryMeter
from kratos.middleware import circuitbreaker, metrics, ratelimit, tracing
from kratos.testing import MemoryTracer
from kratos.testing._guard import call_words
from kratos.testing.echo import ECHO, WATCH, EchoService, text
from kratos.testing.guard import Ledger
from kratos.transport import (
    Call,
    CallOptions,
    Dispatcher,
    Method,
    Service,
    Side,
    local,
)


def server(method: Method[Any, Any] = ECHO, **options: Any) -> Call:
    return Call(method, side=Side.SERVER, transport="test", **options)


def dispatcher(service: Service, **options: Any) -> Dispatcher:
    made = Dispatcher(transport="test", **options)
    made.add(service)
    return made


def limit(words: str) -> float | None:
    """Return seconds for calls that hang; on a busy machine they have to come to their handler."""
    return 0.1 if "hang" in words else None


@pytest.mark.parametrize("word", ["ok", "fail", "crash", "hang"])
async def test_calls_leave_no_cycles_however_they_end(word: str) -> None:
    made = dispatcher(EchoService(), timeout=limit(word))
    caller = local(EchoService(), timeout=limit(word))

    async def call() -> None:
        with suppress(Error):
            await made.operations[ECHO.operation].run(server(), text(word))
        with suppress(Error):
            await caller.unary(ECHO, text(word))

    await _assert_no_cycles(call)


@pytest.mark.parametrize("words", ["a b", "a fail", "", "a hang"])
@pytest.mark.parametrize("early", [False, True], ids=["to_its_end", "left_early"])
async def test_streams_leave_no_cycles_however_they_end(words: str, early: bool) -> None:
    caller = local(EchoService())

    async def call() -> None:
        options = CallOptions(timeout=limit(words) or 0)
        with suppress(Error):
            async with caller.server_stream(WATCH, text(words), options) as replies:
                async for _ in replies:
                    if early:
                        break

    await _assert_no_cycles(call)


@pytest.mark.parametrize("word", ["ok", "fail", "crash", "hang"])
@pytest.mark.parametrize("refused", [False, True], ids=["admitted", "refused"])
async def test_calls_behind_guards_leave_no_cycles(word: str, refused: bool) -> None:
    ledger = Ledger(retry_after=1.0)
    ledger.open = not refused
    caller = local(
        EchoService(),
        middleware=[ratelimit(ledger)],
        client_middleware=[circuitbreaker()],
        timeout=limit(word),
    )

    async def call() -> None:
        with suppress(Error):
            await caller.unary(ECHO, text(word))

    await _assert_no_cycles(call)


@pytest.mark.parametrize("word", ["ok", "fail", "crash", "hang"])
@pytest.mark.parametrize("method", [ECHO, WATCH], ids=["unary", "stream"])
async def test_calls_that_are_measured_and_traced_leave_no_cycles(
    word: str, method: Method[Any, Any]
) -> None:
    options = CallOptions(timeout=limit(word) or 0)
    meter, tracer = MemoryMeter(), MemoryTracer()
    chain = [metrics(meter, in_flight=True, messages=True), tracing(tracer)]
    caller = local(EchoService(), middleware=chain, client_middleware=chain)

    async def call() -> None:
        with suppress(Error):
            await call_words(caller, method, word, options=options)
        for span in tracer.spans:
            span.error = None  # whose traceback holds the span
        tracer.spans.clear()

    await _assert_no_cycles(call)


async def _assert_no_cycles(use: Callable[[], Awaitable[None]]) -> None:
    logging.disable(logging.CRITICAL)  # records of captured logs keep their tracebacks
    try:
        await use()
        gc.collect()
        gc.disable()
        for _ in range(5):
            await use()
        assert gc.collect() < 5
    finally:
        gc.enable()
        logging.disable(logging.NOTSET)
