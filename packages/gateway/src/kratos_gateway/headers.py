"""Headers of one hop alone, which a gateway never passes on (RFC 9110, 7.6.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["HOP", "first", "hyphenated", "without_hop"]

HOP: Final = frozenset(
    (
        b"connection",
        b"expect",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""Their names; ``Connection`` may name more."""


def first(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    """Return the first value of a lower-case name, empty when it is absent."""
    return next((value for key, value in headers if key == name), b"")


def hyphenated(name: bytes) -> bytes:
    """Return a name with hyphens for its underscores.

    CGI, WSGI and PHP tell ``x_user`` and ``x-user`` not apart: who drops one drops the other.
    """
    return name.replace(b"_", b"-")


def without_hop(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers that go on; names are lower-case."""
    kept: list[tuple[bytes, bytes]] = []
    named: set[bytes] | None = None
    for pair in headers:
        name = pair[0]
        if name not in HOP:
            kept.append(pair)
        elif name == b"connection" and pair[1].lower() not in (b"keep-alive", b"close"):
            named = named or set()
            named.update(token.strip().lower() for token in pair[1].split(b","))
    if named:
        # Framing is ours to decide; whoever names it would have the body read apart.
        named -= {b"content-length", b"host"}
        return [pair for pair in kept if pair[0] not in named]
    return kept
