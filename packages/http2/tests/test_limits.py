"""Known attacks: each ends its connection with ENHANCE_YOUR_CALM, and costs little until then.

Costs are counted, not timed: frames until the end, objects kept, bytes of output that wait.
"""

from __future__ import annotations

import gc
from typing import Any

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

from kratos_http2 import (
    ClientConnection,
    ErrorCode,
    Limits,
    Settings,
    Stream,
    encode_fields,
    header_blocks,
)
from kratos_http2._sending import REASONS
from kratos_http2.frames import (
    FrameFlag,
    FrameType,
    Setting,
    goaway,
    ping,
    rst_stream,
    settings,
    window_update,
)

PING = ping(b"12345678", ack=False)


def calmed(side: Side, limit: str) -> bool:
    """Tell whether the connection ended by a limit; and see to it that the peer is told."""
    fault = side.connection.fault
    if fault is None:
        return False
    assert fault.code is ErrorCode.ENHANCE_YOUR_CALM
    assert fault.limit == limit
    assert side.events[-1] == ("fault", fault)
    last = side.sent()[-1]
    assert last.kind == FrameType.GOAWAY
    assert last.payload[4:8] == int(ErrorCode.ENHANCE_YOUR_CALM).to_bytes(4, "big")
    return True


@pytest.mark.parametrize(
    ("limit", "frame", "burst"),
    [
        ("pings", PING, 100),
        ("pings", ping(b"12345678", ack=True), 100),  # which answer nothing
        ("settings", settings([]), 100),
        ("settings", settings([(Setting.INITIAL_WINDOW_SIZE, 5)]), 100),
        ("goaways", goaway(0, 0), 20),
        ("empty_frames", data(1), 100),
        ("empty_frames", raw(0, FrameFlag.PADDED, 1, b"\x02\0\0"), 100),
        ("window_updates", window_update(0, 1), 1000),
        ("window_updates", window_update(1, 1), 1000),
        ("priorities", raw(FrameType.PRIORITY, 0, 1, b"\0\0\0\x03\0"), 1000),
        ("unknown", raw(0xBE, 0, 1, b""), 1000),
    ],
)
def test_flood_of_frames_ends_after_its_burst(
    kind: str, limit: str, frame: bytes, burst: int
) -> None:
    side = Side(kind)
    side.open()
    budget = side.connection.budgets[limit]
    for _ in range(burst + REASONS):  # the handshake has spent some, and a request is a reason
        if budget.spent == burst:
            break
        side.receive(frame)
        side.connection.take()
    assert side.fault() is None
    side.receive(frame)
    assert calmed(side, limit)
    assert budget.spent == burst + 1


def test_bursts_come_back_with_time(server: Side) -> None:
    for _ in range(20):
        for _ in range(100 - 1):
            server.receive(PING)
        server.forget()
        server.now += 10
    assert server.fault() is None
    assert server.connection.budgets["pings"].spent == 20 * 99
    server.now += 1_000
    server.receive(PING * 100)
    assert server.fault() is None
    server.receive(PING)  # a burst is all that comes back
    assert calmed(server, "pings")


def test_limits_can_be_set_one_by_one() -> None:
    side = Side(limits=Limits(pings=3, per_second=0))
    side.now += 1e9
    side.receive(PING * 3)
    assert side.fault() is None
    side.receive(PING)
    assert calmed(side, "pings")


def test_rapid_reset_ends_after_its_burst_with_no_stream_kept() -> None:
    """CVE-2023-44487."""
    server = Side(limits=Limits(resets=500))
    for stream in range(1, 1001, 2):
        server.receive(request(stream, end=True), rst_stream(stream, ErrorCode.CANCEL))
        assert server.connection.streams == {}
    assert server.fault() is None
    server.receive(request(1001, end=True), rst_stream(1001, ErrorCode.CANCEL))
    assert calmed(server, "resets")


def test_rapid_reset_in_two_steps_is_the_same() -> None:
    server = Side(limits=Limits(resets=500))
    for first in (1, 401, 801):
        some = range(first, first + 400, 2)
        server.receive(*(request(stream, end=True) for stream in some))
        server.receive(*(rst_stream(stream, ErrorCode.CANCEL) for stream in some))
    assert calmed(server, "resets")


@pytest.mark.parametrize(
    "fault",
    [
        window_update(1, 0),
        window_update(1, 2**31 - 1),
        raw(FrameType.PRIORITY, 0, 1, b"\0\0\0\x01\x05"),
        headers(1, TRAILERS),
        headers(1, REQUEST, end=True),
    ],
)
def test_resets_that_are_provoked_end_after_their_burst(fault: bytes) -> None:
    """CVE-2025-8671: it is us who reset, and the handler's work was for nothing all the same."""
    server = Side(limits=Limits(stream_errors=500))
    for stream in range(1, 1003, 2):
        assert server.fault() is None
        assert server.connection.streams == {}
        number = stream.to_bytes(4, "big")
        frame = fault[:5] + number + fault[9:].replace(b"\0\0\0\x01\x05", number + b"\x05")
        server.receive(request(stream), frame)
    assert calmed(server, "stream_errors")


def test_malformed_and_refused_requests_count_as_errors_of_streams() -> None:
    malformed = encode_fields([(b":method", b"GET")])
    server = Side(limits=Limits(stream_errors=10))
    server.receive(*(headers(stream, malformed) for stream in range(1, 23, 2)))
    assert calmed(server, "stream_errors")
    server = Side(limits=Limits(stream_errors=10), settings=Settings(max_streams=2))
    server.receive(*(request(stream) for stream in range(1, 5 + 22, 2)))
    assert calmed(server, "stream_errors")


def test_requests_after_goaway_count_as_errors_of_streams() -> None:
    server = Side(limits=Limits(stream_errors=10))
    server.connection.goaway()
    server.receive(*(request(stream) for stream in range(1, 23, 2)))
    assert calmed(server, "stream_errors")


def test_memory_of_resets_is_bounded() -> None:
    server = Side(limits=Limits(resets=100_000))
    for stream in range(1, 20_001, 2):
        server.receive(request(stream, end=True), rst_stream(stream, ErrorCode.CANCEL))
        server.events.clear()
    assert server.fault() is None
    assert len(server.inner._resets) == 4096
    assert len(server.inner._waiting) == 0
    gc.collect()
    assert sum(isinstance(each, Stream) for each in gc.get_objects()) < 100


def test_continuation_flood_ends_after_few_frames(side: Side) -> None:
    """CVE-2024-27316 and its kin."""
    side.open()
    side.receive(raw(FrameType.HEADERS, 0, 1, b""))
    for _ in range(32):
        side.receive(raw(FrameType.CONTINUATION, 0, 1, b""))
    assert side.fault() is None
    side.receive(raw(FrameType.CONTINUATION, 0, 1, b""))
    assert calmed(side, "max_continuations")


def test_block_in_many_large_frames_ends_when_it_is_too_large(side: Side) -> None:
    side.open()
    side.receive(raw(FrameType.HEADERS, 0, 1, b"x" * 16_384))
    for _ in range(3):
        side.receive(raw(FrameType.CONTINUATION, 0, 1, b"x" * 16_384))
    assert side.fault() is None
    side.receive(raw(FrameType.CONTINUATION, 0, 1, b"x"))
    assert calmed(side, "max_header_block")
    assert side.inner._block == b""


def test_block_in_one_frame_may_not_be_larger(kind: str) -> None:
    side = Side(kind, settings=Settings(max_frame_size=100_000))
    side.open()
    side.receive(headers(1, b"x" * (64 * 1024 + 1)))
    assert calmed(side, "max_header_block")


@pytest.mark.parametrize("size", [4000, 0])
def test_small_block_that_unfolds_to_a_large_list_ends_the_connection(
    server: Side, size: int
) -> None:
    """The HPACK bomb: one entry of the table, meant thousands of times."""
    entry = b"\x40\x01a\x7f\x81\x1f" + b"v" * 4096 if size else b"\x40\x01a\x00"
    entry = b"\x40\x01a\x7f" + b"\xa1\x1e" + b"v" * 4000 if size else entry
    server.receive(headers(1, REQUEST + entry, end=True))
    assert server.names() == ["headers"]
    server.receive(headers(3, REQUEST + b"\xbe" * 16_000, end=True))
    assert calmed(server, "max_header_list")


def test_list_that_is_far_too_large_is_not_even_looked_at(
    server: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To check each of its values takes a thousand times as long as to send it."""
    server.receive(headers(1, REQUEST + b"\x40\x01a\x7f\xa1\x1e" + b"v" * 4000, end=True))
    checked: list[bytes] = []
    module: Any = header_blocks
    check = module._VALUE

    def noting(value: bytes) -> Any:
        checked.append(value)
        return check(value)

    monkeypatch.setattr(header_blocks, "_VALUE", noting)
    server.receive(headers(3, REQUEST + b"\xbe" * 8000, end=True))
    assert calmed(server, "max_header_list")
    assert not checked


def test_list_within_the_bomb_limit_shares_what_it_repeats(server: Side) -> None:
    server.receive(headers(1, b"\x40\x01a\x7f\xa1\x1e" + b"v" * 4000))
    server.receive(headers(3, REQUEST + b"\xbe" * 60, end=True))
    block = server.events[-1][2]
    assert block.size > 240_000
    assert len({id(value) for _, value in block.fields}) == 1


def test_what_is_remembered_of_blocks_is_bounded() -> None:
    server = Side(settings=Settings(max_streams=10_000))
    for number in range(2000):
        path = b"/%d" % number
        server.receive(request(2 * number + 1, (b"x", b"y" * (number % 900)), path=path))
        server.events.clear()
    reader = server.inner._reader
    for memory in (reader.known, reader._bases):
        assert 0 < len(memory) <= 256
        assert sum(block.size for block in memory.values()) <= 64 * 1024
        assert max(block.size for block in memory.values()) <= 8 * 1024


def test_interim_responses_without_end_reset_their_stream(client: Side) -> None:
    connection = client.connection
    assert isinstance(connection, ClientConnection)
    stream = connection.request(REQUEST)
    interim = headers(1, encode_fields([(b":status", b"103")]))
    client.receive(interim * 32)
    assert set(client.names()) == {"headers"}
    client.receive(interim)
    assert client.events[-1][:2] == ("stream_error", stream)
    assert client.events[-1][2].code is ErrorCode.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("frame", [PING, settings([])])
def test_reactions_to_a_peer_that_does_not_read_are_bounded(kind: str, frame: bytes) -> None:
    side = Side(kind, limits=Limits(pings=10**9, settings=10**9, max_output=10_000))
    side.connection.hold()
    for _ in range(2000):
        side.receive(frame)
    assert calmed(side, "max_output")
    assert sum(event[0] in ("ping", "settings") for event in side.events) < 10_000 / 9 + 2


def test_reactions_within_one_turn_are_bounded_too(side: Side) -> None:
    side = Side(limits=Limits(pings=10**9, max_output=10_000))
    side.receive(PING * 2000)
    assert calmed(side, "max_output")


def test_answers_without_bodies_to_a_peer_that_does_not_read_are_bounded() -> None:
    server = Side(limits=Limits(max_output=10_000))

    def answer(name: str, stream: Stream, *_: object) -> None:
        if name == "headers":
            server.connection.answer(stream, ANSWER, b"", TRAILERS)

    server.then = answer
    server.connection.hold()
    for stream in range(1, 4001, 2):
        server.receive(request(stream, end=True))
    assert server.names().count("headers") < 10_000 / len(TRAILERS)
    assert calmed(server, "max_output")


def test_answers_with_bodies_to_a_peer_that_does_not_read_count_as_open_streams() -> None:
    server = Side(settings=Settings(max_streams=50))

    def answer(name: str, stream: Stream, *_: object) -> None:
        if name == "headers":
            server.connection.answer(stream, ANSWER, b"x" * 1000, TRAILERS)

    server.then = answer
    server.connection.hold()
    for stream in range(1, 401, 2):
        server.receive(request(stream, end=True))
    assert server.names() == ["headers"] * 50
    assert len(server.connection.streams) == 50
    output = b"".join(server.inner._out)
    assert len(output) < 50 * 20 + 200 * 13
    server.connection.resume()
    assert sum(len(f.payload) for f in server.sent() if f.kind == FrameType.DATA) == 50_000
    assert server.connection.streams == {}


def test_zero_windows_let_nothing_go_and_keep_what_they_were_given() -> None:
    server = Side(peer=[(Setting.INITIAL_WINDOW_SIZE, 0)], settings=Settings(max_streams=100))
    for stream in range(1, 401, 2):
        server.receive(request(stream, end=True))
        if stream in server.connection.streams:
            server.connection.answer(
                server.connection.streams[stream], ANSWER, b"x" * 100, TRAILERS
            )
    assert len(server.connection.streams) == 100
    assert sum(stream.pending for stream in server.connection.streams.values()) == 10_000
    assert {frame.kind for frame in server.sent()} == {FrameType.HEADERS, FrameType.RST_STREAM}
    assert len(server.inner._waiting) == 0  # none is looked at until its window grows


def test_windows_that_grow_by_a_byte_are_no_reason_for_updates() -> None:
    """CVE-2019-9511: a body of any size, in frames of one byte."""
    server = Side(peer=[(Setting.INITIAL_WINDOW_SIZE, 0)])
    stream = server.open(end=True)
    body = b"x" * 1_000_000
    server.connection.answer(stream, ANSWER, body, TRAILERS)
    assert stream.queue is not None
    for _ in range(1000 + REASONS):  # the request's
        server.receive(window_update(1, 1))
        assert stream.queue[0] is body  # which is never copied
        server.connection.take()
    assert server.fault() is None
    server.receive(window_update(1, 1))
    assert calmed(server, "window_updates")


def test_update_looks_at_its_own_stream_alone() -> None:
    server = Side(peer=[(Setting.INITIAL_WINDOW_SIZE, 0)])
    for stream in range(1, 2001, 2):
        server.receive(request(stream, end=True))
        server.connection.answer(server.connection.streams[stream], ANSWER, b"x" * 10, TRAILERS)
    server.forget()
    server.receive(window_update(501, 10))
    assert {frame.stream for frame in server.sent()} == {501}
    assert len(server.inner._waiting) == 0


def test_streams_with_tiny_data_are_bounded_by_their_number_and_windows() -> None:
    server = Side(settings=Settings(max_streams=100, stream_window=1000))
    for stream in range(1, 201, 2):
        server.receive(request(stream))
    for _ in range(1000):
        server.receive(*(data(stream, b"x") for stream in range(1, 201, 2)))
    assert server.fault() is None
    assert len(server.body()) == 100_000
    server.receive(data(1, b"x"))
    assert server.events[-1][2].code is ErrorCode.FLOW_CONTROL_ERROR
    assert sum(stream.unread for stream in server.connection.streams.values()) == 99_000


def test_frame_that_comes_byte_by_byte_is_put_together_once(side: Side) -> None:
    side.open()
    frame = data(1, b"x" * 10_000)
    for at in range(len(frame) - 1):
        side.receive(frame[at : at + 1])
        assert len(side.inner._parts) <= at + 1
    assert side.connection.buffered == len(frame) - 1
    assert side.inner._missing == 1
    assert len(side.inner._parts) == len(frame) - 1 - 8  # the head was joined
    side.receive(frame[-1:])
    assert side.body() == b"x" * 10_000
    assert side.connection.buffered == 0
