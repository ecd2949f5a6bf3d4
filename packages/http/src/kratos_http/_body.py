"""Bodies of requests that endpoints read by themselves."""

from __future__ import annotations

from kratos.transport.http import Head, Wire
from kratos_http._pieces import add_piece
from kratos_http._upload import Upload
from kratos_http.limits import Limits

__all__ = ["read_body"]


async def read_body(wire: Wire, head: Head, limits: Limits) -> bytes:
    """Return a whole body, within the limits that engines keep for buffered ones.

    Raises:
        Error: 413: it is too long; 408: it came too slowly; 499: the peer has gone.
    """
    upload = Upload(wire, head, limit=limits.max_body, limits=limits)
    pieces: list[bytes | bytearray] = []
    while piece := await upload.read():
        add_piece(pieces, piece)
    return b"".join(pieces)
