"""Entity tags of answers (RFC 9110, 8.8.3)."""

from __future__ import annotations

from kratos.transport.http import WireHeaders

__all__ = ["is_same", "weakened"]


def weakened(headers: WireHeaders, /) -> list[tuple[bytes, bytes]]:
    """Return headers with the tag of another form of the same."""
    return [
        (name, b"W/" + value if name == b"etag" and value.startswith(b'"') else value)
        for name, value in headers
    ]


def is_same(asked: bytes, tag: bytes, /) -> bool:
    """Tell whether ``If-None-Match`` names a tag, by the weak comparison."""
    if not (asked and tag):
        return False
    known = {part.strip().removeprefix(b"W/") for part in asked.split(b",")}
    return b"*" in known or tag.removeprefix(b"W/") in known
