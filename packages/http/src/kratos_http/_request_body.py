"""The bodies of requests that endpoints read by themselves, held to limits of size and time."""

from __future__ import annotations

import asyncio

from kratos.errors import Error
from kratos.transport.http import Head, Wire
from kratos_http._pieces import add_piece
from kratos_http.limits import Limits

__all__ = ["Upload", "read_body"]


class Upload:
    """Reads a body.

    Only the time that the handler waits for the peer counts against the peer.

    Args:
        wire: Where it comes from.
        head: Of the request.
        limit: Bytes of the largest body.
        limits: The grace and the least rate.
    """

    __slots__ = ("_grace", "_head", "_limit", "_rate", "_received", "_waited", "_wire")

    def __init__(self, wire: Wire, head: Head, *, limit: int, limits: Limits) -> None:
        self._wire = wire
        self._head = head
        self._limit = limit
        self._grace = limits.body_grace
        self._rate = limits.min_body_rate
        self._received = 0
        self._waited = 0.0

    async def read(self) -> bytes:
        """Return the next piece, ``b""`` at the end.

        Raises:
            Error: The body ended early, is too large (413) or too slow (408).
        """
        if not self._received and self._announced() > self._limit:
            raise self._too_large()
        loop = asyncio.get_running_loop()
        allowed = self._grace + self._received / self._rate - self._waited
        began = loop.time()
        try:
            async with asyncio.timeout(allowed):
                piece = await self._wire.read()
        except TimeoutError as error:
            raise Error(408, "REQUEST_TIMEOUT", "the body came too slowly") from error
        self._waited += loop.time() - began
        self._received += len(piece)
        if self._received > self._limit:
            raise self._too_large()
        return piece

    def _announced(self) -> int:
        length = self._head.header(b"content-length")
        return int(length) if length.isdigit() else 0

    def _too_large(self) -> Error:
        return Error(413, "BODY_TOO_LARGE", f"the body exceeds {self._limit} bytes")


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
