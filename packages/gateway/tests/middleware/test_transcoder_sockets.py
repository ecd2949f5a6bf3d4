"""A service of Kratos, called by JSON, over sockets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kratos.testing.echo import CHAT, ECHO, WATCH
from kratos_gateway.api.gateway_pb2 import GRPC, Endpoint
from kratos_gateway.exchange import Handler
from kratos_gateway.middleware.testing import behind, request_to


@pytest.fixture
def greeter(echo: Handler) -> Handler:
    return behind(echo, "transcoder", endpoint=Endpoint(path="/*", protocol=GRPC))


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


async def test_service_of_kratos_is_called_by_json(greeter: Handler) -> None:
    assert await call(greeter, ECHO.operation, "hello") == (200, "hello")


async def test_error_of_a_service_is_told_with_its_reason(greeter: Handler) -> None:
    status, told = await call(greeter, ECHO.operation, "fail")
    assert (status, told["code"], told["message"]) == (409, 10, "try later")
    [detail] = told["details"]
    assert (detail["reason"], detail["metadata"]["ünï"]) == ("BUSY", "cödé")


@pytest.mark.parametrize(
    ("operation", "code"), [(WATCH.operation, 12), ("/kratos.testing.Echo/Nothing", 12)]
)
async def test_streams_and_unknown_methods_are_answered_as_unimplemented(
    greeter: Handler, operation: str, code: int
) -> None:
    status, told = await call(greeter, operation, "a b")
    assert (status, told["code"]) == (501, code)


async def test_stream_that_answers_one_message_is_like_a_call(greeter: Handler) -> None:
    assert await call(greeter, CHAT.operation, "one") == (200, "one")
