"""Bodies as they come, in pieces that the peer cuts."""

from __future__ import annotations

from typing import Final

__all__ = ["add_piece"]

_MANY: Final = 512


def add_piece(pieces: list[bytes | bytearray], data: bytes) -> None:
    """Keep one more piece of a body.

    Many small ones are put together: each of a byte or two would take twenty times its size.
    """
    pieces.append(data)
    if len(pieces) >= _MANY:
        first = pieces[0]
        whole = first if isinstance(first, bytearray) else bytearray(first)
        whole += b"".join(pieces[1:])
        pieces[:] = (whole,)
