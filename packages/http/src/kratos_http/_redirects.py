"""Redirects that a client follows: to another path of the same node, and nowhere else."""

from __future__ import annotations

from typing import Final
from urllib.parse import urljoin, urlsplit

from kratos_http._exchange import RawReply

__all__ = ["next_target"]

_CODES: Final = frozenset((301, 302, 303, 307, 308))
_SAFE: Final = frozenset(("GET", "HEAD"))


def next_target(reply: RawReply, verb: str, url: str) -> str | None:
    """Return where an answer sends its caller; ``None`` where that is not followed.

    Args:
        reply: The answer.
        verb: Method of the request; only what changes nothing is followed.
        url: What was asked for.
    """
    location = reply.header(b"location").decode("latin-1")
    if reply.status not in _CODES or verb not in _SAFE or not location:
        return None
    try:
        asked, found = urlsplit(url), urlsplit(urljoin(url, location))
    except ValueError:
        return None
    if (found.scheme, found.netloc.lower()) != (asked.scheme, asked.netloc.lower()):
        return None
    path = found.path or "/"
    target = f"{path}?{found.query}" if found.query else path
    return target if target.isascii() and target.isprintable() and " " not in target else None
