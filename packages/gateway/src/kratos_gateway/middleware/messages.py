"""Messages of gRPC put together of the pieces in which they pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

__all__ = ["Messages"]

_HEAD: Final = 5


class Messages:
    """Finds messages in what passes, and never breaks over what is none.

    Args:
        most: Bytes of the largest message that is kept; of a larger one its beginning is.
    """

    __slots__ = ("_head", "_left", "_message", "_most")

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._head = bytearray()
        self._message = bytearray()
        self._left = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Take a piece, and yield the messages that end in it, without their heads.

        A compressed one stays so.
        """
        at = 0
        while at < len(piece):
            if len(self._head) < _HEAD:
                part = piece[at : at + _HEAD - len(self._head)]
                self._head += part
                at += len(part)
                if len(self._head) == _HEAD:
                    self._left = int.from_bytes(self._head[1:], "big")
            else:
                part = piece[at : at + self._left]
                self._left -= len(part)
                at += len(part)
                self._message += part[: self._most - len(self._message)]
            if len(self._head) == _HEAD and not self._left:
                yield bytes(self._message)
                self._message.clear()
                self._head.clear()
