"""A connection of ours, what it told its owner, and frames of a peer who writes what it likes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from kratos_http2 import (
    ClientConnection,
    ErrorCode,
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

__all__ = [
    "ANSWER",
    "END",
    "END_HEADERS",
    "REQUEST",
    "TRAILERS",
    "Frame",
    "Side",
    "data",
    "headers",
    "parse",
    "raw",
    "request",
]

END = int(FrameFlag.END_STREAM)
END_HEADERS = int(FrameFlag.END_HEADERS)

REQUEST_FIELDS = (
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":path", b"/a"),
    (b":authority", b"a"),
)
REQUEST = encode_fields(REQUEST_FIELDS)
ANSWER = encode_fields([(b":status", b"200")])
TRAILERS = encode_fields([(b"grpc-status", b"0")])

raw = frames.frame


class Frame(NamedTuple):
    """A frame that we sent."""

    kind: FrameType
    flags: int
    stream: int
    payload: bytes


def parse(sent: bytes) -> list[Frame]:
    """Return the frames of what we sent, which must be whole."""
    if sent.startswith(frames.PREFACE):
        sent = sent[len(frames.PREFACE) :]
    found: list[Frame] = []
    while sent:
        high, low, kind, flags, stream = frames.HEAD.unpack_from(sent)
        end = frames.HEAD_SIZE + (high << 8 | low)
        assert len(sent) >= end, "the last frame is cut off"
        found.append(Frame(FrameType(kind), flags, stream, sent[frames.HEAD_SIZE : end]))
        sent = sent[end:]
    return found


def headers(stream: int, block: bytes, *, end: bool = False) -> bytes:
    """Return a HEADERS frame with a whole block."""
    return raw(FrameType.HEADERS, END_HEADERS | (END if end else 0), stream, block)


def data(stream: int, payload: bytes = b"", *, end: bool = False) -> bytes:
    """Return a DATA frame."""
    return raw(FrameType.DATA, END if end else 0, stream, payload)


def request(
    stream: int, *more: tuple[bytes, bytes], end: bool = False, path: bytes = b"/a"
) -> bytes:
    """Return the HEADERS of a request with some more fields."""
    fields = ((n, path if n == b":path" else v) for n, v in REQUEST_FIELDS)
    return headers(stream, encode_fields([*fields, *more]), end=end)


class Side:
    """One side, ready for streams: the peer's settings have come, and ours were acknowledged.

    Attributes:
        client: Which side it is.
        connection: Of ours.
        events: What it told, each as its name without ``on_`` and its arguments.
        inner: The same connection, for a look behind the counter.
        now: What its clock says.
        then: Called for each event, after it was noted.
    """

    def __init__(
        self,
        kind: str = "server",
        *,
        settings: Settings | None = None,
        limits: Limits | None = None,
        peer: Iterable[tuple[int, int]] = (),
    ) -> None:
        self.client = kind == "client"
        self.events: list[tuple[Any, ...]] = []
        self.now = 0.0
        self.then: Callable[..., None] = lambda *_: None
        make = ClientConnection if self.client else ServerConnection
        self.connection: ClientConnection | ServerConnection = make(
            self, settings=settings, limits=limits, clock=lambda: self.now
        )
        self.inner: Any = self.connection
        self.connection.start()
        self.first = self.connection.take()
        self.receive(
            b"" if self.client else frames.PREFACE,
            frames.settings(list(peer)),
            frames.settings_ack(),
        )
        self.connection.take()
        self.events.clear()

    def _note(self, name: str, *arguments: Any) -> None:
        self.events.append((name, *arguments))
        self.then(name, *arguments)

    def on_output(self) -> None:
        pass

    def on_headers(self, stream: Stream, block: HeaderBlock, /) -> None:
        self._note("headers", stream, block)

    def on_data(self, stream: Stream, data: bytes, /) -> None:
        self._note("data", stream, data)

    def on_trailers(self, stream: Stream, block: HeaderBlock, /) -> None:
        self._note("trailers", stream, block)

    def on_reset(self, stream: Stream, code: int, /) -> None:
        self._note("reset", stream, code)

    def on_stream_error(self, stream: Stream, error: Http2Error, /) -> None:
        self._note("stream_error", stream, error)

    def on_room(self, stream: Stream, /) -> None:
        self._note("room", stream)

    def on_settings(self) -> None:
        self._note("settings")

    def on_ping(self, payload: bytes, /) -> None:
        self._note("ping", payload)

    def on_pong(self, payload: bytes, /) -> None:
        self._note("pong", payload)

    def on_goaway(self, last: int, code: int, debug: bytes, /) -> None:
        self._note("goaway", last, code, debug)

    def on_fault(self, error: Http2Error, /) -> None:
        self._note("fault", error)

    def receive(self, *parts: bytes) -> None:
        """Take frames of the peer."""
        self.connection.receive(b"".join(parts))

    def sent(self) -> list[Frame]:
        """Return what there is to send, until there is no more."""
        found: list[Frame] = []
        while taken := self.connection.take():
            found += parse(taken)
        return found

    def fault(self) -> ErrorCode | None:
        """Return why the connection ended, if it did."""
        return self.connection.fault.code if self.connection.fault is not None else None

    def names(self) -> list[str]:
        """Return the names of the events."""
        return [event[0] for event in self.events]

    def body(self) -> bytes:
        """Return all DATA that came."""
        return b"".join(event[2] for event in self.events if event[0] == "data")

    def open(self, *more: tuple[bytes, bytes], end: bool = False) -> Stream:
        """Return a new stream whose peer has begun its message; what led to it is forgotten."""
        connection = self.connection
        if isinstance(connection, ClientConnection):
            stream = connection.request(REQUEST)
            block = encode_fields([(b":status", b"200"), *more])
            self.receive(headers(stream.id, block, end=end))
        else:
            last = max((event[1] for event in self.events if event[0] == "opened"), default=-1)
            self.receive(request(last + 2, *more, end=end))
            stream = self.events[-1][1]
        self.connection.take()
        self.events[:] = [("opened", stream.id)]
        return stream

    def forget(self) -> None:
        """Forget the events and the output."""
        self.connection.take()
        self.events[:] = [event for event in self.events if event[0] == "opened"]
