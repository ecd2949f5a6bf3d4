"""What a server sent back, read more strictly than any client would."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

__all__ = ["answers"]

_STATUS: Final = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [ -~]*")
_HEADER: Final = re.compile(rb"[a-z0-9-]+: [ -~]*", re.IGNORECASE)


def answers(sent: bytes, methods: Sequence[str]) -> list[tuple[int, bytes]]:
    """Return status and body of each answer.

    Args:
        sent: All that came.
        methods: Of the requests, in their order.

    Raises:
        AssertionError: They are malformed, or more than there were requests, but for one that
            refuses what is none.
    """
    found: list[tuple[int, bytes]] = []
    rest = sent
    while rest:
        head, end, rest = rest.partition(b"\r\n\r\n")
        assert end, f"a head without its end: {head!r}"
        first, *lines = head.split(b"\r\n")
        status = _STATUS.fullmatch(first)
        assert status, f"no status line: {first!r}"
        assert all(_HEADER.fullmatch(line) for line in lines), f"no headers: {lines}"
        code = int(status[1])
        if code == 100:
            continue
        if code == 101:
            _frames(rest)
            found.append((code, b""))
            break
        method = methods[len(found)] if len(found) < len(methods) else "GET"
        fields = [(line.partition(b": ")[0].lower(), line.partition(b": ")[2]) for line in lines]
        body, rest = _body(dict(fields), rest, bodiless=method == "HEAD" or code in (204, 304))
        found.append((code, body))
        if (b"connection", b"close") in fields:
            assert not rest, f"sent after the last answer: {rest!r}"
    assert len(found) <= len(methods) + 1, f"{len(found)} answers to {len(methods)} requests"
    return found


def _body(fields: dict[bytes, bytes], rest: bytes, *, bodiless: bool) -> tuple[bytes, bytes]:
    chunked = fields.get(b"transfer-encoding") == b"chunked"
    assert not (chunked and b"content-length" in fields), "a body of two lengths"
    if bodiless:
        return b"", rest
    if chunked:
        return _chunks(rest)
    if b"content-length" not in fields:
        assert fields.get(b"connection") == b"close", "a body without an end"
        return rest, b""
    size = int(fields[b"content-length"])
    assert len(rest) >= size, f"{size - len(rest)} bytes of a body are missing"
    return rest[:size], rest[size:]


def _chunks(rest: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        line, end, rest = rest.partition(b"\r\n")
        assert end, "a body without its last chunk"
        size = int(line, 16)
        body += rest[:size]
        assert rest[size : size + 2] == b"\r\n", "a chunk is longer than it says"
        rest = rest[size + 2 :]
        if not size:
            return body, rest


def _frames(rest: bytes) -> None:
    while rest:
        assert len(rest) >= 2, "half a frame"
        assert rest[0] & 0x70 == 0, "reserved bits"
        assert rest[1] < 128, "a server's frame is not masked"
        size, start = rest[1], 2
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(rest[2:start], "big")
        assert len(rest) >= start + size, "half a frame"
        rest = rest[start + size :]
