"""Compressed replies, made long again within limits: what clients ask for and read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from kratos.errors import ConfigError, Error
from kratos.offload import offload
from kratos_http._exchange import RawReply, TooLarge
from kratos_http._inflate import CODINGS, inflate

__all__ = ["accept_line", "decoded", "whole"]

_KNOWN: Final = ("zstd", "br", "gzip", "deflate")
_SHORT: Final = 4 * 1024  # bytes that become 4 MiB at most, in under ten milliseconds
_STEP: Final = 256  # bytes of Zstandard that become 8 MiB at most
_WINDOW: Final = 8 * 1024 * 1024  # what RFC 9659 lets servers count on
_PIECE: Final = 64 * 1024
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
    there = ", ".join(name for name in codings if _readable(name))
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
    if len(reply.body) <= _SHORT:
        body = whole(reply.body, coding, limit)
    else:
        body = await offload(whole, reply.body, coding, limit)
    headers = [pair for pair in reply.headers if pair[0] not in _NO_MORE]
    return RawReply(reply.status, headers, reply.trailers, body)


def whole(data: bytes, coding: str, limit: int) -> bytes:
    """Return a decompressed body; see ``decoded``."""
    if coding in CODINGS:
        try:
            return inflate(data, coding, limit)
        except Error as error:
            if error.code == _TOO_LARGE:
                raise _too_large(limit) from None
            raise Error(500, "CODEC", f"the reply cannot be read: {error.message}") from error
    if coding not in _KNOWN or not _readable(coding):
        raise Error(500, "CODEC", f"the reply comes in the coding {coding[:64]!r}")
    pieces: list[bytes] = []
    size = 0
    try:
        for piece in (_brotli if coding == "br" else _zstandard)(data):
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            pieces.append(piece)
    except _failure_of(coding) as error:
        raise Error(500, "CODEC", f"the reply is no {coding}: {error}") from error
    return b"".join(pieces)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"its body exceeds {limit} bytes when it is decompressed")


def _readable(coding: str) -> bool:
    if coding == "zstd":
        return find_spec("zstandard") is not None
    if coding == "br":  # before 1.2 it cannot stop half-way, so that a few bytes fill the memory
        found = find_spec("brotli") is not None
        return found and hasattr(import_module("brotli").Decompressor, "can_accept_more_data")
    return True


def _failure_of(coding: str) -> type[Exception]:
    if coding == "br":
        failure: type[Exception] = import_module("brotli").error
    else:
        failure = import_module("zstandard").ZstdError
    return failure


def _zstandard(data: bytes) -> Iterator[bytes]:
    library: Any = import_module("zstandard")
    decompressor = library.ZstdDecompressor(max_window_size=_WINDOW)
    at = 0
    while at < len(data):
        frame = decompressor.decompressobj()
        while at < len(data) and not frame.eof:
            yield frame.decompress(data[at : at + _STEP])
            at = min(at + _STEP, len(data))
        if not frame.eof:
            raise library.ZstdError("it ends early")
        at -= len(frame.unused_data)


def _brotli(data: bytes) -> Iterator[bytes]:
    library: Any = import_module("brotli")
    decompressor = library.Decompressor()
    piece = decompressor.process(data, output_buffer_limit=_PIECE)
    while piece:
        yield piece
        piece = decompressor.process(b"", output_buffer_limit=_PIECE)
    if not decompressor.is_finished():
        raise library.error("it ends early")
