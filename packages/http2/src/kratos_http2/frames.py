"""The bytes of frames (RFC 9113, 6), as pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum, IntFlag
from struct import Struct
from typing import Final

__all__ = [
    "HEAD",
    "HEAD_SIZE",
    "PREFACE",
    "FrameFlag",
    "FrameType",
    "Setting",
    "frame",
    "goaway",
    "number",
    "numbers",
    "pairs",
    "ping",
    "rst_stream",
    "settings",
    "settings_ack",
    "window_update",
]

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD: Final = Struct(">HBBBL")  # length in three bytes, type, flags, stream
HEAD_SIZE: Final = 9


class FrameType(IntEnum):
    """Types of frames."""

    DATA = 0x0
    HEADERS = 0x1
    PRIORITY = 0x2
    RST_STREAM = 0x3
    SETTINGS = 0x4
    PUSH_PROMISE = 0x5
    PING = 0x6
    GOAWAY = 0x7
    WINDOW_UPDATE = 0x8
    CONTINUATION = 0x9


class FrameFlag(IntFlag):
    """Flags of frames; ``ACK`` and ``END_STREAM`` are the same bit."""

    ACK = 0x1
    END_STREAM = 0x1
    END_HEADERS = 0x4
    PADDED = 0x8
    PRIORITY = 0x20


class Setting(IntEnum):
    """Identifiers of settings (RFC 9113, 6.5.2; RFC 8441, 3)."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6
    ENABLE_CONNECT_PROTOCOL = 0x8


_PAIR: Final = Struct(">HL")
_NUMBER: Final = Struct(">L")
_NUMBERS: Final = Struct(">LL")
_RST_HEAD: Final = Struct(">HBBBLL")


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return a frame."""
    size = len(payload)
    return HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def settings(pairs: Sequence[tuple[int, int]]) -> bytes:
    """Return a SETTINGS frame."""
    return frame(FrameType.SETTINGS, 0, 0, b"".join(_PAIR.pack(*pair) for pair in pairs))


def settings_ack() -> bytes:
    """Return the acknowledgement of a SETTINGS frame."""
    return frame(FrameType.SETTINGS, FrameFlag.ACK, 0, b"")


def window_update(stream: int, size: int) -> bytes:
    """Return a WINDOW_UPDATE frame."""
    return _RST_HEAD.pack(0, 4, FrameType.WINDOW_UPDATE, 0, stream, size)


def rst_stream(stream: int, code: int) -> bytes:
    """Return a RST_STREAM frame."""
    return _RST_HEAD.pack(0, 4, FrameType.RST_STREAM, 0, stream, code)


def ping(payload: bytes, *, ack: bool) -> bytes:
    """Return a PING frame of eight bytes."""
    return frame(FrameType.PING, FrameFlag.ACK if ack else 0, 0, payload)


def goaway(last: int, code: int, debug: bytes = b"") -> bytes:
    """Return a GOAWAY frame."""
    return frame(FrameType.GOAWAY, 0, 0, _NUMBERS.pack(last, code) + debug)


def number(payload: bytes) -> int:
    """Read the four bytes of WINDOW_UPDATE and RST_STREAM."""
    found: int = _NUMBER.unpack(payload)[0]
    return found


def numbers(payload: bytes) -> tuple[int, int]:
    """Read the first eight bytes of GOAWAY."""
    last, code = _NUMBERS.unpack_from(payload)
    return last & 0x7FFFFFFF, code


def pairs(payload: bytes) -> list[tuple[int, int]]:
    """Read the settings of a SETTINGS frame."""
    return list(_PAIR.iter_unpack(payload))
