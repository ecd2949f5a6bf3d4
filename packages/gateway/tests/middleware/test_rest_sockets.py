"""A service of Kratos, called by REST, over sockets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.api import annotations_pb2  # type: ignore[import-untyped]
from google.api.http_pb2 import HttpRule  # type: ignore[import-untyped]
from google.protobuf import wrappers_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodDescriptorProto

from kratos_gateway.api.gateway_pb2 import GRPC, Endpoint
from kratos_gateway.api.rest_pb2 import Rest
from kratos_gateway.exchange import Handler
from kratos_gateway.middleware.testing import behind, request_to

RULE: Any = annotations_pb2.http
TEXT = ".google.protobuf.StringValue"


def echo_definitions() -> bytes:
    files = FileDescriptorSet()
    wrappers_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    file = files.file.add(
        name="echo.proto", package="kratos.testing", dependency=[wrappers_pb2.DESCRIPTOR.name]
    )
    service = file.service.add(name="Echo")
    for name, rule, stream in (
        (
            "Echo",
            HttpRule(post="/echo", body="*", additional_bindings=[HttpRule(get="/e/{value}")]),
            False,
        ),
        ("Watch", HttpRule(get="/watch"), True),
    ):
        method = MethodDescriptorProto(
            name=name, input_type=TEXT, output_type=TEXT, server_streaming=stream
        )
        method.options.Extensions[RULE].CopyFrom(rule)
        service.method.append(method)
    return files.SerializeToString()


@pytest.fixture
def rest(echo: Handler) -> Handler:
    told = Rest(descriptors=echo_definitions())
    return behind(echo, "rest", told, endpoint=Endpoint(path="/*", protocol=GRPC))


async def test_service_is_called_by_its_rules(rest: Handler) -> None:
    answer = await rest(request_to("/echo", method="POST", body=b'"hello"'))
    assert (answer.status, answer.body) == (200, b'"hello"')
    answer = await rest(request_to("/e/a%20b"))
    assert (answer.status, answer.body) == (200, b'"a b"')


async def test_error_of_the_service_is_the_one_that_it_raised(rest: Handler) -> None:
    answer = await rest(request_to("/e/fail"))
    assert isinstance(answer.body, bytes)
    assert (answer.status, json.loads(answer.body)) == (
        409,
        {
            "code": 409,
            "reason": "BUSY",
            "message": "try later",
            "metadata": {"table": "7", "ünï": "cödé"},
        },
    )


async def test_stream_of_the_service_is_lines_and_its_error_the_last(rest: Handler) -> None:
    answer = await rest(request_to("/watch?value=one%20fail"))
    assert not isinstance(answer.body, bytes)
    lines: list[bytes] = []
    while line := await answer.body.read():
        lines.append(line)
    assert lines[0] == b'"one"\n'
    assert json.loads(lines[1])["error"]["reason"] == "BUSY"
    answer.body.close()
