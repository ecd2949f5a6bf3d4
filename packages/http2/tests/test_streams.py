"""States of streams (RFC 9113, 5.1): what may come when, and what becomes of what may not."""

from __future__ import annotations

import pytest
from packages.http2.tests.peers.wire import (
    ANSWER,
    END,
    REQUEST,
    TRAILERS,
    Frame,
    Side,
    data,
    headers,
    raw,
    request,
)

from kratos_http2 import ClientConnection, ErrorCode, Settings, encode_fields
from kratos_http2.frames import FrameType, goaway, ping, rst_stream, window_update


def reset(stream: int, code: ErrorCode) -> Frame:
    return Frame(FrameType.RST_STREAM, 0, stream, int(code).to_bytes(4, "big"))


def test_message_of_headers_data_and_trailers_arrives(side: Side) -> None:
    stream = side.open()
    side.receive(data(stream.id, b"ab"), data(stream.id, b"c"))
    assert (stream.received_end, stream.closed) == (False, False)
    side.receive(headers(stream.id, TRAILERS, end=True))
    assert side.names() == ["opened", "data", "data", "trailers"]
    assert side.body() == b"abc"
    assert side.events[-1][2].fields == ((b"grpc-status", b"0"),)
    assert (stream.received_end, stream.closed) == (True, False)


def test_stream_closes_when_both_sides_have_ended_in_either_order(kind: str) -> None:
    for ours_first in (True, False):
        side = Side(kind)
        stream = side.open()
        steps = [
            lambda side=side, stream=stream: side.connection.send_trailers(stream, TRAILERS),
            lambda side=side, stream=stream: side.receive(data(stream.id, end=True)),
        ]
        for step in steps if ours_first else reversed(steps):
            assert not stream.closed
            step()
        assert stream.closed
        assert side.connection.streams == {}


@pytest.mark.parametrize("late", [data(1, b"x"), headers(1, TRAILERS, end=True)])
def test_frames_after_the_end_of_a_half_closed_stream_reset_it(side: Side, late: bytes) -> None:
    stream = side.open()
    side.receive(data(1, b"x", end=True))
    side.forget()
    side.receive(late)
    assert side.sent() == [reset(1, ErrorCode.STREAM_CLOSED)]
    assert side.events[-1][:2] == ("stream_error", stream)
    assert stream.closed
    assert side.fault() is None


@pytest.mark.parametrize("late", [data(1, b"x"), headers(1, TRAILERS, end=True)])
def test_frames_after_both_ends_end_the_connection(side: Side, late: bytes) -> None:
    stream = side.open(end=True)
    side.connection.send_headers(stream, TRAILERS, end=True)
    assert stream.closed
    side.receive(late)
    assert side.fault() is ErrorCode.STREAM_CLOSED


@pytest.mark.parametrize("late", [data(1, b"x"), headers(1, TRAILERS, end=True)])
def test_frames_after_the_peer_reset_a_stream_are_refused_on_it_alone(
    side: Side, late: bytes
) -> None:
    side.open()
    side.receive(rst_stream(1, ErrorCode.CANCEL))
    side.forget()
    side.receive(late)
    assert side.sent() == [reset(1, ErrorCode.STREAM_CLOSED)]
    assert side.fault() is None


def test_frames_that_crossed_our_reset_are_no_fault_and_give_their_window_back(
    side: Side,
) -> None:
    stream = side.open()
    side.connection.reset(stream, ErrorCode.CANCEL)
    side.forget()
    for _ in range(40):
        side.receive(data(1, b"x" * 16_384))
    side.receive(headers(1, TRAILERS, end=True), window_update(1, 5))
    sent = side.sent()
    assert {(frame.kind, frame.stream) for frame in sent} == {(FrameType.WINDOW_UPDATE, 0)}
    assert side.names() == ["opened"]
    assert side.fault() is None


def test_table_is_kept_right_by_blocks_of_streams_that_are_gone(server: Side) -> None:
    server.connection.reset(server.open(), ErrorCode.CANCEL)
    added = b"\x40\x01a\x01b"
    server.receive(headers(1, added, end=True), headers(3, REQUEST + b"\xbe", end=True))
    assert server.events[-1][2].fields == ((b"a", b"b"),)


def test_reset_of_the_peer_is_told_and_drops_what_was_pending(side: Side) -> None:
    stream = side.open()
    stream.send_window = 0
    side.connection.send_data(stream, b"abc")
    side.receive(rst_stream(1, ErrorCode.INTERNAL_ERROR))
    assert side.events[-1] == ("reset", stream, ErrorCode.INTERNAL_ERROR)
    assert (stream.closed, stream.pending) == (True, 0)
    side.receive(window_update(1, 10))
    side.connection.send_data(stream, b"more")
    side.connection.send_trailers(stream, TRAILERS)
    side.connection.reset(stream, 0)
    assert side.sent() == []


@pytest.mark.parametrize("code", [0x7777, 0xFFFFFFFF])
def test_unknown_error_codes_are_passed_on(side: Side, code: int) -> None:
    side.open()
    side.receive(rst_stream(1, code))
    assert side.events[-1][2] == code


@pytest.mark.parametrize(
    "frame",
    [
        data(5, b"x"),
        rst_stream(5, 0),
        window_update(5, 1),
        data(2, b"x"),
        rst_stream(2, 0),
        window_update(2, 1),
        headers(2, REQUEST),
        data(0, b"x"),
        headers(0, REQUEST),
        rst_stream(0, 0),
        raw(FrameType.PRIORITY, 0, 0, b"\0\0\0\1\0"),
        raw(FrameType.PUSH_PROMISE, 4, 1, b"\0\0\0\2" + REQUEST),
        raw(FrameType.CONTINUATION, 4, 1, b""),
        raw(FrameType.PING, 0, 1, b"12345678"),
        raw(FrameType.GOAWAY, 0, 1, b"12345678"),
        window_update(0, 0),
    ],
)
def test_frames_where_they_cannot_be_end_the_connection(side: Side, frame: bytes) -> None:
    side.open()
    side.receive(frame)
    assert side.fault() is ErrorCode.PROTOCOL_ERROR


def test_response_to_what_was_not_asked_ends_the_connection(client: Side) -> None:
    client.receive(headers(1, ANSWER))
    assert client.fault() is ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize(
    "frame",
    [
        raw(FrameType.PING, 0, 0, b"1234567"),
        raw(FrameType.GOAWAY, 0, 0, b"1234567"),
        raw(FrameType.RST_STREAM, 0, 1, b"123"),
        raw(FrameType.WINDOW_UPDATE, 0, 1, b"12345"),
        raw(FrameType.WINDOW_UPDATE, 0, 0, b"123"),
    ],
)
def test_frames_of_a_wrong_size_end_the_connection(side: Side, frame: bytes) -> None:
    side.open()
    side.receive(frame)
    assert side.fault() is ErrorCode.FRAME_SIZE_ERROR


def test_identifier_below_one_that_was_used_is_refused(server: Side) -> None:
    server.receive(request(5))
    server.receive(request(3))
    assert server.fault() is ErrorCode.PROTOCOL_ERROR


def test_identifier_of_a_stream_that_ended_is_refused(server: Side) -> None:
    server.connection.answer(server.open(end=True), ANSWER, b"")
    server.receive(request(1))
    assert server.fault() is ErrorCode.STREAM_CLOSED


def test_streams_beyond_those_allowed_are_refused_and_may_be_tried_again() -> None:
    server = Side(settings=Settings(max_streams=2))
    server.receive(request(1), request(3), request(5), data(5, b"late", end=True))
    assert server.sent() == [reset(5, ErrorCode.REFUSED_STREAM)]
    assert server.names() == ["headers", "headers"]
    server.connection.reset(server.connection.streams[1], 0)
    server.receive(request(7))
    assert server.names() == ["headers", "headers", "headers"]


def test_client_has_the_room_that_the_server_gives(client: Side) -> None:
    connection = client.connection
    assert isinstance(connection, ClientConnection)
    client.receive(raw(4, 0, 0, b"\0\x03\0\0\0\x01"))
    assert connection.room == 1
    connection.request(REQUEST, end=True)
    assert connection.room == 0
    with pytest.raises(RuntimeError, match="no more streams"):
        connection.request(REQUEST)
    client.receive(headers(1, ANSWER, end=True))
    assert connection.room == 1


def test_client_is_not_usable_when_identifiers_have_run_out(client: Side) -> None:
    connection = client.connection
    assert isinstance(connection, ClientConnection)
    client.inner._next = 2**31 - 1
    assert connection.request(REQUEST).id == 2**31 - 1
    assert not connection.usable
    assert connection.room == 0


def test_second_headers_that_end_nothing_are_refused(side: Side) -> None:
    side.open()
    side.receive(headers(1, TRAILERS))
    assert side.sent() == [reset(1, ErrorCode.PROTOCOL_ERROR)]


def test_data_before_a_response_is_refused(client: Side) -> None:
    connection = client.connection
    assert isinstance(connection, ClientConnection)
    stream = connection.request(REQUEST, end=True)
    client.forget()
    client.receive(data(1, b"x"))
    assert client.sent() == [reset(1, ErrorCode.PROTOCOL_ERROR)]
    assert client.events[-1][1] is stream


def test_interim_responses_come_before_the_final_one(client: Side) -> None:
    connection = client.connection
    assert isinstance(connection, ClientConnection)
    stream = connection.request(REQUEST)
    client.receive(headers(1, encode_fields([(b":status", b"100")])))
    assert (stream.answered, stream.closed) == (False, False)
    client.receive(headers(1, encode_fields([(b":status", b"103"), (b"link", b"</a>")])))
    client.receive(headers(1, ANSWER))
    assert (stream.answered, stream.closed) == (True, False)
    assert [event[2].status for event in client.events] == [b"100", b"103", b"200"]


@pytest.mark.parametrize(("status", "end"), [(b"100", True), (b"101", False)])
def test_interim_response_cannot_end_nor_switch(client: Side, status: bytes, end: bool) -> None:
    connection = client.connection
    assert isinstance(connection, ClientConnection)
    connection.request(REQUEST)
    client.forget()
    client.receive(headers(1, encode_fields([(b":status", status)]), end=end))
    assert client.sent() == [reset(1, ErrorCode.PROTOCOL_ERROR)]


def test_frames_of_unknown_types_and_flags_are_ignored(side: Side) -> None:
    side.open()
    side.receive(raw(0xAB, 0xFF, 1, b"what"), raw(FrameType.DATA, 0xF6, 1, b"x"))
    assert side.body() == b"x"
    side.receive(raw(FrameType.PING, 0xFE, 0, b"12345678"))
    assert side.events[-1] == ("ping", b"12345678")


def test_reserved_bit_is_ignored(side: Side) -> None:
    side.open()
    side.receive(raw(FrameType.DATA, END, 1 | 1 << 31, b"x"))
    assert side.body() == b"x"


def test_ping_is_answered_and_an_answer_is_told(side: Side) -> None:
    side.receive(ping(b"abcdefgh", ack=False))
    assert side.sent() == [Frame(FrameType.PING, 1, 0, b"abcdefgh")]
    side.connection.ping(b"12345678")
    assert side.sent() == [Frame(FrameType.PING, 0, 0, b"12345678")]
    side.receive(ping(b"12345678", ack=True))
    assert side.events == [("ping", b"abcdefgh"), ("pong", b"12345678")]
    with pytest.raises(ValueError, match="8 bytes, not 3"):
        side.connection.ping(b"abc")


def test_nothing_happens_after_a_fault(side: Side) -> None:
    stream = side.open()
    side.connection.send_data(stream, b"")
    side.receive(window_update(0, 0))
    (last,) = side.sent()
    assert last.kind == FrameType.GOAWAY
    assert last.payload[4:8] == int(ErrorCode.PROTOCOL_ERROR).to_bytes(4, "big")
    assert b"WINDOW_UPDATE of nothing" in last.payload
    assert stream.closed
    count = len(side.events)
    side.receive(data(1, b"x"), goaway(0, 0))
    side.connection.send_data(stream, b"x", end=True)
    side.connection.consumed(stream, 1)
    side.connection.reset(stream, 0)
    side.connection.ping(b"12345678")
    side.connection.goaway()
    assert side.sent() == []
    assert len(side.events) == count
    assert side.names()[-1] == "fault"


def test_frames_after_one_that_ended_the_connection_are_not_looked_at(side: Side) -> None:
    side.open()
    side.receive(window_update(0, 0), data(1, b"x"))
    assert side.body() == b""


def test_ended_stream_takes_no_more(side: Side) -> None:
    stream = side.open()
    side.connection.send_data(stream, b"x", end=True)
    for call, arguments in (
        (side.connection.send_data, [b"x"]),
        (side.connection.send_trailers, [TRAILERS]),
        (side.connection.send_headers, [ANSWER]),
        (side.connection.answer, [ANSWER, b"x", TRAILERS]),
    ):
        with pytest.raises(RuntimeError, match="ended already"):
            call(stream, *arguments)
