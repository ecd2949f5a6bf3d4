"""Server-sent events: the bytes of one, and a parser (WHATWG HTML, 9.2)."""

from __future__ import annotations

from typing import Final

__all__ = ["COMMENT", "EVENT_STREAM", "EventParser", "EventTooLarge", "event"]

EVENT_STREAM: Final = b"text/event-stream"
COMMENT: Final = b":\n\n"
_BOM: Final = b"\xef\xbb\xbf"
_DEFAULT: Final = "message"
_LONGEST_RETRY: Final = 12  # digits


class EventTooLarge(Exception):
    """An event exceeds the limit."""


def event(kind: str, data: bytes, identifier: str = "") -> bytes:
    """Return the bytes of an event.

    Args:
        kind: Its type.
        data: What it carries; line ends of any kind arrive as line feeds.
        identifier: Its id, empty for none.

    Raises:
        ValueError: The id holds a line break or NUL, which would end or void it.
    """
    if b"\n" in data or b"\r" in data:
        lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        data = lines.replace(b"\n", b"\ndata: ")
    head = f"event: {kind}\n"
    if identifier:
        if any(mark in identifier for mark in "\r\n\0"):
            raise ValueError(f"{identifier!r} is no id of an event: it holds a line break or NUL")
        head += f"id: {identifier}\n"
    return b"%bdata: %b\n\n" % (head.encode(), data)


class EventParser:
    """From pieces of a body to events.

    As in Go, an event needs no data, but a blank line at its end.

    Args:
        max_size: Bytes of the largest event.

    Attributes:
        last_id: The ``id`` that the newest event has, or one before it; empty for none.
        retry: Seconds that the server asks to wait before it is asked again; 0 for none.
    """

    __slots__ = (
        "_after_cr", "_begun", "_data", "_first", "_id", "_kind", "_max_size", "_rest", "_size",
        "last_id", "retry",
    )  # fmt: skip

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self.last_id = ""
        self.retry = 0.0
        self._id = ""  # of the event that has begun
        self._rest: list[bytes] = []  # of a line that has not ended
        self._first = True
        self._after_cr = False
        self._kind = ""
        self._data: list[bytes] = []
        self._begun = False
        self._size = 0

    def feed(self, data: bytes) -> list[tuple[str, bytes]]:
        """Return type and data of the events that a piece completes.

        Raises:
            EventTooLarge: An event exceeds the limit.
        """
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            self._after_cr = False
        if not data:
            return []
        self._after_cr = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *ended, rest = data.split(b"\n")
        events: list[tuple[str, bytes]] = []
        for tail in ended:
            line = b"".join((*self._rest, tail)) if self._rest else tail
            self._rest = []
            self._grow(len(tail))
            if line or not self._begun:
                self._take(line)
            else:
                events.append((self._kind or _DEFAULT, b"\n".join(self._data)))
            if not line:
                self.last_id = self._id
                self._kind, self._data, self._begun, self._size = "", [], False, 0
        if rest:
            self._rest.append(rest)
            self._grow(len(rest))
        return events

    def next(self) -> EventParser:
        """Return the parser of a stream that goes on where this one ended."""
        parser = EventParser(self._max_size)
        parser.last_id = parser._id = self.last_id
        parser.retry = self.retry
        return parser

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self._max_size:
            raise EventTooLarge(f"an event exceeds {self._max_size} bytes")

    def _take(self, line: bytes) -> None:
        if self._first:
            self._first = False
            line = line.removeprefix(_BOM)
        name, _, value = line.partition(b":")
        if name == b"event":
            self._kind = value.strip().decode("utf-8", "replace")
            self._begun = True
        elif name == b"data":
            self._data.append(value[1:] if value.startswith(b" ") else value)
            self._begun = True
        elif name == b"id" and b"\0" not in value:
            self._id = value.removeprefix(b" ").decode("utf-8", "replace")
        elif name == b"retry" and value.strip().isdigit() and len(value) <= _LONGEST_RETRY:
            self.retry = int(value) / 1000
