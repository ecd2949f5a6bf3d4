"""What honest peers do, however much of it, trips no limit."""

from __future__ import annotations

import pytest
from packages.http2.tests.peers.wire import (
    ANSWER,
    REQUEST,
    TRAILERS,
    Side,
    data,
    headers,
    raw,
    request,
)

from kratos_http2 import ClientConnection, ErrorCode, Stream
from kratos_http2.frames import (
    FrameType,
    Setting,
    ping,
    rst_stream,
    settings,
    window_update,
)


def test_ten_thousand_calls_that_are_cancelled_after_the_headers_came(server: Side) -> None:
    for stream in range(1, 20_001, 2):
        server.receive(request(stream), data(stream, b"x" * 10))
        server.connection.send_headers(server.connection.streams[stream], ANSWER)
        server.connection.take()
        server.receive(rst_stream(stream, ErrorCode.CANCEL))
        server.events.clear()
    assert server.fault() is None
    assert server.connection.budgets["resets"].spent == 0
    assert server.connection.streams == {}


def test_ten_thousand_calls_that_are_cancelled_at_once(server: Side) -> None:
    for stream in range(1, 20_001, 2):
        server.receive(request(stream, end=True), rst_stream(stream, ErrorCode.CANCEL))
        server.events.clear()
    assert server.fault() is None
    assert server.connection.budgets["resets"].spent == 10_000


def test_client_that_cancels_every_second_call_for_ever(server: Side) -> None:
    for number, stream in enumerate(range(1, 100_001, 2)):
        server.receive(request(stream, end=True))
        if number % 2:
            server.receive(rst_stream(stream, ErrorCode.CANCEL))
        else:
            server.connection.answer(server.connection.streams[stream], ANSWER, b"x", TRAILERS)
        server.forget()
    assert server.fault() is None
    assert server.connection.budgets["resets"].spent == 25_000


def test_client_of_grpcs_core_that_opens_windows_for_calls_without_messages(server: Side) -> None:
    """For each call it widens both windows, although it cancels it, or gets trailers alone."""
    for number, stream in enumerate(range(1, 20_001, 2)):
        server.receive(request(stream, end=True), window_update(stream, 5), window_update(0, 5))
        if number % 2:
            server.receive(rst_stream(stream, ErrorCode.CANCEL))
        else:
            server.connection.send_headers(server.connection.streams[stream], ANSWER, end=True)
        server.forget()
    assert server.fault() is None
    assert server.connection.budgets["window_updates"].spent == 0


def test_client_of_go_that_measures_its_way_at_every_answer(server: Side) -> None:
    for number, stream in enumerate(range(1, 10_001, 2)):
        server.receive(request(stream), data(stream, b"x" * 10, end=True))
        server.connection.answer(server.connection.streams[stream], ANSWER, b"y" * 100, TRAILERS)
        server.forget()
        server.receive(ping(b"\x02\x04\x10\x10\x09\x0e\x07\x07", ack=False))
        if number in (10, 100, 1000):
            server.receive(
                settings([(Setting.INITIAL_WINDOW_SIZE, 65_535 * number)]),
                window_update(0, 100_000),
            )
        server.receive(window_update(0, 100), window_update(stream, 100))
    assert server.fault() is None
    assert server.connection.budgets["pings"].spent == 0
    assert server.connection.budgets["window_updates"].spent < 10


def test_client_that_keeps_its_connection_alive_for_hours(server: Side) -> None:
    for _ in range(10_000):
        server.now += 1
        server.receive(ping(b"12345678", ack=False))
        server.forget()
    assert server.fault() is None


def test_hundred_streams_at_once_for_ten_thousand_requests(server: Side) -> None:
    """As h2load does it, with an update of the window for each hundred answers."""
    for first in range(1, 20_001, 200):
        ids = range(first, first + 200, 2)
        server.receive(*(request(stream, end=True) for stream in ids))
        for stream in ids:
            server.connection.answer(server.connection.streams[stream], ANSWER, b"y" * 500)
        server.receive(window_update(0, 50_000))
        server.forget()
    assert server.fault() is None
    spent = {name for name, each in server.connection.budgets.items() if each.spent}
    assert spent == {"settings"}  # of the handshake


def test_upload_and_download_in_small_frames_with_an_update_for_each(side: Side) -> None:
    stream = side.open()
    if not side.client:
        side.connection.send_headers(stream, ANSWER)
    for _ in range(5000):
        side.receive(data(1, b"x" * 20))
        side.connection.consumed(stream, 20)
        side.connection.send_data(stream, b"y" * 20)
        side.forget()
        side.receive(window_update(1, 20), window_update(0, 20))
    assert side.fault() is None
    assert stream.pending == 0
    assert side.connection.budgets["window_updates"].spent == 0


def test_browser_with_its_tree_of_priorities(server: Side) -> None:
    for stream in (3, 5, 7, 9, 11):
        server.receive(raw(FrameType.PRIORITY, 0, stream, b"\0\0\0\0\xc8"))
    for stream in range(13, 4013, 2):
        server.receive(
            raw(FrameType.HEADERS, 0x25, stream, b"\x80\0\0\x0b\x1f" + REQUEST),
        )
        server.connection.answer(server.connection.streams[stream], ANSWER, b"y")
        server.forget()
    assert server.fault() is None


def test_uploads_that_the_server_breaks_off_while_they_come(server: Side) -> None:
    late = 0
    for stream in range(1, 4001, 2):
        server.receive(request(stream))
        connection = server.connection
        connection.answer(connection.streams[stream], ANSWER, b"no", TRAILERS)
        connection.reset(connection.streams[stream], ErrorCode.NO_ERROR)
        server.receive(data(stream, b"x" * 1000), data(stream, b"x" * 1000, end=True))
        late += 2000
        server.forget()
    assert server.fault() is None
    assert server.inner._window + server.inner._spent == 1024 * 1024
    assert late > 1024 * 1024


@pytest.mark.parametrize("code", [ErrorCode.REFUSED_STREAM, ErrorCode.CANCEL])
def test_server_that_refuses_every_request(client: Side, code: ErrorCode) -> None:
    connection = client.connection
    assert isinstance(connection, ClientConnection)
    for _ in range(20_000):
        stream: Stream = connection.request(REQUEST, end=True)
        client.receive(rst_stream(stream.id, code))
        client.forget()
    assert connection.fault is None


def test_client_that_is_answered_early_and_resets_what_it_did_not_finish(server: Side) -> None:
    for stream in range(1, 30_001, 2):
        server.receive(request(stream))
        server.connection.answer(server.connection.streams[stream], ANSWER, b"no", TRAILERS)
        server.receive(rst_stream(stream, ErrorCode.NO_ERROR))
        server.forget()
    assert server.fault() is None
    assert server.connection.streams == {}


def test_server_whose_resets_cross_the_end_of_requests(client: Side) -> None:
    connection = client.connection
    assert isinstance(connection, ClientConnection)
    for _ in range(20_000):
        stream = connection.request(REQUEST, end=True)
        client.receive(headers(stream.id, ANSWER, end=True))
        client.receive(rst_stream(stream.id, ErrorCode.NO_ERROR))
        client.forget()
    assert connection.fault is None
