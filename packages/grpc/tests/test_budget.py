"""The time of a call over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import Error
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.testing.virtual_time import advance, run_still
from kratos.transport import (
    BUDGET_TOO_SMALL,
    Call,
    Caller,
    CallOptions,
    ChainCaller,
    Dispatcher,
    Method,
    Side,
    detached,
    server_call,
)
from kratos_grpc._grpcio.attempt import Attempt
from kratos_grpc._grpcio.exchange import SingleReply, StreamedReplies
from kratos_grpc._terms import Terms

ARITIES = (ECHO, COLLECT, WATCH, CHAT)


class Asks(EchoService):
    """Notes how much time its calls have."""

    def __init__(self) -> None:
        super().__init__()
        self.had: list[float | None] = []

    async def echo(self, request: StringValue, /) -> StringValue:
        call = server_call()
        assert call is not None
        self.had.append(call.remaining())
        return request


class Relay(EchoService):
    """Uses up some time, then calls on."""

    def __init__(self, caller: Caller, *, seconds: float = 0.0, aside: bool = False) -> None:
        super().__init__()
        self._caller = caller
        self._seconds = seconds
        self._aside = aside

    async def echo(self, request: StringValue, /) -> StringValue:
        if self._seconds:
            advance(self._seconds)
        if self._aside:
            with detached():
                return await self._caller.unary(ECHO, request, None)
        return await self._caller.unary(ECHO, request, None)


def relayed(
    serve: Any, seconds: float, timeout: float | None, *, aside: bool = False
) -> float | None:
    """Return the time that a service finds, two hops away from a caller with ``timeout``."""

    async def run() -> float | None:
        asks = Asks()
        async with (
            serve(asks) as inner,
            serve(Relay(inner.caller, seconds=seconds, aside=aside)) as outer,
        ):
            await outer.caller.unary(ECHO, text("x"), CallOptions(timeout=timeout))
        (left,) = asks.had
        return left

    return run_still(run())


def test_next_hop_gets_what_is_left(serve: Any) -> None:
    left = relayed(serve, 36.0, 60.0)
    assert left is not None
    assert 0 < left <= 24.0


def test_next_hop_gets_no_limit_where_there_is_none(serve: Any) -> None:
    assert relayed(serve, 36.0, None) is None


def test_next_hop_gets_no_limit_of_a_call_that_was_left_behind(serve: Any) -> None:
    assert relayed(serve, 36.0, 60.0, aside=True) is None


def test_limit_on_the_wire_is_at_most_what_is_left_when_the_call_is_sent() -> None:
    limits: list[float | None] = []

    def stub(*_request: bytes, metadata: object, timeout: float | None, **_more: object) -> object:
        limits.append(timeout)
        return object()

    async def run() -> None:
        call = Call(ECHO, Side.CLIENT, "grpc", deadline=asyncio.get_running_loop().time() + 0.1)
        advance(0.06)
        Attempt(call, stub, b"")
        call.deadline = None
        Attempt(call, stub, b"")

    run_still(run())
    assert limits[0] is not None
    assert 0.038 < limits[0] <= 0.04
    assert limits[1] is None


class Ended(grpc.aio.AbortError):
    """How grpc.aio ends a call that was aborted."""


class LateContext:
    """A call of grpc.aio whose deadline has passed when it reaches the program."""

    def __init__(self, left: float) -> None:
        self._left = left
        self.status: tuple[grpc.StatusCode, str] | None = None

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def time_remaining(self) -> float:
        return self._left

    async def read(self) -> bytes:
        return text("x").SerializeToString()

    async def abort(self, code: grpc.StatusCode, message: str, _trailers: Sequence[Any]) -> None:
        self.status = code, message
        raise Ended


@pytest.mark.parametrize("left", [0.0, -0.5])
@pytest.mark.parametrize("method", ARITIES, ids=lambda method: method.name)
async def test_call_that_comes_too_late_is_refused_before_its_handler(
    method: Method[Any, Any], left: float
) -> None:
    service = EchoService()
    made = Dispatcher(transport="grpc")
    made.add(service)
    operation = made.operations[method.operation]
    context: Any = LateContext(left)
    if method.arity.server_streams:
        await StreamedReplies(operation, (), Terms()).stream_stream(None, context)
    else:
        await SingleReply(operation, (), Terms()).stream_unary(None, context)
    assert context.status == (grpc.StatusCode.DEADLINE_EXCEEDED, "the call's deadline passed")
    assert service.seen == []


async def use(caller: ChainCaller, method: Method[Any, Any], options: CallOptions) -> None:
    if method is ECHO:
        await caller.unary(ECHO, text("x"), options)
    elif method is COLLECT:
        await caller.client_stream(COLLECT, [text("x")], options)
    elif method is WATCH:
        async with caller.server_stream(WATCH, text("x"), options) as replies:
            await anext(aiter(replies))
    else:
        async with caller.bidi_stream(CHAT, options) as chat:
            await anext(aiter(chat))


@pytest.mark.parametrize("method", ARITIES, ids=lambda method: method.name)
async def test_server_refuses_what_cannot_succeed_in_the_time_left(
    serve: Any, method: Method[Any, Any]
) -> None:
    service = EchoService()
    floors = {each.operation: 60.0 for each in ARITIES}
    async with serve(service, floors=floors) as served:
        with pytest.raises(Error) as refusal:
            await use(served.caller, method, CallOptions(timeout=30.0))
    error = refusal.value
    assert (error.code, error.reason) == (504, BUDGET_TOO_SMALL)
    assert error.metadata["floor"] == "60"
    assert service.seen == []


async def test_refusal_for_lack_of_time_is_deadline_exceeded_to_strangers(serve: Any) -> None:
    async with (
        serve(EchoService(), floors={ECHO.operation: 60.0}) as served,
        grpc.aio.insecure_channel(served.address) as peer,
    ):
        unary_unary: Any = peer.unary_unary
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await unary_unary(ECHO.operation)(b"", timeout=30.0)
    assert failure.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "it takes 60 s" in (failure.value.details() or "")


async def test_callers_headers_cannot_change_the_limit(serve: Any) -> None:
    asks = Asks()
    options = CallOptions(timeout=30.0, headers={"grpc-timeout": "9H"})
    async with serve(asks) as served:
        await served.caller.unary(ECHO, text("x"), options)
    assert asks.had[0] is not None
    assert asks.had[0] <= 30.0


@pytest.mark.parametrize(
    ("spent", "expected"), [(0.05, (499, "")), (0.2, (504, "DEADLINE_EXCEEDED"))]
)
def test_bare_cancellation_is_a_deadline_once_the_time_is_over(
    spent: float, expected: tuple[int, str]
) -> None:
    failures: list[BaseException] = []
    cancelled = grpc.aio.AioRpcError(
        grpc.StatusCode.CANCELLED, grpc.aio.Metadata(), grpc.aio.Metadata()
    )

    async def run() -> None:
        call = Call(ECHO, Side.CLIENT, "grpc", deadline=asyncio.get_running_loop().time() + 0.1)
        attempt = Attempt(call, lambda *_request, **_options: object(), b"")
        advance(spent)
        failures.append(attempt.failure(cancelled))

    run_still(run())
    (failure,) = failures
    assert isinstance(failure, Error)
    assert (failure.code, failure.reason) == expected
