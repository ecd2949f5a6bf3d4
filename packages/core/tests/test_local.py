"""The in-process transport, held to the contract that every other transport follows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import Error
from kratos.middleware import AnyMiddleware
from kratos.testing.availability_contract import AvailabilityContract
from kratos.testing.echo import ECHO, WATCH, EchoService, text
from kratos.testing.middleware_contract import MiddlewareContract, Served, Transport
from kratos.transport import CallOptions, ChainCaller, Method, Service
from kratos.transport.local import LocalTransport


@dataclass
class _Served:
    caller: ChainCaller
    transport: LocalTransport

    async def drain(self, timeout: float, /) -> None:
        await self.transport.dispatcher.drain(timeout)


def opener(*, encode: bool) -> Transport:
    @asynccontextmanager
    async def serve(
        service: Service,
        /,
        *,
        middleware: Sequence[AnyMiddleware] = (),
        client_middleware: Sequence[AnyMiddleware] = (),
        timeouts: dict[str, float] | None = None,
    ) -> AsyncGenerator[Served]:
        transport = LocalTransport(
            service, middleware=middleware, timeout=None, timeouts=timeouts, encode=encode
        )
        caller = ChainCaller(
            transport.invoke, transport="local", middleware=client_middleware, timeout=None
        )
        yield _Served(caller, transport)

    return serve


class TestLocal(MiddlewareContract):
    @pytest.fixture(params=[False, True], ids=["by_reference", "encoded"])
    def transport(self, request: pytest.FixtureRequest) -> Transport:
        return opener(encode=request.param)


class TestLocalAvailability(AvailabilityContract):
    @pytest.fixture
    def transport(self) -> Transport:
        return opener(encode=True)


async def test_client_does_not_wait_for_ever_for_a_handler_that_ignores_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    released = asyncio.Event()

    class Deaf(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            while not released.is_set():
                try:
                    await released.wait()
                except asyncio.CancelledError:
                    continue
            return request

    transport = LocalTransport(Deaf(), cancel_grace=0.01)
    caller = ChainCaller(transport.invoke, transport="local", timeout=0.01)
    with pytest.raises(Error, match="DEADLINE"):
        await caller.unary(ECHO, text("x"))
    assert "Echo/Echo ignored its cancellation" in caplog.text
    released.set()
    await transport.dispatcher.drain()


@pytest.mark.parametrize("method", [ECHO, WATCH])
async def test_server_whose_task_was_cancelled_is_an_error_and_no_end(
    method: Method[Any, Any],
) -> None:
    class Dying(EchoService):
        async def _answer(self, request: StringValue) -> StringValue:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
            return request

    transport = LocalTransport(Dying())
    caller = ChainCaller(transport.invoke, transport="local", timeout=None)

    async def call() -> None:
        if method is ECHO:
            await caller.unary(ECHO, text("x"), CallOptions())
            return
        async with caller.server_stream(WATCH, text("x")) as replies:
            await anext(aiter(replies))

    with pytest.raises(Error, match="DRAINING"):
        await call()


async def test_error_keeps_its_grpc_code_and_details_and_leaves_its_cause_behind() -> None:
    class Failing(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            failure = Error(409, "TAKEN", details=[text("more")]).with_grpc_code(6)
            raise failure.with_cause(OSError("inside"))

    caller = ChainCaller(LocalTransport(Failing()).invoke, transport="local")
    with pytest.raises(Error) as caught:
        await caller.unary(ECHO, text(""))
    error = caught.value
    assert (error.grpc_code, error.detail(StringValue), error.cause) == (6, text("more"), None)
