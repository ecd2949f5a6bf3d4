"""Compressed bodies of requests, made long again within limits."""

from __future__ import annotations

import zlib
from typing import Any, Final

from kratos.errors import Error
from kratos.transport.http import Wire
from kratos_http._wrapping import WireProxy

__all__ = ["CODINGS", "InflatedWire", "inflate"]

CODINGS: Final = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_PIECE: Final = 64 * 1024


def inflate(data: bytes, coding: str, limit: int) -> bytes:
    """Return a whole body.

    Raises:
        Error: 413: it has more than ``limit`` bytes; no more are made. 400: it is malformed.
    """
    pieces: list[bytes] = []
    size = 0
    member = _Member(coding)
    member.feed(data)
    # One byte more than allowed tells that there are too many.
    while piece := member.take(limit - size + 1):
        size += len(piece)
        if size > limit:
            raise too_large(limit)
        pieces.append(piece)
    if not member.complete:
        raise _malformed("it ends early")
    return b"".join(pieces)


def too_large(limit: int) -> Error:
    """Return the error for a body that turns out too large."""
    return Error(413, "BODY_TOO_LARGE", f"the body exceeds {limit} bytes when it is decompressed")


class InflatedWire(WireProxy):
    """A wire whose compressed body is read as it was before.

    Args:
        wire: The wire.
        coding: Name of the coding.
        limit: Bytes of the largest body; ``None`` for none.
    """

    def __init__(self, wire: Wire, coding: str, limit: int | None) -> None:
        super().__init__(wire)
        self._member = _Member(coding)
        self._limit = limit
        self._size = 0

    async def read(self) -> bytes:
        """Return the next piece, of 64 KiB at most; see ``Wire``.

        Raises:
            Error: As ``Wire.read`` and ``inflate``.
        """
        while not (piece := self._member.take(_PIECE)):
            raw = await self._wire.read()
            if not raw:
                if not self._member.complete:
                    raise _malformed("it ends early")
                return b""
            self._member.feed(raw)
        self._size += len(piece)
        if self._limit is not None and self._size > self._limit:
            raise too_large(self._limit)
        return piece


class _Member:
    """Decompresses step by step; gzip may have several members, one after another."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._inflate: Any = zlib.decompressobj(CODINGS[coding])
        self._input = b""
        self._more = False  # the last step made all that it might, and may have kept something
        self._fed = False

    @property
    def complete(self) -> bool:
        """Whether all that was fed is whole; nothing at all is, too."""
        return not self._fed or self._inflate.eof

    def feed(self, data: bytes) -> None:
        """Take a piece, when ``take`` has nothing left."""
        self._input = data
        self._fed = self._fed or bool(data)

    def take(self, most: int) -> bytes:
        """Return at most so many bytes; none if there are none left in what was fed."""
        while self._input or self._more:
            if self._inflate.eof:
                if self._coding != "gzip":
                    raise _malformed("something follows its end")
                self._inflate = zlib.decompressobj(CODINGS[self._coding])
            try:
                piece: bytes = self._inflate.decompress(self._input, most)
            except zlib.error as error:
                raise _malformed(str(error)) from error
            ended: bool = self._inflate.eof
            self._input = self._inflate.unused_data if ended else self._inflate.unconsumed_tail
            self._more = len(piece) == most and not ended
            if piece:
                return piece
        return b""


def _malformed(problem: str) -> Error:
    return Error(400, "BAD_REQUEST", f"the compressed body is malformed: {problem}")
