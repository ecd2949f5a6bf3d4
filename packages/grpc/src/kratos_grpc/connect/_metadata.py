"""Headers and trailers of calls, as Connect carries them."""

from __future__ import annotations

from typing import Final

from kratos.transport import Header
from kratos_grpc._metadata import to_wire

__all__ = ["leading", "listed", "trailing"]

_TRAILER: Final = b"trailer-"
_RESERVED: Final = b"connect-"
_OWN: Final = frozenset((b"accept-encoding", b"content-encoding", b"date", b"trailer"))


def leading(header: Header) -> list[tuple[bytes, bytes]]:
    """Return headers as fields of HTTP; what belongs to the protocol is left out.

    Raises:
        ValueError: Connect cannot carry a name or value.
    """
    fields = to_wire(header)
    return [pair for pair in fields if pair[0] not in _OWN and not pair[0].startswith(_RESERVED)]


def trailing(header: Header) -> list[tuple[bytes, bytes]]:
    """Return trailers as fields of HTTP, among the headers, as unary calls have them.

    Raises:
        ValueError: Connect cannot carry a name or value.
    """
    return [(_TRAILER + name, value) for name, value in leading(header)]


def listed(header: Header) -> dict[str, list[str]]:
    """Return trailers as the end of a stream has them.

    Raises:
        ValueError: Connect cannot carry a name or value.
    """
    found: dict[str, list[str]] = {}
    for name, value in leading(header):
        found.setdefault(name.decode(), []).append(value.decode())
    return found
