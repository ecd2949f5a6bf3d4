"""Our verdict on random frames is that of the ``h2`` library, but where a reason says otherwise."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import ProtocolError
from packages.http2.tests.peers.random_frames import random_frames
from packages.http2.tests.peers.wire import REQUEST, REQUEST_FIELDS, Side, parse

from kratos_http2 import ClientConnection, ErrorCode, Settings, frames
from kratos_http2.frames import PREFACE, FrameType

SEQUENCES = 800
WINDOW = 65_535


class Library:
    """The same connection as ``Side``, by the library."""

    def __init__(self, kind: str) -> None:
        self.connection = H2Connection(
            H2Configuration(client_side=kind == "client", header_encoding=None)
        )
        self.connection.initiate_connection()
        begin = b"" if kind == "client" else PREFACE
        self.connection.receive_data(begin + frames.settings([]) + frames.settings_ack())

    def verdict(self, frame: bytes) -> str:
        self.connection.data_to_send()
        try:
            self.connection.receive_data(frame)
        except ProtocolError as error:
            return f"connection {ErrorCode(int(error.error_code)).name}"
        return _of_output(self.connection.data_to_send())


def _of_output(sent: bytes) -> str:
    for frame in parse(sent):
        if frame.kind == FrameType.RST_STREAM:
            return f"stream {ErrorCode(int.from_bytes(frame.payload, 'big')).name}"
    return "fine"


def _ours(side: Side, frame: bytes) -> str:
    side.connection.take()
    side.receive(frame)
    if side.connection.fault is not None:
        return f"connection {side.connection.fault.code.name}"
    return _of_output(side.connection.take())


class Seen:
    """What came and went before a frame, as far as the reasons look at it."""

    def __init__(self) -> None:
        self.gone = False
        self.reset: set[int] = set()

    def note(self, frame: bytes, verdict: str) -> None:
        self.gone |= frame[3] == FrameType.GOAWAY
        if verdict.startswith("stream"):
            self.reset.add(_stream(frame))


def _stream(frame: bytes) -> int:
    return int.from_bytes(frame[5:9], "big")


BLOCKS = {FrameType.HEADERS, FrameType.CONTINUATION}
MESSAGES = {*BLOCKS, FrameType.DATA}


def reason(frame: bytes, ours: str, theirs: str, seen: Seen) -> str | None:
    """Return why we judge a frame otherwise; ``None`` if there is no reason."""
    kind = frame[3]
    if ours.startswith("connection"):
        return _stricter(kind, ours, theirs)
    if theirs.startswith("connection") and seen.gone:
        return "6.8: streams go on after GOAWAY; the library takes nothing more"
    if ours == "fine" and _stream(frame) in seen.reset:
        return "5.1: what crossed our reset is ignored"
    if ours.startswith("stream") and theirs == ours.replace("stream", "connection"):
        if kind in MESSAGES:
            return "8.1.1: a malformed message is an error of its stream"
        if kind in {FrameType.PRIORITY, FrameType.WINDOW_UPDATE}:
            return "5.3.1, 6.3, 6.9: an error of the stream"
    return _alone(frame, ours, theirs)


def _alone(frame: bytes, ours: str, theirs: str) -> str | None:
    """Return a reason for which nothing else matters."""
    kind = frame[3]
    if ours == "stream STREAM_CLOSED" and kind in MESSAGES:
        return "5.1: nothing of a frame on a closed stream is looked at"
    if kind in BLOCKS and (ours, theirs) == ("stream PROTOCOL_ERROR", "fine"):
        return "8.1.1: a length was announced, and there is no body"
    if kind in BLOCKS and ours == "fine" and not frame[9:].strip(b"\0\x02"):
        return "8.1: trailers may be none at all; the library wants some"
    if kind == FrameType.WINDOW_UPDATE and ours == "fine":
        return "5.1: one of nothing, on a closed stream, is ignored"
    return None


def _stricter(kind: int, ours: str, theirs: str) -> str | None:
    if (kind, ours) == (FrameType.PUSH_PROMISE, "connection PROTOCOL_ERROR"):
        return "8.4: push was refused by a setting, or comes from a client"
    if theirs.endswith("STREAM_CLOSED") and ours.endswith("STREAM_CLOSED"):
        return "5.1, 6.1: either is allowed after the end of a stream"
    if (kind, ours) == (FrameType.HEADERS, "connection FRAME_SIZE_ERROR"):
        return "6.2: the priority is cut off"
    reasons = {
        FrameType.SETTINGS: "acknowledges settings that there are not",
        FrameType.RST_STREAM: "6.4: on an idle stream",
        FrameType.GOAWAY: "6.8: the last stream must not grow",
    }
    return reasons.get(FrameType(kind)) if theirs == "fine" else None


def _begin(kind: str) -> tuple[Side, Library]:
    side = Side(kind, settings=Settings(stream_window=WINDOW, connection_window=WINDOW))
    library = Library(kind)
    connection = side.connection
    if isinstance(connection, ClientConnection):
        for stream in (1, 3):
            connection.request(REQUEST, end=stream == 3)
            library.connection.send_headers(stream, list(REQUEST_FIELDS), end_stream=stream == 3)
    return side, library


def _compare(kind: str, seed: int, verdicts: Counter[str]) -> None:
    side, library = _begin(kind)
    seen = Seen()
    sequence = random_frames(Random(f"{kind} {seed}"), kind)
    for place, frame in enumerate(sequence):
        ours, theirs = _ours(side, frame), library.verdict(frame)
        verdicts[ours.split()[0]] += 1
        if ours.split()[0] != theirs.split()[0]:
            why = reason(frame, ours, theirs, seen)
            assert why is not None, (ours, theirs, sequence[: place + 1])
            verdicts[why] += 1
            return  # the states differ from here on
        if side.connection.fault is not None:
            return
        seen.note(frame, ours)


def test_verdict_on_random_frames_is_that_of_the_library(kind: str) -> None:
    verdicts: Counter[str] = Counter()
    for seed in range(SEQUENCES):
        _compare(kind, seed, verdicts)
    assert min(verdicts[word] for word in ("fine", "stream", "connection")) > 50, verdicts


@pytest.mark.parametrize("kind_of_frame", list(FrameType))
def test_every_type_of_frame_comes_among_the_random_ones(kind_of_frame: FrameType) -> None:
    sequences = (random_frames(Random(seed), "server") for seed in range(200))
    assert any(frame[3] == kind_of_frame for sequence in sequences for frame in sequence)
