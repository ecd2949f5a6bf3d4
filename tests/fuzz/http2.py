"""What the targets of both sides of HTTP/2 have in common: an owner, a script, and a judge."""

from __future__ import annotations

from typing import Any, Final

from tests.fuzz.cut import cut

from kratos_http2 import (
    ClientConnection,
    HeaderBlock,
    Http2Error,
    Limits,
    ServerConnection,
    Settings,
    Stream,
    encode_fields,
    frames,
)
from kratos_http2.frames import FrameFlag, FrameType

__all__ = ["ANSWER", "REQUEST", "SEEDS", "WORDS", "script", "tried"]

REQUEST: Final = encode_fields(
    [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a")]
)
ANSWER: Final = encode_fields([(b":status", b"200")])
_TRAILERS: Final = encode_fields([(b"grpc-status", b"0")])
_INTERIM: Final = encode_fields([(b":status", b"103")])
_SETTINGS: Final = Settings(max_streams=4, stream_window=100, connection_window=65_535)
_LIMITS: Final = Limits(max_output=4000, resets=20, stream_errors=20, max_header_block=2000)
_MOST: Final = 200  # frames of a script

SEEDS: Final = (  # behaviour, plan, plan, and a script: kind, flags, stream, size, payload
    b"\x00\x01\x02\x01\x05\x01" + bytes((len(REQUEST),)) + REQUEST,
    b"\x01\x01\x02\x01\x04\x01" + bytes((len(REQUEST),)) + REQUEST + b"\x00\x01\x01\x03abc",
    b"\x02\x01\x02\x01\x00\x01\x03" + REQUEST[:3] + b"\x09\x04\x01\x08" + REQUEST[3:],
    b"\x03\x01\x02\x01\x04\x01" + bytes((len(ANSWER),)) + ANSWER + b"\x00\x01\x01\x03abc",
    b"\x04\x01\x02\x01\x04\x01" + bytes((len(REQUEST),)) + REQUEST + b"\x03\0\x01\x04\0\0\0\x08",
    b"\x05\x01\x02\x04\0\0\x06\0\x04\0\0\0\0\x08\0\x01\x04\0\0\0\x05\x08\0\0\x04\0\0\0\x05",
    b"\x06\x01\x02\x06\0\0\x0812345678\x07\0\0\x08\0\0\0\0\0\0\0\0\x02\0\x01\x05\0\0\0\x03\x05",
    b"\x07\x01\x02\x01\x2d\x01" + bytes((9 + len(REQUEST),)) + b"\x03\0\0\0\x03\x05"
    + REQUEST + b"\0\0\0" + b"\x00\x09\x01\x05\x01abc\0",
    b"\x87\x01\x02" + frames.frame(1, 5, 1, REQUEST) + frames.frame(0, 1, 3, b"abc"),
    b"\x81\x01\x02" + frames.frame(1, 5, 1, ANSWER) + frames.frame(8, 0, 0, b"\0\0\0\x09"),
)  # fmt: skip
WORDS: Final = (
    REQUEST, ANSWER, _TRAILERS, _INTERIM, b"\x01\x05\x01", b"\x01\x04\x03", b"\x00\x01\x01",
    b"\x00\x00\x03", b"\x08\0\x01\x04\0\0\0\x05", b"\x08\0\0\x04\0\0\0\x05",
    b"\x03\0\x01\x04\0\0\0\0", b"\x04\0\0\x06\0\x04\0\0\0\x05",
    b"\x04\0\0\x06\0\x01\0\0\0\0", b"\x06\0\0\x08", b"\x09\x04\x01",
    b"\x40\x01a\x01b", b"\xbe", b"\x20", b"\x3f\xe1\x1f", b"\x7f\xff\xff\xff", b"\x0f\x0d\x013",
)  # fmt: skip


class Owner:
    """Does with a connection what the first byte of the input says, always alike."""

    def __init__(self, behaviour: int, *, client: bool) -> None:
        self.behaviour = behaviour
        self.told: list[tuple[Any, ...]] = []
        self.ended: set[int] = set()
        make = ClientConnection if client else ServerConnection
        self.connection = make(self, settings=_SETTINGS, limits=_LIMITS, clock=lambda: 0.0)
        self.connection.start()

    def tell(self, name: str, *what: object) -> None:
        assert not self.told or self.told[-1][0] != "fault", "something is told after the fault"
        self.told.append((name, *what))

    def on_output(self) -> None:
        pass

    def on_headers(self, stream: Stream, block: HeaderBlock, /) -> None:
        assert not block.problem
        assert stream.id not in self.ended
        self.tell("headers", stream.id, block.fields, block.status, stream.received_end)
        self._act(stream)

    def on_data(self, stream: Stream, data: bytes, /) -> None:
        assert stream.id not in self.ended
        self.tell("data", stream.id, data, stream.received_end)
        if self.behaviour & 1:
            self.connection.consumed(stream, len(data))
        if stream.received_end and not stream.sent_end:
            self.connection.send_trailers(stream, _TRAILERS)

    def on_trailers(self, stream: Stream, block: HeaderBlock, /) -> None:
        assert stream.received_end
        self.tell("trailers", stream.id, block.fields)

    def on_reset(self, stream: Stream, code: int, /) -> None:
        self._end("reset", stream, code)

    def on_stream_error(self, stream: Stream, error: Http2Error, /) -> None:
        self._end("error", stream, error.code)

    def _end(self, name: str, stream: Stream, code: int) -> None:
        assert stream.closed
        assert stream.id not in self.ended
        self.ended.add(stream.id)
        self.tell(name, stream.id, code)

    def on_room(self, stream: Stream, /) -> None:
        assert stream.pending == 0
        self.tell("room", stream.id)

    def on_settings(self) -> None:
        self.tell("settings")

    def on_ping(self, payload: bytes, /) -> None:
        self.tell("ping", payload)

    def on_pong(self, payload: bytes, /) -> None:
        self.tell("pong", payload)

    def on_goaway(self, last: int, code: int, debug: bytes, /) -> None:
        self.tell("goaway", last, code, debug)

    def on_fault(self, error: Http2Error, /) -> None:
        self.tell("fault", error.code, error.limit)

    def _act(self, stream: Stream) -> None:
        connection, how = self.connection, self.behaviour >> 1 & 3
        if stream.sent_end or stream.closed:
            return
        if isinstance(connection, ClientConnection):
            if how == 1:
                connection.reset(stream, 8)
            return
        if how == 0:
            connection.answer(stream, ANSWER, b"x" * 300, _TRAILERS)
        elif how == 1:
            connection.send_headers(stream, ANSWER)
            connection.send_data(stream, b"y" * 20_000)
        elif how == 2:
            connection.send_headers(stream, ANSWER, end=True)
        else:
            connection.reset(stream, 7)


def script(data: bytes) -> bytes:
    """Return the frames of a script, whose sizes are right."""
    found: list[bytes] = []
    while len(data) >= 4 and len(found) < _MOST:
        kind, flags, stream, size = data[:4]
        found.append(frames.frame(kind, flags, stream, data[4 : 4 + size]))
        data = data[4 + size :]
    return b"".join(found)


def tried(data: bytes, *, client: bool) -> None:
    """Let a connection take bytes whole and in pieces: it says the same, and nothing illegal."""
    behaviour, plan, rest = data[:1], data[1:3], data[3:]
    sent = script(rest) if behaviour < b"\x80" else rest
    begin = frames.settings([]) + frames.settings_ack()
    sent = (b"" if client else frames.PREFACE) + begin + sent
    number = behaviour[0] if behaviour else 0
    whole, said = _taken(number, [sent], client=client)
    cuts, said_of_cuts = _taken(number, cut(sent, plan), client=client)
    assert whole.told == cuts.told
    assert said == said_of_cuts
    _judge(said, client=client)
    _require_bounds(whole)


def _taken(behaviour: int, pieces: list[bytes], *, client: bool) -> tuple[Owner, bytes]:
    owner = Owner(behaviour, client=client)
    connection = owner.connection
    if isinstance(connection, ClientConnection):
        connection.request(REQUEST, end=True)
        connection.ask(REQUEST, b"abc")
        connection.send_data(connection.request(REQUEST), b"z" * 70_000)
    if behaviour & 8:
        connection.hold()
    for piece in pieces:
        connection.receive(piece)
    if behaviour & 8:
        connection.resume()
    said: list[bytes] = []
    while part := connection.take():
        said.append(part)
    return owner, b"".join(said)


def _judge(said: bytes, *, client: bool) -> None:
    """Hold what was sent to the states of streams."""
    said = said.removeprefix(frames.PREFACE)
    begun: set[int] = set()
    ended: set[int] = set()
    gone = False
    while said:
        assert not gone, "something follows the GOAWAY of a fault"
        high, low, kind, flags, stream = frames.HEAD.unpack_from(said)
        size = high << 8 | low
        assert size <= 64 * 1024
        payload, said = said[9 : 9 + size], said[9 + size :]
        assert len(payload) == size
        if kind in (FrameType.HEADERS, FrameType.DATA):
            assert stream & 1
            assert stream not in ended
            assert kind == FrameType.HEADERS or stream in begun
            begun.add(stream)
            if flags & FrameFlag.END_STREAM:
                ended.add(stream)
        elif kind == FrameType.RST_STREAM:
            assert size == 4
            assert stream
            assert not client or stream in begun, "an idle stream was reset"
            ended.add(stream)
        elif kind == FrameType.WINDOW_UPDATE:
            assert int.from_bytes(payload, "big") > 0
        elif kind == FrameType.GOAWAY:
            gone = True


def _require_bounds(owner: Owner) -> None:
    connection: Any = owner.connection
    assert len(connection.streams) <= 4
    assert connection._window + connection._spent <= 65_535
    assert 0 <= sum(stream.unread for stream in connection.streams.values()) <= 65_535
    for stream in connection.streams.values():
        assert stream.pending >= 0
        assert stream.window <= 65_535
    assert connection.buffered <= 16_384 + 9 + 2000
