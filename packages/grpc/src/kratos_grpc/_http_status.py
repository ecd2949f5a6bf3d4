"""What an answer means that no service gave: a proxy's, for instance."""

from __future__ import annotations

from typing import Final

__all__ = ["inferred"]

_UNKNOWN: Final = 2

# gRPC, HTTP to gRPC status code mapping; Connect, HTTP to error code.
_CODES: Final = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}


def inferred(status: int) -> int:
    """Return the gRPC status code of an answer that tells nothing but its HTTP status."""
    return _CODES.get(status, _UNKNOWN)
