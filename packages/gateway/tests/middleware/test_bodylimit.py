"""Requests whose bodies are too large."""

from __future__ import annotations

import json

import pytest

from kratos.errors import ConfigError, Error
from kratos_gateway.api.bodylimit_pb2 import BodyLimit
from kratos_gateway.api.gateway_pb2 import GRPC, Endpoint
from kratos_gateway.exchange import Answer, Request
from kratos_gateway.middleware.bodies import read_whole
from kratos_gateway.middleware.testing import Backend, Pieces, behind, request_to

TEN = BodyLimit(max_bytes=10)


async def reading(request: Request, /) -> Answer:
    return Answer(200, body=await read_whole(request.body, 1000))


@pytest.mark.parametrize("body", [b"", b"0123456789", Pieces(b"01234", b"56789"), Pieces()])
async def test_body_within_the_limit_passes(body: bytes | Pieces) -> None:
    answer = await behind(reading, "bodylimit", TEN)(request_to(body=body))
    assert answer.status == 200


async def test_body_that_says_that_it_is_too_large_is_refused_unread() -> None:
    backend = Backend()
    for body, headers in ((b"0123456789a", []), (Pieces(b"0"), [("content-length", "11")])):
        answer = await behind(backend, "bodylimit", TEN)(request_to(body=body, headers=headers))
        assert answer.status == 413
        assert isinstance(answer.body, bytes)
        assert json.loads(answer.body)["reason"] == "BODY_TOO_LARGE"
    assert not backend.requests


async def test_body_that_turns_out_too_large_is_broken_off() -> None:
    body = Pieces(b"01234", b"56789a", b"more")
    with pytest.raises(Error, match="more than 10 bytes") as raised:
        await behind(reading, "bodylimit", TEN)(request_to(body=body))
    assert raised.value.code == 413
    assert body.closed


async def test_what_is_over_the_limit_stays_refused() -> None:
    backend = Backend()
    await behind(backend, "bodylimit", TEN)(request_to(body=Pieces(b"0" * 11), method="POST"))
    body = backend.last.body
    assert not isinstance(body, bytes)
    for _ in range(2):
        with pytest.raises(Error):
            await body.read()


async def test_call_of_grpc_hears_that_it_is_too_large_by_a_status_of_grpc() -> None:
    headers = [("content-type", "application/grpc"), ("content-length", "11")]
    request = request_to(headers=headers, body=Pieces(), endpoint=Endpoint(protocol=GRPC))
    answer = await behind(Backend(), "bodylimit", TEN)(request)
    assert (answer.status, answer.header(b"grpc-status")) == (200, b"8")


def test_limit_is_needed() -> None:
    with pytest.raises(ConfigError, match="maxBytes"):
        behind(Backend(), "bodylimit")
