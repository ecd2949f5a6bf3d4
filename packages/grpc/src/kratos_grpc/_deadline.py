"""Time limits of callers, as deadlines."""

from __future__ import annotations

from typing import Final

from kratos.transport.timeout import parse_timeout

__all__ = ["limited", "seconds_of"]

_YEAR: Final = 365 * 86400.0  # seconds


def seconds_of(timeout: bytes) -> float | None:
    """Return the seconds of a ``grpc-timeout``; ``None`` for an empty one.

    Raises:
        Error: 400 CODEC: it is no timeout.
    """
    return limited(parse_timeout(timeout)) if timeout else None


def limited(seconds: float) -> float | None:
    """Return a caller's time limit, ``None`` for one that is beyond a year, and so none."""
    return seconds if seconds < _YEAR else None
