"""Event streams, whole and in pieces, against a reader that goes line by line."""

from __future__ import annotations

import re
from typing import Final

from tests.fuzz.cut import cut

from kratos_http._events import EventParser, EventTooLarge, event

__all__ = ["SEEDS", "WORDS", "check"]

_MOST: Final = 1000
_STREAMS: Final = (
    b"event: message\ndata: {}\n\n",
    b"data: a\ndata: b\n\n",
    b"\xef\xbb\xbfdata:a\r\n\r\nevent:error\r\ndata\r\r",
    b": note\nid: 1\nretry: 5\ndata:  x\n\ndata: cut off",
    b"event: a\n\nevent:\ndata:\n\n",
)
SEEDS: Final = tuple(bytes((i, i)) + stream for i, stream in enumerate(_STREAMS))
WORDS: Final = (
    b"data:", b"data: ", b"event: ", b"id: ", b"\r\n", b"\n\n", b"\r\r", b"\xef\xbb\xbf", b":",
)  # fmt: skip

Events = list[tuple[str, bytes]]


def check(data: bytes) -> None:
    """Read events: those of a naive reader, however cut; what is written comes back."""
    plan, stream = data[:2], data[2:]
    whole = _read([stream])
    cuts = _read(cut(stream, plan))
    if whole is not None and cuts is not None and len(stream) <= _MOST:
        assert whole == cuts == _naive(stream)
    _write(stream)


def _read(pieces: list[bytes]) -> Events | None:
    parser = EventParser(_MOST)
    found: Events = []
    try:
        for piece in pieces:
            found += parser.feed(piece)
    except EventTooLarge:
        return None
    return found


def _naive(stream: bytes) -> Events:
    found: Events = []
    kind, lines, begun = "", list[bytes](), False
    *ended, _ = re.split(rb"\r\n|\r|\n", stream.removeprefix(b"\xef\xbb\xbf"))
    for line in ended:
        name, _, value = line.partition(b":")
        if not line:
            if begun:
                found.append((kind or "message", b"\n".join(lines)))
            kind, lines, begun = "", [], False
        elif name == b"event":
            kind, begun = value.strip().decode(errors="replace"), True
        elif name == b"data":
            lines.append(value.removeprefix(b" "))
            begun = True
    return found


def _write(data: bytes) -> None:
    text = data[:_MOST]
    (got,) = EventParser(10 * _MOST).feed(event("message", text, "7"))
    assert got == ("message", text.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
