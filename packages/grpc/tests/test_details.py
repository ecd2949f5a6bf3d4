"""Details of errors on their way over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from kratos.errors import Error, FieldViolation
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.transport import ChainCaller, Method
from kratos_grpc.status import DETAILS_KEY

VIOLATION = FieldViolation("email", "is no address", "NO_ADDRESS")
STRANGER = AnyMessage(type_url="example.com/shop.v9.Unheard", value=b"\xff\x00")


class Refusing(EchoService):
    """Refuses with details, streams after a first message."""

    def __init__(self, *details: Message) -> None:
        super().__init__()
        self._details = details

    def error(self) -> Error:
        error = Error(418, "INVALID", "not like that", {"k": "v"}, details=self._details)
        return error.with_field_violations(VIOLATION)

    async def echo(self, request: StringValue, /) -> StringValue:
        raise self.error()

    async def collect(self, requests: AsyncIterator[StringValue], /) -> StringValue:
        raise self.error()

    async def watch(self, request: StringValue, /) -> AsyncIterator[StringValue]:
        yield request
        raise self.error()

    async def chat(self, requests: AsyncIterator[StringValue], /) -> AsyncIterator[StringValue]:
        yield text("x")
        raise self.error()


async def use(caller: ChainCaller, method: Method[Any, Any]) -> None:
    if method is ECHO:
        await caller.unary(ECHO, text("x"))
    elif method is COLLECT:
        await caller.client_stream(COLLECT, [text("x")])
    elif method is WATCH:
        async with caller.server_stream(WATCH, text("x")) as replies:
            assert [reply async for reply in replies]
    else:
        async with caller.bidi_stream(CHAT) as chat:
            assert [reply async for reply in chat]


@pytest.mark.parametrize(
    "method", [ECHO, COLLECT, WATCH, CHAT], ids=["unary", "collect", "watch", "chat"]
)
async def test_details_reach_the_caller(serve: Any, method: Method[Any, Any]) -> None:
    async with serve(Refusing(STRANGER)) as served:
        with pytest.raises(Error) as failure:
            await use(served.caller, method)
    error = failure.value
    assert (error.code, error.reason, error.message) == (418, "INVALID", "not like that")
    assert error.metadata == {"k": "v"}
    assert error.field_violations == (VIOLATION,)
    assert error.details[0] == STRANGER


def status_of(failure: grpc.aio.AioRpcError) -> Any:
    trailers: dict[str, Any] = dict(failure.trailing_metadata() or ())
    return status_pb2.Status.FromString(trailers[DETAILS_KEY])


async def test_details_that_are_too_large_do_not_keep_an_error_from_a_stranger(
    serve: Any,
) -> None:
    large = error_details_pb2.DebugInfo(detail="x" * 100_000)
    async with (
        serve(Refusing(large)) as served,
        grpc.aio.insecure_channel(served.address) as peer,  # takes 8 KiB of trailers
    ):
        unary_unary: Any = peer.unary_unary
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await unary_unary(ECHO.operation)(b"")
    status = status_of(failure.value)
    assert failure.value.details() == "not like that"
    assert error_details_pb2.ErrorInfo.FromString(status.details[0].value).reason == "INVALID"


async def test_details_within_the_limit_reach_a_stranger_with_little_room(serve: Any) -> None:
    large = error_details_pb2.DebugInfo(detail="x" * 4_800)
    async with (
        serve(Refusing(large)) as served,
        grpc.aio.insecure_channel(served.address) as peer,
    ):
        unary_unary: Any = peer.unary_unary
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await unary_unary(ECHO.operation)(b"")
    status = status_of(failure.value)
    assert error_details_pb2.DebugInfo.FromString(status.details[2].value) == large
