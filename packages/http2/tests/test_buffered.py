"""How much of a frame has come that is not whole: what an owner sets its time limits by."""

from __future__ import annotations

from typing import Any

from kratos_http2 import ServerConnection, encode_fields
from kratos_http2.frames import PREFACE, FrameFlag, FrameType, frame, settings

REQUEST = encode_fields(
    [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a")]
)
WHOLE = frame(FrameType.HEADERS, FrameFlag.END_STREAM | FrameFlag.END_HEADERS, 1, REQUEST)
BEGUN = frame(FrameType.HEADERS, FrameFlag.END_STREAM, 1, REQUEST)


class Deaf:
    """A handler that takes no notice."""

    def _nothing(self, *_: Any) -> None:
        """Take no notice."""

    on_output = on_headers = on_data = on_trailers = on_reset = on_stream_error = _nothing
    on_room = on_settings = on_ping = on_pong = on_goaway = on_fault = _nothing


def connected() -> ServerConnection:
    connection = ServerConnection(Deaf())
    connection.start()
    connection.receive(PREFACE + settings([]))
    return connection


def test_part_of_a_preface_is_buffered() -> None:
    connection = ServerConnection(Deaf())
    connection.receive(PREFACE[:10])
    assert connection.buffered == 10
    connection.receive(PREFACE[10:] + settings([]))
    assert connection.buffered == 0


def test_frame_that_comes_byte_by_byte_is_buffered_until_it_is_whole() -> None:
    connection = connected()
    for count, byte in enumerate(WHOLE[:-1], 1):
        connection.receive(bytes([byte]))
        assert connection.buffered == count
    connection.receive(WHOLE[-1:])
    assert connection.buffered == 0


def test_rest_after_a_whole_frame_is_buffered() -> None:
    connection = connected()
    connection.receive(WHOLE + b"\x00\x00")
    assert connection.buffered == 2


def test_header_block_that_is_not_whole_is_buffered_with_the_frame_that_continues_it() -> None:
    connection = connected()
    connection.receive(BEGUN + b"\x00\x00\x00")
    assert connection.buffered == len(REQUEST) + 3


def test_nothing_is_buffered_of_a_connection_that_has_ended() -> None:
    connection = connected()
    connection.receive(BEGUN + frame(FrameType.PING, 0, 0, b"12345678"))
    assert connection.fault is not None
    assert connection.buffered == 0
