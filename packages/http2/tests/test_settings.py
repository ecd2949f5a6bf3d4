"""Settings: what we announce, what a peer may, and when either holds."""

from __future__ import annotations

from typing import Any

import pytest
from packages.http2.tests.peers.wire import (
    ANSWER,
    REQUEST,
    Frame,
    Side,
    data,
    parse,
    raw,
    request,
)

from kratos_http2 import (
    ClientConnection,
    ErrorCode,
    Limits,
    ServerConnection,
    Settings,
    encode_fields,
    frames,
)
from kratos_http2.frames import PREFACE, FrameFlag, FrameType, Setting, settings, settings_ack

ACK = Frame(FrameType.SETTINGS, FrameFlag.ACK, 0, b"")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"max_streams": -1}, "Settings.max_streams is -1, and not 0 to 2147483647"),
        ({"stream_window": 0}, "Settings.stream_window is 0, and not 1 to 2147483647"),
        ({"stream_window": 2**31}, "stream_window"),
        ({"connection_window": 65_534}, "Settings.connection_window is 65534, and not 65535 to"),
        ({"max_frame_size": 16_383}, "Settings.max_frame_size is 16383, and not 16384 to 16777215"),
        ({"max_frame_size": 2**24}, "max_frame_size"),
        ({"max_header_list": 0}, "max_header_list"),
        ({"header_table": -1}, "header_table"),
    ],
)
def test_what_cannot_be_announced_is_refused(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Settings(**values)


def test_negative_limits_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Limits.pings is -1, and not 0 or more"):
        Limits(pings=-1)
    with pytest.raises(ValueError, match=r"Limits.per_second is -0.5"):
        Limits(per_second=-0.5)


def test_server_announces_what_differs_from_the_defaults_of_the_protocol() -> None:
    announced = Settings(
        max_streams=7,
        stream_window=100_000,
        connection_window=200_000,
        max_frame_size=20_000,
        max_header_list=9000,
        header_table=0,
        enable_connect=True,
    )
    first, update = parse(Side(settings=announced).first)
    assert dict(frames.pairs(first.payload)) == {
        Setting.MAX_CONCURRENT_STREAMS: 7,
        Setting.INITIAL_WINDOW_SIZE: 100_000,
        Setting.MAX_FRAME_SIZE: 20_000,
        Setting.MAX_HEADER_LIST_SIZE: 9000,
        Setting.HEADER_TABLE_SIZE: 0,
        Setting.ENABLE_CONNECT_PROTOCOL: 1,
    }
    assert update == Frame(FrameType.WINDOW_UPDATE, 0, 0, (200_000 - 65_535).to_bytes(4, "big"))


def test_client_begins_with_the_preface_and_wants_no_push() -> None:
    first = Side("client").first
    assert first.startswith(PREFACE)
    assert dict(frames.pairs(parse(first)[0].payload))[Setting.ENABLE_PUSH] == 0


def test_settings_are_acknowledged_and_told(side: Side) -> None:
    side.receive(settings([(Setting.MAX_FRAME_SIZE, 20_000), (0x1234, 5)]))
    assert side.sent() == [ACK]
    assert side.names() == ["settings"]
    assert side.connection.peer.max_frame_size == 20_000


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        (Setting.ENABLE_PUSH, 2, ErrorCode.PROTOCOL_ERROR),
        (Setting.INITIAL_WINDOW_SIZE, 2**31, ErrorCode.FLOW_CONTROL_ERROR),
        (Setting.MAX_FRAME_SIZE, 16_383, ErrorCode.PROTOCOL_ERROR),
        (Setting.MAX_FRAME_SIZE, 2**24, ErrorCode.PROTOCOL_ERROR),
        (Setting.ENABLE_CONNECT_PROTOCOL, 2, ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_values_out_of_range_end_the_connection(
    side: Side, name: Setting, value: int, code: ErrorCode
) -> None:
    side.receive(settings([(name, value)]))
    assert side.fault() is code
    assert name.name in side.events[-1][1].message


def test_server_that_offers_push_is_refused(client: Side, server: Side) -> None:
    client.receive(settings([(Setting.ENABLE_PUSH, 1)]))
    assert client.fault() is ErrorCode.PROTOCOL_ERROR
    server.receive(settings([(Setting.ENABLE_PUSH, 1)]))
    assert server.fault() is None


def test_extended_connect_cannot_be_taken_back(client: Side) -> None:
    client.receive(settings([(Setting.ENABLE_CONNECT_PROTOCOL, 1)]))
    assert client.connection.peer.enable_connect == 1
    client.receive(settings([(Setting.ENABLE_CONNECT_PROTOCOL, 0)]))
    assert client.fault() is not None


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (raw(4, 0, 1, b""), ErrorCode.PROTOCOL_ERROR),
        (raw(4, 0, 0, b"12345"), ErrorCode.FRAME_SIZE_ERROR),
        (raw(4, 1, 0, b"123456"), ErrorCode.FRAME_SIZE_ERROR),
        (settings_ack(), ErrorCode.PROTOCOL_ERROR),  # one more than there were settings
    ],
)
def test_malformed_settings_end_the_connection(side: Side, frame: bytes, code: ErrorCode) -> None:
    side.receive(frame)
    assert side.fault() is code


@pytest.mark.parametrize("first", [settings_ack(), frames.ping(b"12345678", ack=False)])
def test_connection_has_to_begin_with_settings(kind: str, first: bytes) -> None:
    side = Side.__new__(Side)
    side.events, side.then = [], lambda *_: None
    make = ClientConnection if kind == "client" else ServerConnection
    side.connection = make(side)
    side.connection.start()
    side.receive(b"" if kind == "client" else PREFACE, first)
    assert side.fault() is ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize("size", [1, 5, 23, 24, 30])
def test_preface_may_come_in_pieces(size: int) -> None:
    side = Side()
    fresh = ServerConnection(side)
    sent = PREFACE + settings([]) + request(1)
    for at in range(0, len(sent), size):
        fresh.receive(sent[at : at + size])
    assert fresh.fault is None
    assert side.names() == ["settings", "headers"]


@pytest.mark.parametrize("sent", [b"G", b"GET / HTTP/1.1\r\n", PREFACE[:20] + b"x"])
def test_what_is_no_preface_is_refused_at_the_first_wrong_byte(sent: bytes) -> None:
    side = Side()
    fresh = ServerConnection(side)
    fresh.receive(sent)
    assert fresh.fault is not None
    assert fresh.fault.code is ErrorCode.PROTOCOL_ERROR


def test_larger_initial_window_frees_what_waits_on_open_streams(side: Side) -> None:
    stream = side.open()
    side.receive(settings([(Setting.INITIAL_WINDOW_SIZE, 0)]))
    side.forget()
    if not side.client:
        side.connection.send_headers(stream, ANSWER)
        side.forget()
    stream.send_window = 0
    side.connection.send_data(stream, b"abc")
    assert side.sent() == []
    assert stream.pending == 3
    side.receive(settings([(Setting.INITIAL_WINDOW_SIZE, 2)]))
    assert [frame.payload for frame in side.sent() if frame.kind == FrameType.DATA] == [b"ab"]
    assert side.names()[-1] == "settings"
    side.receive(settings([(Setting.INITIAL_WINDOW_SIZE, 10)]))
    assert [frame.payload for frame in side.sent() if frame.kind == FrameType.DATA] == [b"c"]
    assert "room" in side.names()


def test_smaller_initial_window_may_make_that_of_a_stream_negative(side: Side) -> None:
    stream = side.open()
    side.connection.send_headers(stream, ANSWER) if not side.client else None
    side.connection.send_data(stream, b"x" * 100)
    side.receive(settings([(Setting.INITIAL_WINDOW_SIZE, 10)]))
    assert stream.send_window == -90
    side.forget()
    side.connection.send_data(stream, b"abc")
    side.receive(frames.window_update(stream.id, 90))
    assert side.sent() == []
    side.receive(frames.window_update(stream.id, 2))
    assert [frame.payload for frame in side.sent()] == [b"ab"]


def test_end_of_a_stream_needs_no_window(side: Side) -> None:
    stream = side.open()
    side.receive(settings([(Setting.INITIAL_WINDOW_SIZE, 0)]))
    side.connection.send_headers(stream, ANSWER) if not side.client else None
    side.forget()
    stream.send_window = -5
    side.connection.send_data(stream, b"", end=True)
    assert side.sent() == [Frame(FrameType.DATA, FrameFlag.END_STREAM, stream.id, b"")]


def test_initial_window_that_makes_a_stream_overflow_ends_the_connection(side: Side) -> None:
    stream = side.open()
    side.receive(frames.window_update(stream.id, 2**31 - 1 - 65_535))
    assert side.fault() is None
    side.receive(settings([(Setting.INITIAL_WINDOW_SIZE, 65_536)]))
    assert side.fault() is ErrorCode.FLOW_CONTROL_ERROR


def test_smaller_window_of_ours_holds_when_the_peer_has_acknowledged_it() -> None:
    side = Side()
    fresh = ServerConnection(side, settings=Settings(stream_window=10))
    fresh.start()
    fresh.receive(PREFACE + settings([]) + request(1) + data(1, b"x" * 100))
    stream = side.events[-1][1]
    assert side.names() == ["settings", "headers", "data"]
    fresh.receive(settings_ack())
    assert stream.window == 10 - 100
    fresh.receive(request(3) + data(3, b"x" * 11))
    assert side.events[-1][2].code is ErrorCode.FLOW_CONTROL_ERROR
    assert fresh.fault is None


def test_smaller_table_of_the_peer_is_answered_with_none_before_our_next_block(
    side: Side,
) -> None:
    stream = side.open()
    side.receive(settings([(Setting.HEADER_TABLE_SIZE, 100), (Setting.HEADER_TABLE_SIZE, 4096)]))
    side.forget()
    connection = side.connection
    if isinstance(connection, ClientConnection):
        connection.request(REQUEST)
        connection.request(REQUEST)
        block = REQUEST
    else:
        connection.answer(stream, ANSWER, b"x", encode_fields([(b"a", b"b")]))
        connection.receive(request(3))
        connection.answer(connection.streams[3], ANSWER, b"x", encode_fields([(b"a", b"b")]))
        block = ANSWER
    blocks = [frame.payload for frame in side.sent() if frame.kind == FrameType.HEADERS]
    assert blocks[0] == b"\x20" + block
    assert all(not each.startswith(b"\x20") for each in blocks[1:])
    side.receive(settings([(Setting.HEADER_TABLE_SIZE, 0)]))
    side.forget()
    if isinstance(connection, ClientConnection):
        connection.request(REQUEST)
    else:
        connection.receive(request(5))
        connection.send_headers(connection.streams[5], ANSWER)
    assert side.sent()[0].payload == block  # it was told already


def test_frame_larger_than_announced_is_refused_before_it_is_here(side: Side) -> None:
    side.open()
    side.receive((16_385).to_bytes(3, "big") + b"\x00\x00\x00\x00\x00\x01")
    assert side.fault() is ErrorCode.FRAME_SIZE_ERROR


def test_blocks_and_data_are_cut_to_the_frames_that_the_peer_takes(side: Side) -> None:
    stream = side.open()
    block = encode_fields([(b":status", b"200"), (b"long", b"v" * 40_000)])
    side.connection.send_headers(stream, block)
    side.connection.send_data(stream, b"d" * 40_000)
    sent = side.sent()
    assert [frame.kind for frame in sent] == [1, 9, 9, 0, 0, 0]
    assert b"".join(frame.payload for frame in sent[:3]) == block
    assert [frame.flags for frame in sent[:3]] == [0, 0, FrameFlag.END_HEADERS]
    assert max(len(frame.payload) for frame in sent) == 16_384
    side.receive(settings([(Setting.MAX_FRAME_SIZE, 20_000)]))
    side.sent()
    side.connection.send_data(stream, b"d" * 20_000)
    assert [len(frame.payload) for frame in side.sent()] == [20_000]
