"""Peers may measure the way by pings for as long as data comes, and not ping without end."""

from __future__ import annotations

from typing import Any

import pytest

from kratos_http2 import ErrorCode, Http2Error, Limits, ServerConnection, Stream, encode_fields
from kratos_http2.frames import PREFACE, FrameFlag, FrameType, frame, ping, settings

REQUEST = encode_fields(
    [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a")]
)
ANSWER = encode_fields([(b":status", b"200")])
END = FrameFlag.END_STREAM | FrameFlag.END_HEADERS
PING = ping(b"12345678", ack=False)


class Answering:
    """Answers each request with a body."""

    def __init__(self) -> None:
        self.connection = ServerConnection(self, limits=Limits(pings=3), clock=lambda: 0.0)
        self.fault: Http2Error | None = None
        self.body = b"body"

    def on_headers(self, stream: Stream, _block: Any, /) -> None:
        self.connection.answer(stream, ANSWER, self.body)

    def on_fault(self, error: Http2Error, /) -> None:
        self.fault = error

    def _nothing(self, *_: Any) -> None:
        """Take no notice."""

    on_output = on_data = on_trailers = on_reset = on_stream_error = _nothing
    on_room = on_settings = on_ping = on_pong = on_goaway = _nothing


@pytest.fixture
def server() -> Answering:
    answering = Answering()
    answering.connection.start()
    answering.connection.receive(PREFACE + settings([]))
    answering.connection.take()
    return answering


def request(number: int) -> bytes:
    return frame(FrameType.HEADERS, END, 2 * number + 1, REQUEST)


def test_a_ping_after_each_answer_may_go_on_for_ever(server: Answering) -> None:
    for number in range(1000):
        server.connection.receive(request(number))
        server.connection.take()
        server.connection.receive(PING)
        assert ping(b"12345678", ack=True) in server.connection.take()
    assert server.fault is None
    assert server.connection.budgets["pings"].spent == 0


def test_pings_of_a_peer_that_gets_no_data_are_counted(server: Answering) -> None:
    server.connection.receive(PING * 3)
    assert not server.fault
    server.connection.receive(PING)
    assert server.fault is not None
    assert server.fault.code is ErrorCode.ENHANCE_YOUR_CALM
    assert server.fault.limit == "pings"


def test_an_answer_is_reason_for_one_ping_only(server: Answering) -> None:
    server.connection.receive(request(0) + request(1))
    server.connection.take()
    server.connection.receive(PING * 4)
    assert not server.fault
    server.connection.receive(PING)
    assert server.fault is not None


def test_a_long_answer_is_reason_for_as_many_pings_as_it_has_frames(server: Answering) -> None:
    server.body = bytes(4 * 16_384 - 9)
    server.connection.receive(request(0))
    while server.connection.take():
        pass
    for _ in range(4):
        server.connection.receive(PING)
        assert server.connection.ping_excused
    server.connection.receive(PING)
    assert not server.connection.ping_excused
    assert not server.fault
