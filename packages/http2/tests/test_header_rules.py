"""What a message may say (RFC 9113, 8), and what a malformed one leads to."""

from __future__ import annotations

import pytest
from packages.http2.tests.peers.wire import (
    ANSWER,
    REQUEST,
    REQUEST_FIELDS,
    Frame,
    Side,
    data,
    headers,
    raw,
    request,
)

from kratos_http2 import ClientConnection, ErrorCode, HeaderBlock, Settings, encode_fields
from kratos_http2.frames import FrameFlag, FrameType

Fields = list[tuple[bytes, bytes]]

GET: Fields = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")]
CONNECT: Fields = [(b":method", b"CONNECT"), (b":authority", b"a:1")]
EXTENDED: Fields = [
    (b":method", b"CONNECT"),
    (b":protocol", b"websocket"),
    (b":scheme", b"https"),
    (b":path", b"/chat"),
    (b":authority", b"a"),
]


def without(fields: Fields, name: bytes) -> Fields:
    return [field for field in fields if field[0] != name]


WELL_FORMED: list[Fields] = [
    GET,
    [*GET, (b"te", b"Trailers")],
    [*GET, (b"x", b"")],
    [*GET, (b"grpc-message", b" as servers of Go and C send it ")],
    [*GET, (b"x", b"a\tb \x80\xff")],
    [*GET, (b"content-length", b"0")],
    [*GET, (b"content-length", b"0"), (b"content-length", b"0")],
    [*GET, (b"grpc-timeout", b"1S"), (b"x", b"y")],
    CONNECT,
]
MALFORMED: list[Fields] = [
    [],
    without(GET, b":method"),
    without(GET, b":scheme"),
    without(GET, b":path"),
    [*without(GET, b":path"), (b":path", b"")],
    [*without(GET, b":method"), (b":method", b"G T")],
    [*GET, (b":path", b"/")],
    [*GET, (b":status", b"200")],
    [*GET, (b":other", b"x")],
    [*GET, (b":", b"x")],
    [(b"x", b"y"), *GET],
    [(b"grpc-timeout", b"1S"), *GET],
    [*GET[:1], (b"traceparent", b"a"), *GET[1:]],
    [*GET, (b"Upper", b"x")],
    [*GET, (b"", b"x")],
    [*GET, (b"a b", b"x")],
    [*GET, (b"a:b", b"x")],
    [*GET, (b"a\x7f", b"x")],
    [*GET, (b"x", b"a\0b")],
    [*GET, (b"x", b"a\rb")],
    [*GET, (b"x", b"a\nb")],
    [*GET, (b"x", b" a")],
    [*GET, (b"x", b"a\t")],
    [*GET, (b"grpc-timeout", b"1S\n")],
    [*GET, (b":authority", b"a\n")],
    [*GET, (b"connection", b"close")],
    [*GET, (b"keep-alive", b"1")],
    [*GET, (b"proxy-connection", b"close")],
    [*GET, (b"transfer-encoding", b"chunked")],
    [*GET, (b"upgrade", b"h2c")],
    [*GET, (b"te", b"gzip")],
    [*GET, (b"content-length", b"-1")],
    [*GET, (b"content-length", b"1, 1")],
    [*GET, (b"content-length", b"\xb2")],
    [*GET, (b"content-length", b"9" * 20)],
    [*GET, (b"content-length", b"1"), (b"content-length", b"2")],
    [*GET, (b"content-length", b"2"), (b"content-length", b"x")],
    [*CONNECT, (b":scheme", b"http")],
    [*CONNECT, (b":path", b"/")],
    [(b":method", b"CONNECT")],
    [*GET, (b":protocol", b"websocket")],
    EXTENDED,  # which was not offered
]


@pytest.mark.parametrize("fields", WELL_FORMED)
def test_well_formed_requests_are_passed_on(server: Side, fields: Fields) -> None:
    server.receive(headers(1, encode_fields(fields), end=True))
    block: HeaderBlock = server.events[-1][2]
    assert block.fields == tuple(field for field in fields if field[0][:1] != b":")
    assert block.method == fields[0][1]
    assert block.size == sum(len(name) + len(value) + 32 for name, value in fields)


@pytest.mark.parametrize("fields", MALFORMED)
def test_malformed_requests_are_reset_and_not_passed_on(server: Side, fields: Fields) -> None:
    server.receive(headers(1, encode_fields(fields)), request(3, end=True))
    assert server.sent() == [
        Frame(FrameType.RST_STREAM, 0, 1, int(ErrorCode.PROTOCOL_ERROR).to_bytes(4, "big"))
    ]
    assert [(event[0], event[1].id) for event in server.events] == [("headers", 3)]
    assert server.connection.budgets["stream_errors"].spent == 1


@pytest.mark.parametrize("fields", MALFORMED)
def test_malformed_blocks_that_were_remembered_stay_malformed(server: Side, fields: Fields) -> None:
    for stream in (1, 3):
        server.receive(headers(stream, encode_fields(fields)))
    assert server.events == []


def test_extended_connect_is_taken_where_it_was_offered() -> None:
    server = Side(settings=Settings(enable_connect=True))
    server.receive(headers(1, encode_fields(EXTENDED)))
    block: HeaderBlock = server.events[-1][2]
    assert (block.method, block.protocol, block.path) == (b"CONNECT", b"websocket", b"/chat")
    server.receive(headers(3, encode_fields(without(EXTENDED, b":path"))))
    assert server.names() == ["headers"]


@pytest.mark.parametrize("status", [b"", b"20", b"2000", b"abc", b"099", b"\xb200"])
def test_malformed_status_is_refused(client: Side, status: bytes) -> None:
    connection = client.connection
    assert isinstance(connection, ClientConnection)
    stream = connection.request(REQUEST, end=True)
    client.receive(headers(1, encode_fields([(b":status", status)] if status else [])))
    assert [event[:2] for event in client.events] == [("stream_error", stream)]
    assert connection.fault is None


@pytest.mark.parametrize("name", [b":path", b":method"])
def test_response_has_none_of_the_pseudo_fields_of_requests(client: Side, name: bytes) -> None:
    connection = client.connection
    assert isinstance(connection, ClientConnection)
    connection.request(REQUEST, end=True)
    client.receive(headers(1, encode_fields([(b":status", b"200"), (name, b"/")])))
    assert client.names() == ["stream_error"]


@pytest.mark.parametrize(
    "field", [(b":path", b"/"), (b":status", b"200"), (b"Upper", b"x"), (b"upgrade", b"x")]
)
def test_malformed_trailers_are_refused(side: Side, field: tuple[bytes, bytes]) -> None:
    stream = side.open()
    side.receive(data(1, b"x"), headers(1, encode_fields([field]), end=True))
    assert side.events[-1][:2] == ("stream_error", stream)


@pytest.mark.parametrize(
    "frames",
    [
        [data(1, b"1234", end=True)],
        [data(1, b"123456")],
        [data(1, b"123"), data(1, b"456", end=True)],
        [data(1, b"", end=True)],
        [data(1, b"123"), headers(1, encode_fields([(b"a", b"b")]), end=True)],
    ],
)
def test_body_of_another_length_than_announced_is_refused(side: Side, frames: list[bytes]) -> None:
    stream = side.open((b"content-length", b"5"))
    side.receive(*frames)
    assert side.events[-1][:2] == ("stream_error", stream)
    assert side.events[-1][2].code is ErrorCode.PROTOCOL_ERROR


def test_body_of_the_length_that_was_announced_is_taken(side: Side) -> None:
    side.open((b"content-length", b"5"))
    side.receive(data(1, b"123"), data(1, b"45"), data(1, b"", end=True))
    assert side.body() == b"12345"


def test_message_without_a_body_that_announced_one_is_refused(server: Side) -> None:
    server.receive(request(1, (b"content-length", b"5"), end=True))
    assert server.events == []


@pytest.mark.parametrize(("status", "no_body"), [(b"200", True), (b"304", False), (b"204", False)])
def test_length_of_a_body_that_is_not_sent_is_no_matter(
    client: Side, status: bytes, no_body: bool
) -> None:
    connection = client.connection
    assert isinstance(connection, ClientConnection)
    block = encode_fields([(b":status", status), (b"content-length", b"5")])
    connection.request(REQUEST, end=True, no_body=no_body)
    client.receive(headers(1, block, end=True))
    assert client.names() == ["headers"]
    connection.request(REQUEST, end=True, no_body=no_body)
    client.receive(headers(3, block), data(3, b"12345", end=True))
    assert client.names() == ["headers", "headers", "stream_error"]


def test_list_longer_than_announced_is_passed_on_for_an_answer() -> None:
    server = Side(settings=Settings(max_header_list=200))
    server.receive(request(1, (b"x", b"v" * 100), end=True))
    assert server.events[-1][2].size > 200


def test_block_may_be_cut_anywhere(side: Side) -> None:
    block = encode_fields([*REQUEST_FIELDS, (b"x", b"y")])
    if isinstance(side.connection, ClientConnection):
        side.connection.request(REQUEST)
        block = encode_fields([(b":status", b"200"), (b"x", b"y")])
    side.receive(raw(FrameType.HEADERS, FrameFlag.END_STREAM, 1, block[:3]))
    for at in range(3, 5):
        side.receive(raw(FrameType.CONTINUATION, 0, 1, block[at : at + 1]))
        assert side.events == []
    side.receive(raw(FrameType.CONTINUATION, FrameFlag.END_HEADERS, 1, block[5:]))
    (event,) = side.events
    assert event[2].fields == ((b"x", b"y"),)
    assert event[1].received_end


@pytest.mark.parametrize(
    "between",
    [
        data(1, b"x"),
        raw(FrameType.CONTINUATION, 4, 3, b""),
        raw(FrameType.PING, 0, 0, b"12345678"),
        raw(0xAB, 0, 1, b""),
        raw(FrameType.HEADERS, 4, 1, b""),
    ],
)
def test_nothing_comes_between_the_frames_of_a_block(side: Side, between: bytes) -> None:
    side.open()
    side.receive(raw(FrameType.HEADERS, 0, 1, b""), between)
    assert side.fault() is ErrorCode.PROTOCOL_ERROR


def test_padding_and_priority_of_headers_are_skipped(server: Side) -> None:
    flags = FrameFlag.PADDED | FrameFlag.PRIORITY | FrameFlag.END_HEADERS
    payload = b"\x03" + b"\x80\0\0\x09\xff" + REQUEST + bytes(3)
    server.receive(raw(FrameType.HEADERS, flags, 1, payload))
    assert server.events[-1][2].path == b"/a"


@pytest.mark.parametrize(
    ("kind", "flags", "payload", "code"),
    [
        (FrameType.DATA, FrameFlag.PADDED, b"", ErrorCode.FRAME_SIZE_ERROR),
        (FrameType.DATA, FrameFlag.PADDED, b"\x01", ErrorCode.PROTOCOL_ERROR),
        (FrameType.DATA, FrameFlag.PADDED, b"\x05abcd", ErrorCode.PROTOCOL_ERROR),
        (FrameType.HEADERS, FrameFlag.PADDED, b"", ErrorCode.FRAME_SIZE_ERROR),
        (FrameType.HEADERS, FrameFlag.PADDED, b"\x09" + ANSWER, ErrorCode.PROTOCOL_ERROR),
        (FrameType.HEADERS, FrameFlag.PRIORITY, b"1234", ErrorCode.FRAME_SIZE_ERROR),
    ],
)
def test_wrong_padding_ends_the_connection(
    side: Side, kind: FrameType, flags: FrameFlag, payload: bytes, code: ErrorCode
) -> None:
    side.open()
    side.receive(raw(kind, flags | FrameFlag.END_HEADERS, 1, payload))
    assert side.fault() is code


def test_all_of_a_frame_may_be_padding(side: Side) -> None:
    side.open()
    side.receive(raw(FrameType.DATA, FrameFlag.PADDED | FrameFlag.END_STREAM, 1, b"\x02\0\0"))
    assert side.events[-1][2] == b""


PRIORITY = FrameType.PRIORITY


def test_priority_is_taken_in_every_state_and_does_nothing(server: Side) -> None:
    server.receive(raw(PRIORITY, 0, 9, b"\0\0\0\x01\x05"))
    stream = server.open()
    server.receive(raw(PRIORITY, 0, 1, b"\0\0\0\x03\x05"))
    server.connection.reset(stream, 0)
    server.receive(raw(PRIORITY, 0, 1, b"\x80\0\0\x03\x05"))
    assert server.fault() is None
    assert server.names() == ["opened"]


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\0\0\0\x01\x05", ErrorCode.PROTOCOL_ERROR),
        (b"\0\0\0\x03", ErrorCode.FRAME_SIZE_ERROR),
    ],
)
def test_wrong_priority_resets_a_stream_and_ends_a_connection_without_it(
    payload: bytes, code: ErrorCode
) -> None:
    server = Side()
    stream = server.open()
    server.receive(raw(PRIORITY, 0, 1, payload))
    assert server.events[-1][:2] == ("stream_error", stream)
    assert server.events[-1][2].code is code
    server = Side()
    server.receive(raw(PRIORITY, 0, 1, payload))
    assert server.fault() is code


@pytest.mark.parametrize("cut", [False, True])
def test_request_that_depends_on_itself_is_reset_when_its_block_was_read(cut: bool) -> None:
    server = Side()
    added = b"\x40\x01a\x01b"
    payload = b"\0\0\0\x01\x05" + REQUEST + added
    if cut:
        server.receive(raw(FrameType.HEADERS, FrameFlag.PRIORITY, 1, payload[:10]))
        assert server.sent() == []
        server.receive(raw(FrameType.CONTINUATION, FrameFlag.END_HEADERS, 1, payload[10:]))
    else:
        server.receive(
            raw(FrameType.HEADERS, FrameFlag.PRIORITY | FrameFlag.END_HEADERS, 1, payload)
        )
    assert [frame.kind for frame in server.sent()] == [FrameType.RST_STREAM]
    assert server.events == []
    server.receive(headers(3, REQUEST + b"\xbe"))
    assert server.events[-1][2].fields == ((b"a", b"b"),)
    server.receive(request(1))
    assert server.fault() is None  # it crossed our reset
    assert server.names() == ["headers"]


def test_trailers_that_depend_on_their_stream_are_refused(side: Side) -> None:
    stream = side.open()
    flags = FrameFlag.PRIORITY | FrameFlag.END_HEADERS | FrameFlag.END_STREAM
    side.receive(raw(FrameType.HEADERS, flags, 1, b"\0\0\0\x01\x05"))
    assert side.events[-1][:2] == ("stream_error", stream)


@pytest.mark.parametrize("block", [b"\x80", b"\xbe", b"\x40", b"\x00\x01a\x7f", b"\x3f\xe2\x1f"])
def test_block_that_cannot_be_decoded_ends_the_connection(side: Side, block: bytes) -> None:
    side.open()
    side.receive(headers(1, block, end=True))
    assert side.fault() is ErrorCode.COMPRESSION_ERROR
