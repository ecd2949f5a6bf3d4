"""The bytes of requests to back ends."""

from __future__ import annotations

import re
from typing import Final

from kratos_gateway.exchange import Request
from kratos_gateway.headers import HOP, first

__all__ = ["announced", "head_of", "sent_headers", "target_of"]

_OWN: Final = HOP | {b"content-length", b"host"}
_WITH_BODY: Final = frozenset(("POST", "PUT", "PATCH"))
_INVISIBLE: Final = re.compile(rb"[\x00-\x20\x7f]")
_TOKEN: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def target_of(request: Request) -> bytes:
    """Return path and query.

    Raises:
        ValueError: They hold what would end the request line.
    """
    target = f"{request.path}?{request.query}" if request.query else request.path
    found = target.encode("latin-1", "replace")
    if _INVISIBLE.search(found) or not found.startswith(b"/"):
        raise ValueError(f"{target!r} is no target of a request: encode it, and begin with a slash")
    return found


def sent_headers(request: Request) -> list[tuple[bytes, bytes]]:
    """Return its headers without those of the framing and of the host.

    Raises:
        ValueError: One of them cannot be sent.
    """
    headers = [pair for pair in request.headers if pair[0] not in _OWN]
    names = b"".join([name for name, _ in headers])
    values = b"".join([value for _, value in headers])
    if (names and not _TOKEN.fullmatch(names)) or _broken(values):
        raise ValueError("the name of a header is no token, or a value holds the end of a line")
    return headers


def announced(request: Request) -> int | None:
    """Return the length of a body in pieces, if the request tells it."""
    text = first(request.headers, b"content-length")
    return int(text) if text.isdigit() else None


def head_of(request: Request, host: str, *, more: bytes = b"") -> tuple[bytes, int | None]:
    """Return the head of a request over HTTP/1.1, and the length of its body.

    Args:
        request: The request.
        host: The ``Host`` header.
        more: Further lines.

    Raises:
        ValueError: Something in it cannot be sent.
    """
    named = host.encode("latin-1", "replace")
    method = request.method.encode("latin-1", "replace")
    if _INVISIBLE.search(named) or not _TOKEN.fullmatch(method):
        raise ValueError(f"{request.method!r} {host!r} are no method and host")
    body = request.body
    length: int | None
    if isinstance(body, bytes):
        length = len(body)
        framing = b"content-length: %d\r\n" % length
        if not length and request.method not in _WITH_BODY:
            framing = b""
    else:
        length = announced(request)
        framing = b"transfer-encoding: chunked\r\n"
        if length is not None:
            framing = b"content-length: %d\r\n" % length
    lines = b"".join([b"%b: %b\r\n" % pair for pair in sent_headers(request)])
    start = b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (method, target_of(request), named)
    return b"%b%b%b%b\r\n" % (start, lines, framing, more), length


def _broken(values: bytes) -> bool:
    return b"\n" in values or b"\r" in values or b"\0" in values
