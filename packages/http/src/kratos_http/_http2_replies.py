"""The header blocks of answers over HTTP/2, prepared once for as long as they stay the same."""

from __future__ import annotations

from typing import Final

from kratos.transport.http import WireHeaders
from kratos_http._format import date_value, require_final, sendable
from kratos_http2 import encode_fields

__all__ = ["CONTINUE", "ReplyBlocks", "length_field", "trailer_block"]

_KEPT: Final = 256
_LONGEST: Final = 512  # bytes of a block that is kept
_SIZES_KEPT: Final = 4096

CONTINUE: Final = encode_fields(((b":status", b"100"),))

_lengths: dict[int, bytes] = {}
_trailers: dict[WireHeaders, bytes] = {}


class ReplyBlocks:
    """The blocks of one engine, with the time in each."""

    __slots__ = ("_blocks", "_date")

    def __init__(self) -> None:
        self._date: tuple[bytes, bytes] = (b"date", b"")
        self._blocks: dict[tuple[int, WireHeaders], bytes] = {}

    def tell_time(self, now: float) -> None:
        """Set the Date header to a time in seconds since the epoch."""
        self._date = (b"date", date_value(now))
        self._blocks.clear()

    def block(self, status: int, headers: WireHeaders) -> bytes:
        """Return the block of an answer, without its length.

        Raises:
            ValueError: The status is none of an answer, or a header cannot be sent.
        """
        kept = headers.__class__ is tuple
        if kept:
            found = self._blocks.get((status, headers))
            if found is not None:
                return found
        require_final(status)
        block = encode_fields(((b":status", b"%d" % status), self._date, *_fields(headers)))
        if kept and len(block) <= _LONGEST:
            if len(self._blocks) >= _KEPT:
                self._blocks.clear()
            self._blocks[status, headers] = block
        return block


def length_field(size: int) -> bytes:
    """Return the end of a block that tells the length of its body."""
    found = _lengths.get(size)
    if found is None:
        found = encode_fields(((b"content-length", b"%d" % size),))
        if size < _SIZES_KEPT:
            _lengths[size] = found
    return found


def trailer_block(trailers: WireHeaders) -> bytes:
    """Return the block that ends an answer.

    Raises:
        ValueError: A trailer cannot be sent.
    """
    kept = trailers.__class__ is tuple
    if kept:
        found = _trailers.get(trailers)
        if found is not None:
            return found
    block = encode_fields(_fields(trailers))
    if kept and len(block) <= _LONGEST:
        if len(_trailers) >= _KEPT:
            _trailers.clear()
        _trailers[trailers] = block
    return block


def _fields(headers: WireHeaders) -> list[tuple[bytes, bytes]]:
    """Return headers as HTTP/2 has them: with lower-case names, and no blanks at the ends."""
    return [(name.lower(), value.strip(b" \t")) for name, value in sendable(headers)]
