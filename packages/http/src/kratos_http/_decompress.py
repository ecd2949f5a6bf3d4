"""Compressed bodies, made long again within limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kratos.errors import Error
from kratos.offload import offload
from kratos.transport.http import Wire
from kratos_http._decompressors import INFLATERS, SEVERAL, Inflater, Malformed
from kratos_http._turns import Turns
from kratos_http._wrapping import WireProxy

__all__ = ["CODINGS", "InflatedWire", "inflate", "inflated"]

CODINGS: Final = tuple(INFLATERS)
_PIECE: Final = 64 * 1024
_MEMBERS: Final = 256  # that a body may have, however small they are
_MEMBER: Final = 1024  # bytes for which it may have one more
_TAME: Final = ("gzip", "deflate")  # at most 1032 for 1; in others a few bytes may be megabytes


async def inflated(data: bytes, coding: str, limit: int, *, short: int) -> bytes:
    """Return a whole body, made in a thread unless that is sure to take a moment only.

    Args:
        data: The body as it came.
        coding: Name of the coding, one of ``CODINGS``.
        limit: Bytes of the largest body; hardly more are made.
        short: Bytes up to which it is made here, in codings that make a thousand of one at most.

    Raises:
        Error: As ``inflate``.
    """
    if len(data) <= short and coding in _TAME:
        return inflate(data, coding, limit)
    return await offload(inflate, data, coding, limit)


def inflate(data: bytes, coding: str, limit: int) -> bytes:
    """Return a whole body.

    Raises:
        Error: 413: it has more than ``limit`` bytes; hardly more are made. 400: it is malformed.
    """
    pieces: list[bytes] = []
    size = 0
    body = _Members(coding)
    body.feed(data)
    # One byte more than allowed tells that there are too many.
    while piece := body.take(limit - size + 1):
        size += len(piece)
        if size > limit:
            raise too_large(limit)
        pieces.append(piece)
    if not body.complete:
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
        self._body = _Members(coding)
        self._limit = limit
        self._size = 0
        self._turns = Turns()

    async def read(self) -> bytes:
        """Return the next piece, of 64 KiB at most; see ``Wire``.

        Raises:
            Error: As ``Wire.read`` and ``inflate``.
        """
        while not (piece := self._body.take(_PIECE)):
            raw = await self._wire.read()
            if not raw:
                if not self._body.complete:
                    raise _malformed("it ends early")
                return b""
            self._body.feed(raw)
        await self._turns.take()  # what came as one piece may become gigabytes
        self._size += len(piece)
        if self._limit is not None and self._size > self._limit:
            raise too_large(self._limit)
        return piece


class _Members:
    """Decompresses step by step; some codings allow several members, one after another.

    A member takes nine bytes and makes nothing, yet costs a new decompressor and a copy of what
    follows it. So there may only be as many as honest writers make, and what follows is cut short.
    """

    def __init__(self, coding: str) -> None:
        self._new: Callable[[], Inflater] = INFLATERS[coding]
        self._several = coding in SEVERAL
        self._member = self._new()
        self._members = 1
        self._input = b""  # what the member gets next
        self._data = b""  # what was fed
        self._at = 0  # where in it the input ends
        self._fed = 0  # bytes in all

    @property
    def complete(self) -> bool:
        """Whether all that was fed is whole; nothing at all is, too."""
        return not self._fed or self._member.ended

    def feed(self, data: bytes) -> None:
        """Take a piece, when ``take`` has nothing left."""
        self._data, self._at = data, 0
        self._fed += len(data)

    def take(self, most: int) -> bytes:
        """Return at most so many bytes; none if there are none left in what was fed."""
        while self._input or self._at < len(self._data) or self._member.has_more:
            if not self._input:
                self._input = self._data[self._at : self._at + _PIECE]
                self._at += len(self._input)
            if self._member.ended:
                self._begin()
            try:
                piece = self._member.step(self._input, most)
            except Malformed as error:
                raise _malformed(str(error)) from error
            self._input = self._member.unused
            if piece:
                return piece
        return b""

    def _begin(self) -> None:
        """Go on with another member."""
        if not self._several:
            raise _malformed("something follows its end")
        self._members += 1
        if self._members > _MEMBERS + self._fed // _MEMBER:
            raise _malformed("it has too many members")
        self._member = self._new()


def _malformed(problem: str) -> Error:
    return Error(400, "BAD_REQUEST", f"the compressed body is malformed: {problem}")
