"""Messages within a body: five bytes before each, flags and its size.

So do gRPC, gRPC-Web and the streams of Connect, with flags of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final

from kratos.errors import Error
from kratos_grpc._sizes import request_not_taken

__all__ = ["COMPRESSED", "OVERHEAD", "PLAIN", "PREFIX", "Envelopes", "cut_off", "envelope", "whole"]

PLAIN: Final = 0
COMPRESSED: Final = 1
"""The flag of a compressed message, the same in all three protocols."""

PREFIX: Final = Struct(">BI")
"""Flags and size, before each message."""

OVERHEAD: Final = PREFIX.size  # bytes


def envelope(data: bytes, flags: int = PLAIN) -> bytes:
    """Return a message as it travels."""
    return PREFIX.pack(flags, len(data)) + data


class Envelopes:
    """Finds messages in the pieces of a body.

    A message that is too large is refused as soon as its size is known: nothing of it is kept.

    Args:
        most: Bytes of the largest message.
        too_large: Makes the error for one of more, from its size and ``most``.
    """

    __slots__ = ("_at", "_data", "_due", "_held", "_most", "_pieces", "_too_large")

    def __init__(
        self, most: int, too_large: Callable[[int, int], Error] = request_not_taken
    ) -> None:
        self._most = most
        self._too_large = too_large
        self._data = b""
        self._at = 0  # where in it the next message begins
        self._pieces: list[bytes] = []  # what came after it, joined once there is enough
        self._held = 0  # bytes in both that were not taken
        self._due = OVERHEAD  # bytes that the next step needs

    @property
    def begun(self) -> bool:
        """Whether a part of a message is held, so that the body cannot end here."""
        return self._held > 0

    def feed(self, data: bytes) -> None:
        """Take a piece of the body; ``take`` what is in it before the next one."""
        self._pieces.append(data)
        self._held += len(data)

    def take(self) -> tuple[int, bytes] | None:
        """Return flags and bytes of the next message, ``None`` if it is not whole yet.

        Raises:
            Error: 429 MESSAGE_TOO_LARGE: it exceeds the limit.
        """
        if self._held < self._due:
            return None
        if self._pieces:
            self._join()
        start = self._at + OVERHEAD
        flags, size = PREFIX.unpack_from(self._data, self._at)
        if size > self._most:
            raise self._too_large(size, self._most)
        if self._held < OVERHEAD + size:
            self._due = OVERHEAD + size
            return None
        self._at = start + size
        self._held -= OVERHEAD + size
        self._due = OVERHEAD
        return flags, self._data[start : self._at]

    def put_back(self, data: bytes) -> None:
        """Let the message that was taken last be taken again; nothing was fed since."""
        self._at -= OVERHEAD + len(data)
        self._held += OVERHEAD + len(data)

    def _join(self) -> None:
        if self._at < len(self._data):
            self._pieces.insert(0, self._data[self._at :])
        self._data = b"".join(self._pieces)
        self._pieces.clear()
        self._at = 0


def whole(body: bytes, most: int) -> list[tuple[int, bytes]]:
    """Return flags and bytes of all messages of a whole body.

    Raises:
        Error: 429 MESSAGE_TOO_LARGE: one exceeds the limit. 400 CODEC: the last one is cut off.
    """
    envelopes = Envelopes(most)
    envelopes.feed(body)
    messages: list[tuple[int, bytes]] = []
    while (message := envelopes.take()) is not None:
        messages.append(message)
    if envelopes.begun:
        raise cut_off()
    return messages


def cut_off() -> Error:
    """Return the error for a body that ends within a message."""
    return Error(400, "CODEC", "the body ends in the middle of a message")
