"""What clients need: whole requests at once, and streams that hold up no others."""

from __future__ import annotations

from typing import Any

import pytest

from kratos_http2 import (
    ClientConnection,
    ErrorCode,
    HeaderBlock,
    Http2Error,
    ServerConnection,
    Settings,
    Stream,
    encode_fields,
)

ASKED = encode_fields(
    ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"h"))
)
ANSWER = encode_fields(((b":status", b"200"),))


class Noting:
    """A handler that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.body = b""

    def on_output(self) -> None:
        pass

    def on_headers(self, stream: Stream, block: HeaderBlock, /) -> None:
        self.told.append(("headers", stream.id, stream.received_end))

    def on_data(self, stream: Stream, data: bytes, /) -> None:
        self.body += data
        self.told.append(("data", stream.id, len(data), stream.received_end))

    def on_trailers(self, stream: Stream, block: HeaderBlock, /) -> None:
        self.told.append(("trailers", stream.id))

    def on_reset(self, stream: Stream, code: int, /) -> None:
        self.told.append(("reset", stream.id, code))

    def on_stream_error(self, stream: Stream, error: Http2Error, /) -> None:
        self.told.append(("error", stream.id, error.code))

    def on_room(self, stream: Stream, /) -> None:
        self.told.append(("room", stream.id))

    def on_settings(self) -> None:
        pass

    def on_ping(self, payload: bytes, /) -> None:
        pass

    def on_pong(self, payload: bytes, /) -> None:
        pass

    def on_goaway(self, last: int, code: int, debug: bytes, /) -> None:
        self.told.append(("goaway", last, code))

    def on_fault(self, error: Http2Error, /) -> None:
        self.told.append(("fault", str(error)))


class Pair:
    """A client and a server, with nothing between them."""

    def __init__(self, **settings: Any) -> None:
        self.heard, self.served = Noting(), Noting()
        self.client = ClientConnection(self.heard, settings=Settings(**settings))
        self.server = ServerConnection(self.served, settings=Settings(max_streams=3))
        self.client.start()
        self.server.start()
        self.turn()

    def turn(self) -> None:
        for _ in range(3):
            self.server.receive(self.client.take())
            self.client.receive(self.server.take())
        assert self.client.fault is None
        assert self.server.fault is None


@pytest.mark.parametrize("size", [0, 1, 16_384, 16_385, 70_000, 1_000_000])
def test_whole_request_arrives_whole_whatever_its_size(size: int) -> None:
    pair = Pair()
    body = bytes(index % 251 for index in range(size))
    stream = pair.client.ask(ASKED, body)
    for _ in range(40):
        pair.turn()
        for each in tuple(pair.server.streams.values()):
            pair.server.consumed(each, each.unread)
    assert pair.served.body == body
    assert pair.served.told[-1][-1] is True
    assert (stream.sent_end, stream.pending, pair.client.fault) == (True, 0, None)


def test_whole_requests_are_as_many_as_the_peer_allows() -> None:
    pair = Pair()
    for _ in range(3):
        pair.client.ask(ASKED, b"x")
    assert pair.client.room == 0
    with pytest.raises(RuntimeError, match="no more streams"):
        pair.client.ask(ASKED, b"x")


def test_whole_request_waits_while_the_transport_has_enough() -> None:
    pair = Pair()
    pair.client.hold()
    stream = pair.client.ask(ASKED, b"later")
    assert stream.pending == 5
    pair.client.resume()
    pair.turn()
    assert pair.served.body == b"later"


def answered(pair: Pair, size: int) -> Stream:
    """Return a stream of a client, of whose answer as much has come as its window lets through."""
    pair.client.ask(ASKED, b"x")
    pair.turn()
    stream = next(reversed(pair.server.streams.values()))
    pair.server.send_headers(stream, ANSWER)
    pair.server.send_data(stream, bytes(size))
    for _ in range(10):
        pair.turn()
    return pair.client.streams[stream.id]


def test_stream_that_nobody_reads_holds_others_up_with_the_window_of_the_connection() -> None:
    pair = Pair(connection_window=65_535, stream_window=65_535)
    assert answered(pair, 100_000).unread == 65_535
    assert answered(pair, 100_000).unread == 0


def test_stream_that_nobody_reads_holds_up_no_others_where_windows_are_given_by_stream() -> None:
    pair = Pair(connection_window=65_535, stream_window=65_535, by_stream=True)
    first = answered(pair, 100_000)
    assert (first.unread, answered(pair, 100_000).unread) == (65_535, 65_535)
    pair.client.consumed(first, 65_535)
    for _ in range(10):
        pair.turn()
    assert first.unread == 100_000 - 65_535


def test_reasons_of_a_peer_that_leaves_are_told_before_what_it_leaves_behind() -> None:
    pair = Pair()
    pair.client.ask(ASKED, b"x")
    pair.server.goaway(ErrorCode.ENHANCE_YOUR_CALM, b"too_many_pings")
    pair.client.receive(pair.server.take())
    assert pair.heard.told == [
        ("goaway", 0, ErrorCode.ENHANCE_YOUR_CALM),
        ("reset", 1, ErrorCode.REFUSED_STREAM),
    ]
