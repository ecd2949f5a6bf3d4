"""Replies of memcached's text protocol, taken from bytes as they come."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

__all__ = ["Item", "NotMemcached", "Refused", "Replies", "Reply"]

_LINE: Final = b"\r\n"
_LONGEST: Final = 2048  # bytes of a line: a key has at most 250
_REFUSALS: Final = (b"ERROR", b"CLIENT_ERROR", b"SERVER_ERROR")


class Item(NamedTuple):
    """What a key has.

    Attributes:
        value: Its bytes.
        unique: Number that each change gives anew, for ``cas``.
    """

    value: bytes
    unique: bytes


class Refused(Exception):
    """What memcached answers instead of doing what it was asked for."""


class NotMemcached(ConnectionError):
    """What answers does not speak memcached's protocol."""


Reply: TypeAlias = "bytes | dict[bytes, Item] | Refused"
"""A line; or for ``gets`` what was found."""


class Replies:
    """The replies on one connection, in the order of the commands."""

    __slots__ = ("_buffer", "_found")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._found: dict[bytes, Item] = {}

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        self._buffer += data

    def next(self) -> Reply | None:
        """Return the next reply; ``None`` if it has not come as a whole.

        Raises:
            NotMemcached: What came is none.
        """
        while (end := self._buffer.find(_LINE, 0, _LONGEST)) >= 0:
            line = bytes(self._buffer[:end])
            if not line.startswith(b"VALUE "):
                del self._buffer[: end + 2]
                return self._whole(line)
            if not self._take_item(line, end + 2):
                return None
        if len(self._buffer) >= _LONGEST:
            raise NotMemcached("what answers there is no memcached")
        return None

    def _whole(self, line: bytes) -> Reply:
        found, self._found = self._found, {}
        if line == b"END":
            return found
        if line.split(b" ", 1)[0] in _REFUSALS:
            return Refused(line.decode("ascii", "replace"))
        return line

    def _take_item(self, line: bytes, begin: int) -> bool:
        try:
            _, key, _, size, unique = line.split(b" ")
            end = begin + int(size)
        except ValueError:
            raise NotMemcached("what answers there is no memcached") from None
        if len(self._buffer) < end + 2:
            return False
        self._found[key] = Item(bytes(memoryview(self._buffer)[begin:end]), unique)
        del self._buffer[: end + 2]
        return True
