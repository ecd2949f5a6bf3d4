"""Bodies of requests that endpoints read by themselves."""

from __future__ import annotations

import asyncio

from kratos.errors import Error
from kratos.transport.http import Wire
from kratos_http._pieces import add_piece
from kratos_http.limits import Limits

__all__ = ["read_body"]


async def read_body(wire: Wire, limits: Limits) -> bytes:
    """Return a whole body, within the limits that engines keep for buffered ones.

    Raises:
        Error: 413: it is too long; 408: it came too slowly; 499: the peer has gone.
    """
    pieces: list[bytes | bytearray] = []
    size = 0
    loop = asyncio.get_running_loop()
    begun = loop.time()
    try:
        async with asyncio.timeout(limits.body_grace) as limit:
            while piece := await wire.read():
                size += len(piece)
                if size > limits.max_body:
                    raise Error(413, "BODY_TOO_LARGE", f"the body exceeds {limits.max_body} bytes")
                add_piece(pieces, piece)
                limit.reschedule(begun + limits.body_grace + size / limits.min_body_rate)
    except TimeoutError:
        raise Error(408, "REQUEST_TIMEOUT", "the body came too slowly") from None
    return b"".join(pieces)
