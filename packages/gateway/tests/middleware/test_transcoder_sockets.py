"""A service of Kratos, called by JSON, over sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kratos.selector import Node
from kratos.testing.echo import CHAT, ECHO, WATCH, EchoService
from kratos.transport import Mount
from kratos_gateway.api.gateway_pb2 import GRPC, Endpoint
from kratos_gateway.exchange import Answer, Handler
from kratos_gateway.exchange import Request as Asked
from kratos_gateway.middleware.testing import behind, request_to
from kratos_grpc import GrpcServer
from kratos_http import HttpConnector
from kratos_http.carrier import Carrier, Request


def through(carrier: Carrier) -> Handler:
    """Return a handler that asks over HTTP/2."""

    async def ask(asked: Asked, /) -> Answer:
        assert isinstance(asked.body, bytes)
        sent = await carrier.open(Request(asked.method, asked.path, asked.headers))
        await sent.send(asked.body)
        await sent.end()
        status, headers = await sent.answer()
        return Answer(status, list(headers), sent)

    return ask


@asynccontextmanager
async def greeter() -> AsyncGenerator[Handler]:
    server = GrpcServer("127.0.0.1:0", engine="kratos")
    server.mount(Mount(services=(EchoService(),)))
    (url,) = await server.bind()
    serving = asyncio.ensure_future(server.start())
    await server.ready()
    node = Node(scheme="http", address=url.rpartition("/")[2])
    carrier = HttpConnector().carrier(node, http2=True)
    try:
        yield behind(through(carrier), "transcoder", endpoint=Endpoint(path="/*", protocol=GRPC))
    finally:
        await carrier.aclose()
        await server.stop()
        await serving


async def call(handler: Handler, operation: str, message: object) -> tuple[int, Any]:
    request = request_to(
        operation,
        method="POST",
        headers=[("content-type", "application/json")],
        body=json.dumps(message).encode(),
    )
    answer = await handler(request)
    assert isinstance(answer.body, bytes)
    return answer.status, json.loads(answer.body)


async def test_service_of_kratos_is_called_by_json() -> None:
    async with greeter() as handler:
        assert await call(handler, ECHO.operation, "hello") == (200, "hello")


async def test_error_of_a_service_is_told_with_its_reason() -> None:
    async with greeter() as handler:
        status, told = await call(handler, ECHO.operation, "fail")
    assert (status, told["code"], told["message"]) == (409, 10, "try later")
    [detail] = told["details"]
    assert (detail["reason"], detail["metadata"]["ünï"]) == ("BUSY", "cödé")


@pytest.mark.parametrize(
    ("operation", "code"), [(WATCH.operation, 12), ("/kratos.testing.Echo/Nothing", 12)]
)
async def test_streams_and_unknown_methods_are_answered_as_unimplemented(
    operation: str, code: int
) -> None:
    async with greeter() as handler:
        status, told = await call(handler, operation, "a b")
    assert (status, told["code"]) == (501, code)


async def test_stream_that_answers_one_message_is_like_a_call() -> None:
    async with greeter() as handler:
        assert await call(handler, CHAT.operation, "one") == (200, "one")
