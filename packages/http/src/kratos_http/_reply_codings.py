"""Compressed replies, made long again within limits: what clients ask for and read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kratos.errors import ConfigError, Error
from kratos_http._decompress import CODINGS, inflated
from kratos_http._exchange import RawReply, TooLarge

__all__ = ["accept_line", "decoded"]

_KNOWN: Final = ("zstd", "br", "gzip", "deflate")
_SHORT: Final = 4 * 1024  # bytes that become 4 MiB at most, in under ten milliseconds
_TOO_LARGE: Final = 413
_NO_MORE: Final = (b"content-encoding", b"content-length")


def accept_line(codings: Sequence[str]) -> bytes:
    """Return the header line that asks for codings, those left out that cannot be read here.

    Raises:
        ConfigError: One is unknown.
    """
    for name in codings:
        if name not in _KNOWN:
            raise ConfigError(f"there is no coding {name!r}: use {', '.join(_KNOWN)}")
    there = ", ".join(name for name in codings if name in CODINGS)
    return f"accept-encoding: {there}\r\n".encode() if there else b""


async def decoded(reply: RawReply, limit: int) -> RawReply:
    """Return a reply with its body as it was before it was compressed.

    Raises:
        TooLarge: The body has more than ``limit`` bytes then; hardly more are made.
        Error: 500 CODEC: it is malformed, or in a coding that cannot be read.
    """
    coding = reply.header(b"content-encoding").decode("latin-1").lower().removeprefix("x-")
    if coding in ("", "identity") or not reply.body:
        return reply
    if coding not in CODINGS:
        raise Error(500, "CODEC", f"the reply comes in the coding {coding[:64]!r}")
    try:
        body = await inflated(reply.body, coding, limit, short=_SHORT)
    except Error as error:
        if error.code == _TOO_LARGE:
            raise TooLarge(f"its body exceeds {limit} bytes when it is decompressed") from None
        raise Error(500, "CODEC", f"the reply cannot be read: {error.message}") from error
    headers = [pair for pair in reply.headers if pair[0] not in _NO_MORE]
    return RawReply(reply.status, headers, reply.trailers, body)
