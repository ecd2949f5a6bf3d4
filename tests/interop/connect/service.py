"""The service of Connect's conformance tests: calls are told what to answer, and echoed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, TypeAlias

from connectrpc.conformance.v1.conformance_kratos import ConformanceService
from connectrpc.conformance.v1.conformance_pb2 import (
    BidiStreamRequest,
    BidiStreamResponse,
    ClientStreamRequest,
    ClientStreamResponse,
    ConformancePayload,
    Header,
    IdempotentUnaryRequest,
    IdempotentUnaryResponse,
    ServerStreamRequest,
    ServerStreamResponse,
    StreamResponseDefinition,
    UnaryRequest,
    UnaryResponse,
    UnaryResponseDefinition,
)
from connectrpc.conformance.v1.conformance_pb2 import Error as ToldError
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message

from kratos import Error, server_call
from kratos.errors import from_grpc_code
from kratos.transport import Call, duplex

__all__ = ["Service"]

RequestInfo: TypeAlias = ConformancePayload.RequestInfo
Definition: TypeAlias = UnaryResponseDefinition | StreamResponseDefinition


class Service(ConformanceService):
    """All of the service but the method that no server has."""

    async def unary(self, request: UnaryRequest, /) -> UnaryResponse:
        return UnaryResponse(payload=await answer(request.response_definition, [request]))

    async def idempotent_unary(self, request: IdempotentUnaryRequest, /) -> IdempotentUnaryResponse:
        return IdempotentUnaryResponse(payload=await answer(request.response_definition, [request]))

    async def client_stream(
        self, requests: AsyncIterator[ClientStreamRequest], /
    ) -> ClientStreamResponse:
        got = [request async for request in requests]
        definition = got[0].response_definition if got else UnaryResponseDefinition()
        return ClientStreamResponse(payload=await answer(definition, got))

    async def server_stream(
        self, request: ServerStreamRequest, /
    ) -> AsyncIterator[ServerStreamResponse]:
        definition = request.response_definition
        begin(definition)
        seen: RequestInfo | None = observed([request])
        for data in definition.response_data:
            await pause(definition)
            yield ServerStreamResponse(payload=payload(data, seen))
            seen = None
        fail_as_told(definition, seen)

    def bidi_stream(
        self, requests: AsyncIterator[BidiStreamRequest], /
    ) -> AsyncIterator[BidiStreamResponse]:
        return duplex(requests, converse)


async def converse(requests: AsyncIterator[BidiStreamRequest], send: Any) -> None:
    """Answer each request at once, or all when the last one has come, as the first one says."""
    definition = StreamResponseDefinition()
    full_duplex = False
    left: list[bytes] = []
    unseen: list[Message] = []
    seen: RequestInfo | None = None
    count = 0
    async for request in requests:
        unseen.append(request)
        count += 1
        if count == 1:
            definition, full_duplex = request.response_definition, request.full_duplex
            begin(definition)
            left = list(definition.response_data)
        if not full_duplex:
            continue
        if not left:
            break
        seen = observed(unseen) if count == 1 else RequestInfo(requests=packed(unseen))
        unseen.clear()
        await pause(definition)
        await send(BidiStreamResponse(payload=payload(left.pop(0), seen)))
    answered = seen is not None
    seen = None if answered else observed(unseen)
    for data in left:
        await pause(definition)
        await send(BidiStreamResponse(payload=payload(data, seen)))
        seen = None
    fail_as_told(definition, seen)


async def answer(definition: UnaryResponseDefinition, requests: Sequence[Message]) -> Any:
    """Return the payload of the only response, or raise the error."""
    begin(definition)
    seen = observed(requests)
    await pause(definition)
    fail_as_told(definition, seen)
    return payload(definition.response_data, seen)


def begin(definition: Definition) -> None:
    """Write headers and trailers."""
    call = current()
    for headers, told in (
        (call.reply_headers, definition.response_headers),
        (call.trailers, definition.response_trailers),
    ):
        for header in told:
            for value in header.value:
                headers.add(header.name, value)


async def pause(definition: Definition) -> None:
    if definition.response_delay_ms:
        await asyncio.sleep(definition.response_delay_ms / 1000)


def fail_as_told(definition: Definition, seen: RequestInfo | None) -> None:
    """Raise the error of a definition; with what was seen, unless a response has told it."""
    if not definition.HasField("error"):
        return
    told: ToldError = definition.error
    details: list[Message] = [*told.details]
    if seen is not None:
        details.append(seen)
    error = Error(from_grpc_code(told.code), "", told.message, details=details)
    raise error.with_grpc_code(told.code)


def payload(data: bytes, seen: RequestInfo | None) -> ConformancePayload:
    return ConformancePayload(data=data, request_info=seen)


def observed(requests: Iterable[Message]) -> RequestInfo:
    call = current()
    info = RequestInfo(requests=packed(requests))
    for name in call.headers:
        info.request_headers.append(Header(name=name, value=call.headers.values(name)))
    if call.deadline is not None:
        left = call.deadline - asyncio.get_running_loop().time()
        info.timeout_ms = max(0, int(left * 1000))
    return info


def packed(messages: Iterable[Message]) -> list[AnyMessage]:
    packages: list[AnyMessage] = []
    for message in messages:
        package = AnyMessage()
        package.Pack(message)
        packages.append(package)
    return packages


def current() -> Call:
    call = server_call()
    assert call is not None
    return call
