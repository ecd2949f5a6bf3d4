"""Calls that are cancelled at each of the places where they wait, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.catalogue import Catalogue
from kratos.errors import Error
from kratos.middleware import (
    AnyMiddleware,
    authorize,
    cache,
    chain,
    idempotency,
    localize,
    logging,
    metrics,
    request_id,
    tracing,
    validate,
)
from kratos.store import MemoryStore
from kratos.testing import LoopClock, MemoryLogger, MemoryMeter, MemoryTracer, in_virtual_time
from kratos.testing.echo import ECHO, text
from kratos.transport import Arity, Call, Header, HttpRule, Method, Side

GET = Method(
    operation="/test.Cancelled/Get",
    name="get",
    arity=Arity.UNARY,
    request=StringValue,
    reply=StringValue,
    http=(HttpRule(verb="GET", path="/get"),),
)
MOST = 50  # places where a call waits, but for a time
LAGS = range(12)  # turns of the event loop after which a second call comes


async def pause() -> None:
    await asyncio.sleep(0)


class WaitingStore(MemoryStore):
    """Waits before and after it does something, as one does that is on another machine."""

    async def get(self, key: str, /) -> bytes | None:
        await pause()
        found = await super().get(key)
        await pause()
        return found

    async def set(self, key: str, value: bytes, /, *, ttl: float) -> None:
        await pause()
        await super().set(key, value, ttl=ttl)
        await pause()

    async def set_if_absent(self, key: str, value: bytes, /, *, ttl: float) -> bool:
        await pause()
        done = await super().set_if_absent(key, value, ttl=ttl)
        await pause()
        return done

    async def replace(self, key: str, value: bytes, /, *, expected: bytes, ttl: float) -> bool:
        await pause()
        done = await super().replace(key, value, expected=expected, ttl=ttl)
        await pause()
        return done

    async def delete(self, key: str, /, *, expected: bytes | None = None) -> bool:
        await pause()
        done = await super().delete(key, expected=expected)
        await pause()
        return done

    async def values(self) -> list[bytes]:
        """Return all that is kept."""
        return [await MemoryStore.get(self, key) or b"" for key in self]


class Scene:
    """A chain of all that waits, around a handler that ends as it is told."""

    def __init__(self, method: Method[Any, Any], end: Exception | None = None) -> None:
        self.method = method
        self.end = end
        self.ran_whole = 0
        self.store = WaitingStore(evict=False)
        self.meter, self.tracer, self.logger = MemoryMeter(), MemoryTracer(), MemoryLogger()
        self.handler = chain(self._middleware(), method, self._work)

    def _middleware(self) -> Sequence[AnyMiddleware]:
        async def everybody(_call: Call, _request: Any) -> bool:
            await pause()
            return True

        async def well(_request: Any) -> None:
            await pause()

        return (
            request_id(),
            tracing(self.tracer),
            metrics(self.meter, in_flight=True),
            logging(self.logger),
            localize(Catalogue({"de": {"NONE": "gibt es nicht"}}, default="de")),
            authorize(everybody),
            validate(well),
            cache(self.store)
            if self.method is GET
            else idempotency(self.store, wait=5.0, clock=LoopClock()),
        )

    async def _work(self, _call: Call, _request: Any) -> Any:
        await pause()
        await pause()
        self.ran_whole += 1
        if self.end is not None:
            raise self.end
        return text("done")

    def begin(self) -> asyncio.Task[Any]:
        """Begin a call, and let it come to its first place."""
        headers = Header.of([("idempotency-key", "k")])
        call = Call(self.method, side=Side.SERVER, transport="test", headers=headers)

        async def run() -> Any:
            return await self.handler(call, text("a"))

        return asyncio.create_task(run())

    async def assert_nothing_is_left(self, calls: int) -> None:
        """Check that each call was counted once and that none holds anything."""
        for _ in range(MOST):
            await pause()
        (itself,) = asyncio.all_tasks()
        assert itself is asyncio.current_task()
        assert len(self.tracer.finished()) == calls
        assert len(self.logger.records) == calls
        assert self.meter.value("server_requests_in_flight") == 0
        assert self.meter.value("server_requests_code_total") == calls
        assert not any(b'"lock"' in value for value in await self.store.values())


@pytest.mark.parametrize("end", [None, Error(404, "NONE"), RuntimeError("a defect")], ids=str)
@pytest.mark.parametrize("method", [ECHO, GET], ids=lambda method: method.name)
@in_virtual_time
async def test_call_that_is_cancelled_leaves_nothing(
    method: Method[Any, Any], end: Exception | None
) -> None:
    for places in range(1, MOST):
        scene = Scene(method, end)
        task = scene.begin()
        for _ in range(places):
            await pause()
        was_cancelled = task.cancel()
        await asyncio.wait({task})
        await scene.assert_nothing_is_left(1)
        if method is ECHO and scene.ran_whole and not isinstance(end, RuntimeError):
            assert len(scene.store) == 1  # it has run, and must not do so again
        if not was_cancelled:
            return
    raise AssertionError("the call never ended")


@pytest.mark.parametrize("victim", [0, 1], ids=["the first", "the one that waits"])
@pytest.mark.parametrize("method", [ECHO, GET], ids=lambda method: method.name)
@pytest.mark.parametrize("lag", LAGS)
@in_virtual_time
async def test_call_beside_one_that_is_cancelled_gets_its_answer(
    method: Method[Any, Any], victim: int, lag: int
) -> None:
    for places in range(1, MOST):
        scene = Scene(method)
        tasks = [scene.begin()]
        for _ in range(lag + 1):
            await pause()
        tasks.append(scene.begin())
        for _ in range(places):
            await pause()
        was_cancelled = tasks[victim].cancel()
        await asyncio.wait(tasks)
        assert await tasks[1 - victim] == text("done")
        await scene.assert_nothing_is_left(2)
        if method is ECHO:
            assert scene.ran_whole == 1
        if not was_cancelled:
            break
