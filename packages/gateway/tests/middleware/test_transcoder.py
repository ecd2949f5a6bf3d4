"""Services of gRPC, called by ordinary requests (Go: middleware/transcoder)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from kratos.errors import Error
from kratos_gateway.api.gateway_pb2 import GRPC, HTTP, Endpoint
from kratos_gateway.api.transcoder_pb2 import Transcoder
from kratos_gateway.exchange import Answer, Handler
from kratos_gateway.middleware.testing import Backend, Pieces, behind, request_to

SERVICE = Endpoint(path="/helloworld.v1.Greeter/*", protocol=GRPC)
JSON = [("content-type", "application/json")]
OK = [(b"grpc-status", b"0")]


def framed(message: bytes, *, flag: int = 0) -> bytes:
    return bytes([flag]) + len(message).to_bytes(4, "big") + message


def answered(
    *pieces: bytes, trailers: list[tuple[bytes, bytes]] = OK, headers: tuple[Any, ...] = ()
) -> Backend:
    told = [(b"content-type", b"application/grpc+json"), *headers]
    return Backend(Answer(200, told, Pieces(*pieces, trailers=trailers)))


def failed(*trailers: tuple[bytes, bytes], headers: tuple[Any, ...] = ()) -> Backend:
    return answered(trailers=list(trailers), headers=headers)


def transcoded(backend: Backend, options: Transcoder | None = None) -> Handler:
    return behind(backend, "transcoder", options, endpoint=SERVICE)


async def told(backend: Backend, options: Transcoder | None = None) -> tuple[int, Any]:
    answer = await transcoded(backend, options)(request_to(headers=JSON, body=b"{}"))
    assert isinstance(answer.body, bytes)
    assert answer.header(b"content-type") == b"application/json"
    assert not answer.header(b"content-length")
    return answer.status, json.loads(answer.body)


@pytest.mark.parametrize("body", [b'{"name":"ada"}', Pieces(b'{"name":', b'"ada"}')])
async def test_message_is_framed_and_its_answer_taken_out(body: bytes | Pieces) -> None:
    backend = answered(framed(b'{"message":"hi"}')[:8], framed(b'{"message":"hi"}')[8:])
    request = request_to(
        "/helloworld.v1.Greeter/SayHello",
        method="POST",
        headers=[("Content-Type", "application/json; charset=utf-8"), ("Content-Length", "14")],
        body=body,
    )
    answer = await transcoded(backend)(request)
    assert backend.last.body == framed(b'{"name":"ada"}')
    assert backend.last.headers == [
        (b"content-type", b"application/grpc+json"),
        (b"te", b"trailers"),
    ]
    assert (answer.status, answer.body) == (200, b'{"message":"hi"}')
    assert answer.header(b"content-type") == b"application/json; charset=utf-8"
    assert answer.header(b"grpc-status") == b"0"


async def test_request_that_names_no_type_is_one_of_json() -> None:
    backend = answered(framed(b"{}"))
    answer = await transcoded(backend)(request_to())
    assert backend.last.header(b"content-type") == b"application/grpc+json"
    assert answer.header(b"content-type") == b"application/json"


@pytest.mark.parametrize("body", [(), (framed(b""),)])
async def test_success_without_a_body_is_an_empty_answer(body: tuple[bytes, ...]) -> None:
    answer = await transcoded(answered(*body))(request_to(headers=JSON))
    assert (answer.status, answer.body) == (200, b"")


async def test_failure_is_the_status_as_json_with_the_status_of_http_that_stands_for_it() -> None:
    backend = failed((b"grpc-status", b"5"), (b"grpc-message", b"no %C3%A4pfel"))
    assert await told(backend) == (404, {"code": 5, "message": "no äpfel"})


async def test_failure_in_headers_alone_counts_as_well() -> None:
    headers = [(b"grpc-status", b"14"), (b"grpc-message", b"away")]
    assert await told(Backend(Answer(200, headers))) == (503, {"code": 14, "message": "away"})


async def test_answer_is_always_200_where_go_is_to_be_equalled() -> None:
    status, body = await told(failed((b"grpc-status", b"5")), Transcoder(always_ok=True))
    assert (status, body) == (200, {"code": 5})


async def test_retries_see_the_status_in_headers() -> None:
    backend = failed((b"grpc-status", b"14"), (b"grpc-message", b"away"))
    answer = await transcoded(backend)(request_to(headers=JSON))
    assert [answer.header(b"grpc-status"), answer.header(b"grpc-message")] == [b"14", b"away"]


async def test_details_are_told_also_those_of_types_that_nobody_knows() -> None:
    known, strange = AnyMessage(), AnyMessage(type_url="type.googleapis.com/a.B", value=b"\x01")
    known.Pack(Duration(seconds=1))
    packed = Status(code=9, message="with details", details=[known, strange]).SerializeToString()
    sent = base64.b64encode(packed).rstrip(b"=")
    backend = failed((b"grpc-status", b"9"), (b"grpc-status-details-bin", sent))
    status, body = await told(backend)
    assert status == 412
    assert body["details"] == [
        {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s"},
        {"@type": "type.googleapis.com/a.B", "value": "AQ=="},
    ]


async def test_length_of_the_framed_answer_is_not_that_of_the_json() -> None:
    backend = failed((b"grpc-status", b"5"), headers=((b"content-length", b"0"),))
    assert (await told(backend))[0] == 404


@pytest.mark.parametrize(
    ("backend", "status", "code"),
    [
        (Backend(Answer(503, [], b"away")), 503, 14),
        (Backend(Answer(404, [], b"404 page not found")), 501, 12),
        (Backend(Answer(200, [], b"<html>")), 500, 2),
        (failed((b"grpc-status", b"never")), 500, 2),
        (failed((b"grpc-status", b"77")), 500, 2),
        (answered(b"\0\0\0"), 500, 13),
        (answered(framed(b"{}")[:-1]), 500, 13),
        (answered(framed(b"{}", flag=1)), 500, 13),
        (answered(framed(b"{}", flag=8)), 500, 13),
        (answered(framed(b"{}") + framed(b"{}")), 501, 12),
    ],
)
async def test_answer_that_cannot_be_read_is_a_status_too(
    backend: Backend, status: int, code: int
) -> None:
    found, body = await told(backend)
    assert (found, body["code"]) == (status, code)
    assert body["message"]


async def test_too_large_a_request_is_refused_before_it_is_read_whole() -> None:
    body = Pieces(b"x" * 6, b"x" * 6, b"never read")
    backend = answered()
    with pytest.raises(Error, match="more than 10 bytes") as raised:
        await transcoded(backend, Transcoder(max_bytes=10))(request_to(headers=JSON, body=body))
    assert raised.value.code == 413
    assert body.closed
    assert not backend.requests


async def test_too_large_an_answer_is_a_status() -> None:
    status, body = await told(answered(framed(b"x" * 11)), Transcoder(max_bytes=10))
    assert (status, body["code"]) == (429, 8)


async def test_calls_of_grpc_and_other_endpoints_pass_as_they_are() -> None:
    body = Pieces(b"a")
    backend = Backend(Answer(200, body=body))
    call = request_to(headers=[("content-type", "application/grpc+proto")], body=body)
    assert (await transcoded(backend)(call)).body is body
    plain = behind(backend, "transcoder", endpoint=Endpoint(path="/*", protocol=HTTP))
    request = request_to(headers=JSON, body=body)
    assert (await plain(request)).body is body
    assert backend.requests == [call, request]


@pytest.mark.parametrize(("options", "status"), [(None, 504), (Transcoder(always_ok=True), 200)])
async def test_request_without_an_answer_is_a_status_as_json_too(
    options: Transcoder | None, status: int
) -> None:
    request = request_to(headers=JSON)
    with pytest.raises(TimeoutError):
        await transcoded(Backend(TimeoutError()), options)(request)
    assert request.options.on_error is not None
    answer = request.options.on_error(504, "too late")
    assert isinstance(answer.body, bytes)
    assert (answer.status, json.loads(answer.body)) == (status, {"code": 4, "message": "too late"})
    assert answer.header(b"grpc-status") == b"4"
