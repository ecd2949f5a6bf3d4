"""The bytes of HTTP/1.1 answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from kratos.transport.http import Reply, WireHeaders

__all__ = [
    "BODILESS",
    "CHUNKED",
    "CONTINUE",
    "chunk",
    "date_line",
    "date_value",
    "has_body",
    "header_block",
    "last_chunk",
    "opening",
    "render",
    "require_final",
    "sendable",
]

# Whoever writes these from inside an answer would contradict the framing: the engine owns them.
_ENGINE_OWNED: Final = frozenset(
    (
        b"connection",
        b"content-length",
        b"date",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
_NAME: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_FORBIDDEN: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_CACHED_BLOCKS: Final = 256
_CACHED_VALUE: Final = 128
_JOINED_BODY: Final = 64 * 1024

# Statuses of answers without a body; a length in a 304 would be that of the answer left out.
BODILESS: Final = (204, 304)
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNKED: Final = b"transfer-encoding: chunked\r\n"
_STATUS_LINES: Final[dict[int, bytes]] = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_OK: Final = b"HTTP/1.1 200 OK\r\n"
_SIZES_KEPT: Final = 4096
_lengths: dict[int, bytes] = {}
# Answers of one content type and nothing else are the rule; their block is made once.
_blocks: dict[WireHeaders, bytes] = {}


def has_body(method: str, status: int) -> bool:
    """Tell whether an answer carries a body (RFC 9110, 6.4.1)."""
    return method != "HEAD" and status not in BODILESS


def require_final(status: int) -> None:
    """Refuse a status that ends no request: peers would take the next answer for this one's.

    Raises:
        ValueError: It is less than 200, or has no three digits.
    """
    if not 200 <= status <= 999:
        raise ValueError(f"{status} is no status of an answer: use 200 to 599")


def render(
    reply: Reply, method: str, /, *, version: str, keep: bool, date: bytes
) -> Sequence[bytes]:
    """Return a whole answer, in as many pieces as are worth a write of their own.

    Raises:
        ValueError: A header of the answer cannot be sent, see ``header_block``; or the status.
    """
    status, body = reply.status, reply.body
    size = len(body)
    if (  # the usual answer to the usual request
        status == 200
        and keep
        and method != "HEAD"
        and version == "1.1"
        and not reply.trailers
        and size < _SIZES_KEPT
    ):
        line = _lengths.get(size) or _length_line(size)
        headers = reply.headers
        block = (headers.__class__ is tuple and _blocks.get(headers)) or header_block(headers)
        return (b"".join((_OK, date, block, line, body)),)
    require_final(status)
    head = opening(status, reply.headers, version=version, keep=keep, date=date)
    if not has_body(method, status):
        length = b"" if status in BODILESS else b"content-length: %d\r\n" % len(body)
        return (b"%b%b\r\n" % (head, length),)
    if reply.trailers and version == "1.1":
        first = chunk(body) if body else b""
        return (b"%b%b\r\n%b" % (head, CHUNKED, first), last_chunk(reply.trailers))
    if len(body) > _JOINED_BODY:
        return (b"%bcontent-length: %d\r\n\r\n" % (head, len(body)), body)
    return (b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body),)


def opening(status: int, headers: WireHeaders, *, version: str, keep: bool, date: bytes) -> bytes:
    """Return status line and headers, without those of the framing and the empty line.

    Raises:
        ValueError: A header cannot be sent; see ``header_block``.
    """
    line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    if not keep:
        return b"%b%b%bconnection: close\r\n" % (line, date, header_block(headers))
    if version == "1.0":
        return b"%b%b%bconnection: keep-alive\r\n" % (line, date, header_block(headers))
    return b"%b%b%b" % (line, date, header_block(headers))


def header_block(headers: WireHeaders) -> bytes:
    """Return header lines, without those that belong to the engine.

    Raises:
        ValueError: A name is no token, or a value holds control characters, which could
            begin a header or an answer of its own.
    """
    if headers.__class__ is not tuple or len(headers) != 1 or len(headers[0][1]) > _CACHED_VALUE:
        return _checked(headers) if headers else b""
    block = _blocks.get(headers)
    if block is None:
        block = _checked(headers)
        if len(_blocks) >= _CACHED_BLOCKS:
            _blocks.clear()
        _blocks[headers] = block
    return block


def sendable(headers: WireHeaders) -> list[tuple[bytes, bytes]]:
    """Return the headers that an application may send: those of the engine left out.

    Raises:
        ValueError: See ``header_block``.
    """
    kept: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        if not _NAME.match(name):
            raise ValueError(f"{name!r} is no header name")
        if _FORBIDDEN.search(value):
            raise ValueError(f"the value of header {name!r} holds control characters")
        if name.lower() not in _ENGINE_OWNED:
            kept.append((name, value))
    return kept


def date_line(now: float) -> bytes:
    """Return the Date header for a time in seconds since the epoch."""
    return b"date: %b\r\n" % date_value(now)


def date_value(now: float) -> bytes:
    """Return the value of the Date header for a time in seconds since the epoch."""
    return formatdate(now, usegmt=True).encode()


def chunk(data: bytes) -> bytes:
    """Return one chunk of a body without a known length; never the last one."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: WireHeaders = ()) -> bytes:
    """Return the end of a body in chunks."""
    return b"0\r\n%b\r\n" % header_block(trailers)


def _length_line(size: int) -> bytes:
    line = _lengths[size] = b"content-length: %d\r\n\r\n" % size
    return line


def _checked(headers: WireHeaders) -> bytes:
    return b"".join([b"%b: %b\r\n" % pair for pair in sendable(headers)])
