"""gRPC-Web over HTTP/1.1, binary and in base64, as browsers send it."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import unquote

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import Error
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.transport import Mount
from kratos_grpc import GrpcWeb
from kratos_grpc._envelopes import Envelopes, envelope, whole
from kratos_grpc._framing import WEB_TEXT, Base64
from kratos_grpc.testing import FakeWire, call, server, status_of, turns_during
from kratos_http import HttpServer
from kratos_http.cors import Cors
from kratos_http.testing import Answer, OpenPeer, Peer, SocketPeer, asgi_peer, socket_peer

BINARY, TEXT = "application/grpc-web+proto", "application/grpc-web-text+proto"
KINDS = [BINARY, TEXT]


@pytest.fixture(params=[socket_peer, asgi_peer], ids=["socket", "asgi"])
def open_peer(request: pytest.FixtureRequest) -> OpenPeer:
    opened: OpenPeer = request.param
    return opened


def web_server(*, filters: tuple[Cors, ...] = (), **options: Any) -> HttpServer:
    made = HttpServer("127.0.0.1:0", protocols=[GrpcWeb(**options)], filters=filters, timeout=None)
    made.mount(Mount(services=[EchoService()]))
    return made


def body_of(kind: str, *words: str) -> bytes:
    body = b"".join(envelope(text(word).SerializeToString()) for word in words)
    return base64.b64encode(body) if kind == TEXT else body


async def ask(
    peer: Peer, operation: str, kind: str, *words: str, headers: tuple[tuple[str, str], ...] = ()
) -> Answer:
    sent = [("content-type", kind), ("x-grpc-web", "1"), *headers]
    return await peer.request("POST", operation, headers=sent, body=body_of(kind, *words))


def read(answer: Answer) -> tuple[list[str], dict[str, str]]:
    """Return the words of an answer and its trailers."""
    body = answer.body
    if "grpc-web-text" in answer.header("content-type"):
        body = b"".join(base64.b64decode(part + b"==") for part in body.replace(b"=", b" ").split())
    *messages, (flags, last) = whole(body, 1 << 20)
    assert flags == 0x80
    lines = last.decode().split("\r\n")
    assert lines.pop() == ""
    words = [StringValue.FromString(data).value for _, data in messages]
    return words, dict(line.split(": ", 1) for line in lines)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("operation", "sent", "answered"),
    [
        (ECHO.operation, ["hello"], ["hello"]),
        (WATCH.operation, ["a b c"], ["a", "b", "c"]),
        (COLLECT.operation, ["a", "b"], ["a b"]),
    ],
)
async def test_call_is_answered_with_its_end_in_the_body(
    open_peer: OpenPeer, kind: str, operation: str, sent: list[str], answered: list[str]
) -> None:
    async with open_peer(web_server()) as peer:
        answer = await ask(peer, operation, kind, *sent)
    assert (answer.status, answer.header("content-type")) == (200, kind)
    assert read(answer) == (answered, {"grpc-status": "0"})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operation", [ECHO.operation, WATCH.operation])
async def test_error_is_in_the_body(open_peer: OpenPeer, kind: str, operation: str) -> None:
    async with open_peer(web_server()) as peer:
        answer = await ask(peer, operation, kind, "fail")
    words, end = read(answer)
    assert (answer.status, words) == (200, [])
    assert (end["grpc-status"], unquote(end["grpc-message"])) == ("10", "try later")
    assert "grpc-status-details-bin" in end


@pytest.mark.parametrize("kind", KINDS)
async def test_request_beyond_the_limit_is_refused_in_the_protocol(
    open_peer: OpenPeer, kind: str
) -> None:
    async with open_peer(web_server(max_receive=10)) as peer:
        answer = await ask(peer, ECHO.operation, kind, "x" * 100)
    _, end = read(answer)
    assert (answer.status, end["grpc-status"]) == (200, "8")


async def test_bidirectional_call_over_http_1_1_is_served_in_turns(open_peer: OpenPeer) -> None:
    async with open_peer(web_server()) as peer:
        answer = await ask(peer, CHAT.operation, BINARY, "a", "b")
    words, end = read(answer)
    assert (words, end["grpc-status"]) == (["a", "b"], "0")


async def test_bidirectional_call_over_http_2_is_served() -> None:
    served = server(GrpcWeb(), services=[EchoService()])
    headers = [(b"content-type", BINARY.encode())]
    reply = await call(served, CHAT.operation, text("a"), text("b"), headers=headers)
    assert not reply.trailers
    *messages, (_, last) = whole(reply.body, 1 << 20)
    assert [StringValue.FromString(data).value for _, data in messages] == ["a", "b"]
    assert last == b"grpc-status: 0\r\n"


async def test_unknown_operation_is_unimplemented(open_peer: OpenPeer) -> None:
    async with open_peer(web_server()) as peer:
        answer = await ask(peer, "/nope.Nope/Nope", BINARY, "a")
    assert read(answer)[1]["grpc-status"] == "12"


async def test_connection_serves_one_call_after_another() -> None:
    async with socket_peer(web_server()) as peer:
        for word in ("a", "fail", "b"):
            words, end = read(await ask(peer, ECHO.operation, BINARY, word))
            assert (words, end["grpc-status"]) == (([], "10") if word == "fail" else ([word], "0"))


async def test_peer_that_goes_cancels_the_handler() -> None:
    service = EchoService()
    served = HttpServer("127.0.0.1:0", protocols=[GrpcWeb()], timeout=None)
    served.mount(Mount(services=[service]))
    async with socket_peer(served) as peer:
        assert isinstance(peer, SocketPeer)
        body = body_of(BINARY, "hang")
        await peer.send(
            f"POST {ECHO.operation} HTTP/1.1\r\nhost: test\r\ncontent-type: {BINARY}\r\n"
            f"content-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await service.entered.wait()
        peer.reset()
        await service.left.wait()
    assert service.interrupted == 1


ALLOWED = ("content-type", "x-grpc-web", "x-user-agent", "grpc-timeout")
EXPOSED = ("grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-encoding")
ORIGIN = "https://app.example.com"


async def test_browsers_of_other_origins_call_behind_cors(open_peer: OpenPeer) -> None:
    cors = Cors([ORIGIN], headers=ALLOWED, expose=EXPOSED)
    async with open_peer(web_server(filters=(cors,))) as peer:
        preflight = await peer.request(
            "OPTIONS",
            ECHO.operation,
            headers=[
                ("origin", ORIGIN),
                ("access-control-request-method", "POST"),
                ("access-control-request-headers", "content-type,x-grpc-web,x-user-agent"),
            ],
        )
        answer = await ask(peer, ECHO.operation, TEXT, "hello", headers=(("origin", ORIGIN),))
    assert preflight.header("access-control-allow-origin") == ORIGIN
    assert "x-grpc-web" in preflight.header("access-control-allow-headers")
    assert answer.header("access-control-allow-origin") == ORIGIN
    assert "grpc-status" in answer.header("access-control-expose-headers")
    assert read(answer) == (["hello"], {"grpc-status": "0"})


async def drained(reading: Base64) -> bytes:
    found = b""
    while piece := await reading.read():
        found += piece
    return found


@given(st.lists(st.binary(max_size=20), max_size=6), st.lists(st.integers(0, 9), max_size=30))
async def test_base64_is_read_however_it_is_padded_and_cut(
    parts: list[bytes], sizes: list[int]
) -> None:
    body = b"".join(base64.b64encode(part) for part in parts)
    pieces: list[bytes | None] = []
    left = body
    for size in sizes:
        if size and left:
            pieces.append(left[:size])
            left = left[size:]
    if left:
        pieces.append(left)
    found = await drained(Base64(FakeWire(pieces)))
    assert found == b"".join(parts) == WEB_TEXT.whole(body)


@pytest.mark.parametrize("body", [b"AQI", b"A", b"****", b"A===", b"=AQI"])
async def test_body_that_is_no_base64_is_refused(body: bytes) -> None:
    with pytest.raises(Error) as failure:
        WEB_TEXT.whole(body)
    assert (failure.value.code, failure.value.reason) == (400, "CODEC")
    with pytest.raises(Error):
        await drained(Base64(FakeWire([body])))


async def test_body_that_is_padded_everywhere_is_refused() -> None:
    """Each place is decoded by itself: two million of them would take seconds."""
    body = b"AA==" * 10_000
    with pytest.raises(Error, match="too many places"):
        WEB_TEXT.whole(body)
    assert WEB_TEXT.whole(b"AA==" * 100) == bytes(100)


async def test_others_have_their_turn_while_base64_of_a_stream_is_decoded() -> None:
    reading = drained(Base64(FakeWire([b"AA==" * 50_000])))
    assert await turns_during(reading) >= 10


async def test_messages_in_base64_are_found_as_they_come() -> None:
    body = base64.b64encode(envelope(b"hello"))
    reading, envelopes = Base64(FakeWire([body[:5], body[5:]])), Envelopes(100)
    while piece := await reading.read():
        envelopes.feed(piece)
    assert envelopes.take() == (0, b"hello")


async def test_status_of_an_answer_in_the_body_is_no_header() -> None:
    served = server(GrpcWeb(), services=[EchoService()])
    headers = [(b"content-type", BINARY.encode())]
    reply = await call(served, ECHO.operation, text("fail"), headers=headers, version="1.1")
    with pytest.raises(KeyError):
        status_of(reply)
