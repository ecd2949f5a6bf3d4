"""GOAWAY in both directions, and the graceful end of a connection."""

from __future__ import annotations

from packages.http2.tests.peers.wire import ANSWER, REQUEST, Frame, Side, headers, request

from kratos_http2 import ClientConnection, ErrorCode, ServerConnection
from kratos_http2.frames import FrameType, goaway, ping, window_update


def goaways(side: Side) -> list[tuple[int, int, bytes]]:
    return [
        (
            int.from_bytes(frame.payload[:4], "big"),
            int.from_bytes(frame.payload[4:8], "big"),
            frame.payload[8:],
        )
        for frame in side.sent()
        if frame.kind == FrameType.GOAWAY
    ]


def test_drain_waits_a_round_trip_before_it_names_the_last_stream(server: Side) -> None:
    connection = server.connection
    assert isinstance(connection, ServerConnection)
    server.open()
    connection.drain()
    first, round_trip = server.sent()
    assert first == Frame(FrameType.GOAWAY, 0, 0, b"\x7f\xff\xff\xff\0\0\0\0")
    server.receive(request(3))  # it crossed our GOAWAY
    assert server.names()[-1] == "headers"
    server.receive(ping(round_trip.payload, ack=True))
    assert goaways(server) == [(3, 0, b"")]
    server.receive(request(5))
    assert [each[1].id for each in server.events if each[0] == "headers"] == [3]
    assert server.sent() == []
    for stream in list(connection.streams.values()):
        connection.answer(stream, ANSWER, b"x")
    assert connection.fault is None


def test_drain_after_goaway_names_no_streams_beyond_it(server: Side) -> None:
    connection = server.connection
    assert isinstance(connection, ServerConnection)
    server.open()
    connection.goaway()
    connection.drain()
    connection.drain()
    assert goaways(server) == [(1, 0, b"")]


def test_last_stream_that_is_named_never_grows(server: Side) -> None:
    server.open()
    server.connection.goaway()
    server.receive(request(3), request(5))
    server.connection.goaway(ErrorCode.ENHANCE_YOUR_CALM, b"too_many_pings")
    server.receive(window_update(0, 0))
    assert goaways(server) == [
        (1, 0, b""),
        (1, ErrorCode.ENHANCE_YOUR_CALM, b"too_many_pings"),
        (1, ErrorCode.PROTOCOL_ERROR, b"WINDOW_UPDATE of nothing"),
    ]


def test_fault_tells_the_last_stream_that_was_looked_at(server: Side) -> None:
    server.receive(request(1), request(7))
    server.receive(window_update(0, 0))
    assert goaways(server)[0][0] == 7


def test_client_learns_which_requests_were_never_looked_at(client: Side) -> None:
    connection = client.connection
    assert isinstance(connection, ClientConnection)
    streams = [connection.request(REQUEST, end=True) for _ in range(3)]
    client.receive(goaway(3, ErrorCode.NO_ERROR, b"bye"))
    assert client.events == [
        ("goaway", 3, 0, b"bye"),
        ("reset", streams[2], ErrorCode.REFUSED_STREAM),
    ]
    assert not connection.usable
    client.receive(headers(1, ANSWER, end=True), headers(3, ANSWER, end=True))
    assert client.names()[2:] == ["headers", "headers"]
    assert connection.streams == {}
    assert connection.fault is None


def test_owner_may_reset_others_when_it_is_told_of_one_that_was_not_looked_at(
    client: Side,
) -> None:
    connection = client.connection
    assert isinstance(connection, ClientConnection)
    streams = [connection.request(REQUEST, end=True) for _ in range(3)]

    def reset_all(name: str, *_: object) -> None:
        if name == "reset":
            for stream in streams:
                connection.reset(stream, ErrorCode.CANCEL)

    client.then = reset_all
    client.receive(goaway(0, 0))
    assert client.names() == ["goaway", "reset"]
    assert connection.streams == {}


def test_peer_may_name_fewer_streams_later_and_not_more(client: Side) -> None:
    client.receive(goaway(2**31 - 1, 0), goaway(5, 0))
    assert client.fault() is None
    client.receive(goaway(7, 0))
    assert client.fault() is not None


def test_server_goes_on_with_the_requests_of_a_client_that_says_goodbye(server: Side) -> None:
    stream = server.open(end=True)
    server.receive(goaway(0, ErrorCode.NO_ERROR, b"done"))
    assert server.events[-1] == ("goaway", 0, 0, b"done")
    server.connection.answer(stream, ANSWER, b"x")
    assert stream.closed
