"""Services of gRPC, called from browsers."""

from __future__ import annotations

import base64

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError, Error
from kratos.testing.echo import ECHO, WATCH
from kratos_gateway.api.gateway_pb2 import GRPC, HTTP, Endpoint
from kratos_gateway.api.logging_pb2 import Logging
from kratos_gateway.exchange import Answer, Handler
from kratos_gateway.middleware.bodies import read_whole
from kratos_gateway.middleware.frames import framed
from kratos_gateway.middleware.testing import Backend, Pieces, behind, request_to

SERVICE = Endpoint(path="/*", protocol=GRPC)
WEB = [("Content-Type", "application/grpc-web+proto"), ("X-Grpc-Web", "1")]
TEXT = [("Content-Type", "application/grpc-web-text+proto"), ("Content-Length", "8")]
ENDED = b"\x80\x00\x00\x00\x10grpc-status: 0\r\n"


def web(backend: Handler) -> Handler:
    return behind(backend, "grpcweb", endpoint=SERVICE)


def answering(*pieces: bytes) -> Backend:
    kind = [(b"content-type", b"application/grpc+proto"), (b"x-a", b"1")]
    return Backend(Answer(200, kind, Pieces(*pieces, trailers=[(b"grpc-status", b"0")])))


async def pieces_of(answer: Answer) -> list[bytes]:
    assert not isinstance(answer.body, bytes)
    assert answer.body.trailers == ()
    pieces: list[bytes] = []
    while piece := await answer.body.read():
        pieces.append(piece)
    return pieces


async def test_call_becomes_one_of_grpc_and_its_trailers_the_last_frame() -> None:
    backend, body = answering(b"one", b"two"), Pieces(b"in")
    answer = await web(backend)(request_to(method="POST", headers=WEB, body=body))
    assert backend.last.headers == [
        (b"content-type", b"application/grpc+proto"),
        (b"te", b"trailers"),
    ]
    assert backend.last.body is body
    assert answer.headers == [(b"content-type", b"application/grpc-web+proto"), (b"x-a", b"1")]
    assert await pieces_of(answer) == [b"one", b"two", ENDED]


async def test_call_as_text_is_base64_both_ways() -> None:
    backend = answering(b"one")
    body = Pieces(b"aW", b"4=", b"aW4=")
    answer = await web(backend)(request_to(method="POST", headers=TEXT, body=body))
    assert await read_whole(backend.last.body, 100) == b"inin"
    assert not backend.last.header(b"content-length")
    assert answer.header(b"content-type") == b"application/grpc-web-text+proto"
    assert [base64.b64decode(piece) for piece in await pieces_of(answer)] == [b"one", ENDED]


async def test_whole_bodies_are_as_those_in_pieces() -> None:
    kind = [(b"content-type", b"application/grpc")]
    backend = Backend(Answer(200, kind, b"one", [(b"grpc-status", b"0")]))
    answer = await web(backend)(request_to(headers=TEXT, body=b"aW4="))
    assert backend.last.body == b"in"
    assert isinstance(answer.body, bytes)
    assert base64.b64decode(answer.body) == b"one" + ENDED


async def test_status_in_headers_alone_stays_there() -> None:
    told = [(b"content-type", b"application/grpc"), (b"grpc-status", b"5")]
    for body in (b"", Pieces()):
        answer = await web(Backend(Answer(200, told, body)))(request_to(headers=WEB))
        assert answer.headers == [
            (b"content-type", b"application/grpc-web"),
            (b"grpc-status", b"5"),
        ]
        assert await read_whole(answer.body, 100) == b""


async def test_answer_of_something_else_passes_as_it_is() -> None:
    told = Answer(503, [(b"content-type", b"text/html")], b"away")
    assert await web(Backend(told))(request_to(headers=WEB)) == told


async def test_other_requests_and_endpoints_pass_as_they_are() -> None:
    backend = Backend(Answer(200))
    for kind in ("application/grpc", "application/json", ""):
        request = request_to(headers=[("content-type", kind)])
        await web(backend)(request)
        assert backend.last is request
    request = request_to(headers=WEB)
    await behind(backend, "grpcweb", endpoint=Endpoint(protocol=HTTP))(request)
    assert backend.last is request


@pytest.mark.parametrize("body", [b"%", b"aW4", Pieces(b"aW4=", b"a"), Pieces(b"a=b=")])
async def test_text_that_is_no_base64_is_refused(body: bytes | Pieces) -> None:
    async def reading(request: object, /) -> Answer:
        return Answer(200, body=await read_whole(getattr(request, "body"), 100))  # noqa: B009

    with pytest.raises(Error) as raised:
        await web(reading)(request_to(headers=TEXT, body=body))
    assert raised.value.code == 400


async def test_answer_that_is_left_is_cut_off() -> None:
    body = Pieces(b"one", b"two")
    kind = [(b"content-type", b"application/grpc")]
    answer = await web(Backend(Answer(200, kind, body)))(request_to(headers=WEB))
    assert not isinstance(answer.body, bytes)
    answer.body.close()
    assert body.closed
    assert await answer.body.read() == b""


@given(st.lists(st.binary(max_size=20)), st.integers(1, 7))
async def test_text_is_read_however_it_is_cut_and_padded(parts: list[bytes], step: int) -> None:
    text = b"".join(base64.b64encode(part) for part in parts)
    backend = answering()
    cut = [text[at : at + step] for at in range(0, len(text), step)]
    await web(backend)(request_to(headers=TEXT, body=Pieces(*cut)))
    assert await read_whole(backend.last.body, 1000) == b"".join(parts)


async def test_service_of_kratos_is_called_over_sockets(echo: Handler) -> None:
    handler = web(echo)
    message = framed(StringValue(value="hello").SerializeToString())
    call = request_to(ECHO.operation, method="POST", headers=WEB, body=message)
    pieces = b"".join(await pieces_of(await handler(call)))
    assert pieces.startswith(message)
    assert b"grpc-status: 0\r\n" in pieces
    failing = framed(StringValue(value="one fail").SerializeToString())
    call = request_to(WATCH.operation, method="POST", headers=WEB, body=failing)
    pieces = b"".join(await pieces_of(await handler(call)))
    assert pieces.startswith(framed(StringValue(value="one").SerializeToString()))
    assert b"grpc-status: 10\r\n" in pieces
    assert b"grpc-message: try later\r\n" in pieces


async def test_request_without_an_answer_is_a_status_that_browsers_find() -> None:
    request = request_to(headers=TEXT)
    with pytest.raises(TimeoutError):
        await web(Backend(TimeoutError()))(request)
    assert request.options.on_error is not None
    assert request.options.on_error(504, "too late") == Answer(
        200,
        [
            (b"content-type", b"application/grpc-web-text+proto"),
            (b"grpc-status", b"4"),
            (b"grpc-message", b"too late"),
        ],
    )


def test_it_has_no_options() -> None:
    with pytest.raises(ConfigError, match="no options"):
        behind(Backend(), "grpcweb", Logging())
