"""Windows in both directions (RFC 9113, 5.2 and 6.9)."""

from __future__ import annotations

import pytest
from packages.http2.tests.peers.wire import ANSWER, TRAILERS, Frame, Side, data, raw, request

from kratos_http2 import ErrorCode, Settings
from kratos_http2.frames import FrameFlag, FrameType, window_update

PADDED = int(FrameFlag.PADDED)


def updates(side: Side) -> list[tuple[int, int]]:
    return [
        (frame.stream, int.from_bytes(frame.payload, "big"))
        for frame in side.sent()
        if frame.kind == FrameType.WINDOW_UPDATE
    ]


def payloads(side: Side) -> list[tuple[int, bytes, bool]]:
    return [
        (frame.stream, frame.payload, frame.flags & 1 == 1)
        for frame in side.sent()
        if frame.kind == FrameType.DATA
    ]


def test_windows_are_given_back_when_the_handler_reads(kind: str) -> None:
    side = Side(kind, settings=Settings(stream_window=80_000, connection_window=100_000))
    stream = side.open()
    for _ in range(4):
        side.receive(data(1, b"x" * 10_000))
    assert updates(side) == []
    side.connection.consumed(stream, 39_999)
    assert updates(side) == []
    side.connection.consumed(stream, 1)
    assert updates(side) == [(1, 40_000)]
    side.receive(data(1, b"x" * 10_000))
    side.connection.consumed(stream, 10_000)
    assert updates(side) == [(0, 50_000)]
    assert stream.unread == 0


def test_stream_whose_message_is_whole_needs_no_window(side: Side) -> None:
    stream = side.open()
    size = Settings().stream_window
    for at in range(0, size, 16_384):
        side.receive(data(1, b"x" * 16_384, end=at + 16_384 == size))
    side.connection.consumed(stream, size)
    assert updates(side) == []
    assert side.inner._spent == size


def test_more_data_than_a_stream_may_have_unread_resets_it(kind: str) -> None:
    side = Side(kind, settings=Settings(stream_window=100))
    stream = side.open()
    side.receive(data(1, b"x" * 100), data(1, b"y"))
    assert side.sent()[-1] == Frame(
        FrameType.RST_STREAM, 0, 1, int(ErrorCode.FLOW_CONTROL_ERROR).to_bytes(4, "big")
    )
    assert side.body() == b"x" * 100
    assert stream.closed
    assert side.fault() is None


def test_more_data_than_the_connection_may_have_unread_ends_it(kind: str) -> None:
    side = Side(kind, settings=Settings(stream_window=200_000, connection_window=65_535))
    side.open()
    for _ in range(4):
        side.receive(data(1, b"x" * 16_383))
    assert side.fault() is None
    side.receive(data(1, b"x" * 4))
    assert side.fault() is ErrorCode.FLOW_CONTROL_ERROR


def test_padding_counts_in_windows_and_is_given_back_by_itself(kind: str) -> None:
    side = Side(kind, settings=Settings(stream_window=1000, connection_window=65_535))
    stream = side.open()
    side.receive(raw(FrameType.DATA, PADDED, 1, b"\xc8" + b"body" + bytes(200)))
    assert side.body() == b"body"
    assert stream.window == 1000 - 205
    assert stream.unread == 4
    assert stream.spent == 201


def test_unread_rest_of_a_stream_that_is_gone_is_given_back(side: Side) -> None:
    stream = side.open()
    side.receive(data(1, b"x" * 1000))
    side.connection.reset(stream, ErrorCode.CANCEL)
    assert side.inner._spent == 1000
    side.connection.consumed(stream, 1000)
    assert side.inner._spent == 1000


def test_windows_by_stream_do_not_hold_up_others(kind: str) -> None:
    side = Side(
        kind,
        settings=Settings(stream_window=65_535, connection_window=65_535, by_stream=True),
    )
    stream = side.open()
    for _ in range(3):
        side.receive(data(1, b"x" * 16_384))
    assert updates(side) == [(0, 2 * 16_384)]
    assert side.inner._window + side.inner._spent == 65_535
    assert stream.unread == 3 * 16_384
    side.connection.consumed(stream, 3 * 16_384)
    assert updates(side) == [(1, 3 * 16_384)]
    assert side.inner._window + side.inner._spent == 65_535
    for _ in range(4):
        side.receive(data(1, b"x" * 16_384))
    assert side.events[-1][2].code is ErrorCode.FLOW_CONTROL_ERROR
    assert side.fault() is None


def test_windows_by_stream_are_kept_back_when_too_much_is_unread(kind: str) -> None:
    side = Side(
        kind,
        settings=Settings(
            stream_window=65_535, connection_window=65_535, by_stream=True, max_unread=20_000
        ),
    )
    stream = side.open()
    for _ in range(3):
        side.receive(data(1, b"x" * 16_384))
    assert updates(side) == []
    assert side.inner._window + side.inner._spent == 65_535 - 2 * 16_384
    side.connection.consumed(stream, 16_384)
    assert side.inner._window + side.inner._spent == 65_535 - 2 * 16_384
    side.connection.reset(stream, ErrorCode.CANCEL)
    assert (0, 3 * 16_384) in updates(side)
    assert side.inner._window + side.inner._spent == 65_535


def test_data_waits_for_the_window_of_its_stream(side: Side) -> None:
    stream = side.open()
    stream.send_window = 3
    side.connection.send_data(stream, b"abcdef", end=True)
    assert payloads(side) == [(1, b"abc", False)]
    assert stream.pending == 3
    side.receive(window_update(1, 2))
    assert payloads(side) == [(1, b"de", False)]
    assert side.names() == ["opened"]
    side.receive(window_update(1, 9))
    assert payloads(side) == [(1, b"f", True)]
    assert side.events[-1] == ("room", stream)
    assert stream.pending == 0


def test_trailers_wait_for_the_data_before_them(side: Side) -> None:
    stream = side.open()
    stream.send_window = 1
    side.connection.send_data(stream, b"ab")
    side.connection.send_trailers(stream, TRAILERS)
    assert payloads(side) == [(1, b"a", False)]
    assert stream.sent_end
    side.receive(window_update(1, 1))
    last, trailers = side.sent()
    assert (last.payload, last.flags) == (b"b", 0)
    assert (trailers.kind, trailers.payload, trailers.flags & 1) == (1, TRAILERS, 1)


def test_small_pieces_that_waited_are_joined_and_large_ones_cut(side: Side) -> None:
    stream = side.open()
    stream.send_window = 0
    for piece in (b"a", b"bc", b"d" * 20_000, b"e"):
        side.connection.send_data(stream, piece)
    side.receive(window_update(1, 60_000))
    assert payloads(side) == [
        (1, b"abc" + b"d" * 16_381, False),
        (1, b"d" * (20_000 - 16_381) + b"e", False),
    ]


def test_streams_share_the_window_of_the_connection_frame_by_frame() -> None:
    server = Side()
    server.receive(request(1), request(3), request(5))
    connection = server.connection
    server.inner._send_window = 0
    for stream in connection.streams.values():
        connection.send_headers(stream, ANSWER)
        connection.send_data(stream, bytes([stream.id]) * (3 * 16_384 + 100), end=True)
    server.forget()
    server.receive(window_update(0, 16_384 * 3))
    assert [stream for stream, _, _ in payloads(server)] == [1, 3, 5]
    server.receive(window_update(0, 16_384 * 4 + 10))
    assert [stream for stream, _, _ in payloads(server)] == [1, 3, 5, 1, 3]
    server.receive(window_update(0, 100_000))
    assert [(stream, end) for stream, _, end in payloads(server)] == [
        (5, False),
        (1, True),
        (3, False),
        (5, True),
        (3, True),
    ]


def test_held_connection_sends_no_data_and_all_of_it_when_it_is_let_go(side: Side) -> None:
    stream = side.open()
    side.connection.hold()
    side.connection.send_data(stream, b"abc")
    assert payloads(side) == []
    side.connection.resume()
    assert payloads(side) == [(1, b"abc", False)]
    assert side.events[-1] == ("room", stream)


def test_output_between_two_takes_is_bounded(side: Side) -> None:
    stream = side.open()
    side.receive(window_update(0, 10_000_000), window_update(1, 10_000_000))
    side.connection.send_data(stream, b"x" * 2_000_000, end=True)
    takes: list[int] = []
    while taken := side.connection.take():
        takes.append(len(taken))
    assert max(takes) < 300_000
    assert sum(takes) > 2_000_000
    assert stream.pending == 0


def test_handler_that_sends_when_there_is_room_neither_recurses_nor_stalls(side: Side) -> None:
    stream = side.open()
    side.receive(window_update(0, 10_000_000), window_update(1, 10_000_000))
    left = 300

    def more(name: str, *_: object) -> None:
        nonlocal left
        if name == "room" and left:
            left -= 1
            side.connection.send_data(stream, b"x" * 1000, end=not left)

    side.then = more
    side.connection.hold()
    side.connection.send_data(stream, b"first")
    side.connection.resume()
    sent = b"".join(payload for _, payload, _ in payloads(side))
    while left:  # what went at once makes no room
        more("room")
        sent += b"".join(payload for _, payload, _ in payloads(side))
    assert len(sent) == 5 + 300_000


@pytest.mark.parametrize("stream", [0, 1])
def test_window_that_overflows_is_an_error_of_what_it_is_of(side: Side, stream: int) -> None:
    side.open()
    side.receive(window_update(stream, 2**31 - 1))
    if stream:
        (sent,) = side.sent()
        assert sent.kind == FrameType.RST_STREAM
        assert sent.payload == int(ErrorCode.FLOW_CONTROL_ERROR).to_bytes(4, "big")
        assert side.fault() is None
    else:
        assert side.fault() is ErrorCode.FLOW_CONTROL_ERROR


def test_update_of_nothing_resets_its_stream(side: Side) -> None:
    side.open()
    side.receive(window_update(1, 0))
    assert [frame.kind for frame in side.sent()] == [FrameType.RST_STREAM]
    assert side.fault() is None


def test_whole_answer_waits_like_its_parts(server: Side) -> None:
    stream = server.open(end=True)
    stream.send_window = 2
    server.connection.answer(stream, ANSWER, b"abc", TRAILERS)
    head, first = server.sent()
    assert (head.payload, first.payload) == (ANSWER, b"ab")
    assert not stream.closed
    server.receive(window_update(1, 5))
    assert [frame.payload for frame in server.sent()] == [b"c", TRAILERS]
    assert stream.closed


def test_answer_without_a_body_has_no_empty_frame(server: Side) -> None:
    stream = server.open(end=True)
    server.connection.answer(stream, ANSWER, b"", TRAILERS)
    assert [(frame.kind, frame.flags & 1) for frame in server.sent()] == [(1, 0), (1, 1)]
    server.forget()
    stream = server.open(end=True)
    server.connection.answer(stream, ANSWER, b"")
    assert [(frame.kind, frame.flags & 1) for frame in server.sent()] == [(1, 1)]
    assert stream.closed
