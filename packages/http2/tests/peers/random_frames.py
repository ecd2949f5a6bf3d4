"""Random frames, most of them legal somewhere, for either side."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from packages.http2.tests.peers.wire import ANSWER, REQUEST, REQUEST_FIELDS, TRAILERS, raw

from kratos_http2 import encode_fields
from kratos_http2.frames import FrameFlag, FrameType

__all__ = ["random_frames"]

_ANSWER_FIELDS: Final = ((b":status", b"200"),)
_STREAMS: Final = (1, 1, 1, 3, 3, 5, 7, 2, 0)
_ADDED: Final = (
    (b"content-length", b"3"),
    (b"Upper", b"x"),
    (b"connection", b"x"),
    (b":nope", b"x"),
    (b"te", b"gzip"),
    (b"x", b"a\nb"),
    (b"x", b" a"),
    (b"x", b"well formed"),
)
_SETTINGS: Final = (
    b"",
    b"\0\x04\0\0\0\x05",
    b"\0\x04\x80\0\0\0",
    b"\0\x05\0\0\0\0",
    b"\0\x02\0\0\0\x01",
    b"\0\x02\0\0\0\x02",
    b"abc",
    b"\0\x04\x7f\xff\xff\xff",
    b"\0\x08\0\0\0\x01",
)
_PADDED: Final = int(FrameFlag.PADDED)
_PRIORITY: Final = int(FrameFlag.PRIORITY)
_END_HEADERS: Final = int(FrameFlag.END_HEADERS)


def _block(random: Random, kind: str) -> bytes:
    fields = REQUEST_FIELDS if kind == "server" else _ANSWER_FIELDS
    good = REQUEST if kind == "server" else ANSWER
    if random.random() < 0.5:
        return good
    return random.choice(
        (
            *(encode_fields([*fields, added]) for added in _ADDED),
            encode_fields([(b"a", b"b"), *fields]),
            encode_fields(fields[:1] + fields[2:]),
            encode_fields([(b":status", b"100")]),
            TRAILERS,
            b"\xbe",
            b"",
        )
    )


def _priority(random: Random, stream: int) -> bytes:
    return random.choice(
        (b"\0\0\0\x09\x05", stream.to_bytes(4, "big") + b"\x05", b"\x80\0\0\x0b\x05", b"abc")
    )


def _headers(random: Random, kind: str, stream: int) -> list[bytes]:
    block = _block(random, kind)
    flags, before, after = random.choice((0, 0, 1)), b"", b""
    if random.random() < 0.15:
        flags, before = flags | _PRIORITY, _priority(random, stream)
    if random.random() < 0.1:
        flags, before, after = flags | _PADDED, b"\x02" + before, b"\0\0"
    if random.random() < 0.1:
        return [
            raw(FrameType.HEADERS, flags, stream, before + block[:2] + after),
            raw(FrameType.CONTINUATION, _END_HEADERS, stream, block[2:]),
        ]
    if random.random() < 0.03:
        flags -= _END_HEADERS
    return [raw(FrameType.HEADERS, flags + _END_HEADERS, stream, before + block + after)]


def _data(random: Random, _kind: str, stream: int) -> list[bytes]:
    flags = random.choice((0, 0, 1))
    if random.random() < 0.1:
        payload = random.choice((b"", b"\x02abcd", b"\x09abc"))
        return [raw(FrameType.DATA, flags | _PADDED, stream, payload)]
    payload = random.choice((b"", b"abc", b"x" * 100, b"x" * 16_384))
    return [raw(FrameType.DATA, flags, stream, payload)]


def _rare(random: Random, _kind: str, stream: int) -> list[bytes]:
    zero = random.choice((0, 0, 0, 0, 1))
    return [
        random.choice(
            (
                raw(FrameType.PRIORITY, 0, stream, _priority(random, stream)),
                raw(FrameType.RST_STREAM, 0, stream, random.choice((b"\0\0\0\x08", b"abc"))),
                raw(FrameType.SETTINGS, 0, zero, random.choice(_SETTINGS)),
                raw(FrameType.SETTINGS, 0, 0, b""),
                raw(FrameType.SETTINGS, 1, 0, random.choice((b"", b"\0\x04\0\0\0\x05"))),
                raw(FrameType.PUSH_PROMISE, _END_HEADERS, stream, b"\0\0\0\x02" + REQUEST),
                raw(FrameType.PING, random.choice((0, 1)), zero, b"12345678"),
                raw(FrameType.PING, 0, 0, b"123"),
                raw(FrameType.GOAWAY, 0, zero, random.choice((bytes(8), b"\0\0\0\x01" * 3, b"a"))),
                raw(FrameType.CONTINUATION, random.choice((0, 4)), stream, b"abc"),
                raw(0xBE, random.randrange(256), stream, b"x"),
            )
        )
    ]


def _update(random: Random, _kind: str, stream: int) -> list[bytes]:
    sizes = (b"\0\0\0\x01", b"\0\0\x40\0", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"abc")
    return [raw(FrameType.WINDOW_UPDATE, 0, stream, random.choice(sizes))]


_MAKERS: Final[tuple[Callable[[Random, str, int], list[bytes]], ...]] = (
    _headers,
    _headers,
    _headers,
    _data,
    _data,
    _data,
    _update,
    _rare,
    _rare,
)


def _tame(random: Random, kind: str) -> bytes:
    """Return a frame that is legal on many streams."""
    stream = random.choice((1, 1, 1, 3, 3, 5))
    end = random.choice((0, 0, 0, 1))
    good = REQUEST if kind == "server" else ANSWER
    return random.choice(
        (
            raw(FrameType.HEADERS, end + _END_HEADERS, stream, good),
            raw(FrameType.HEADERS, end + _END_HEADERS, stream, good),
            raw(FrameType.HEADERS, 1 + _END_HEADERS, stream, TRAILERS),
            raw(FrameType.DATA, end, stream, random.choice((b"", b"abc", b"x" * 16_384))),
            raw(FrameType.DATA, end, stream, b"abc"),
            raw(FrameType.DATA, end | _PADDED, stream, b"\x02abc\0\0"),
            raw(FrameType.WINDOW_UPDATE, 0, random.choice((0, stream)), b"\0\0\0\x05"),
            raw(FrameType.RST_STREAM, 0, stream, b"\0\0\0\x08"),
            raw(FrameType.PRIORITY, 0, stream, b"\0\0\0\x0b\x05"),
            raw(FrameType.PING, 0, 0, b"12345678"),
            raw(FrameType.SETTINGS, 0, 0, random.choice((b"", b"\0\x04\0\0\0\x05"))),
        )
    )


def random_frames(random: Random, kind: str, *, most: int = 12) -> list[bytes]:
    """Return some frames for a side of this kind, each whole."""
    found: list[bytes] = []
    wild = random.choice((0.05, 0.2, 1.0))
    for _ in range(random.randrange(1, most)):
        if random.random() < wild:
            found += random.choice(_MAKERS)(random, kind, random.choice(_STREAMS))
        else:
            found.append(_tame(random, kind))
    return found
