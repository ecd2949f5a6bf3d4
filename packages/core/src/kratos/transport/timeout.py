"""The ``Grpc-Timeout`` header, by which deadlines travel over HTTP (gRPC over HTTP/2, Timeout)."""

from __future__ import annotations

import math
from typing import Final

from kratos.errors import Error

__all__ = ["format_timeout", "parse_timeout"]

_UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_DIGITS: Final = 8
_MOST: Final = 99_999_999  # eight digits
_FINEST_FIRST: Final = (("u", 1e-6), ("m", 1e-3), ("S", 1.0), ("M", 60.0), ("H", 3600.0))


def parse_timeout(value: bytes) -> float:
    """Return the seconds of a header value such as ``250m``.

    Raises:
        Error: 400: it is no timeout.
    """
    digits, unit = value[:-1], _UNITS.get(value[-1:])
    if unit is None or len(digits) > _DIGITS or not digits.isdigit():
        shown = value[:16].decode("latin-1")
        raise Error(
            400, "CODEC", f"Grpc-Timeout {shown!r} is not 1 to 8 digits and one of H M S m u n"
        )
    return int(digits) * unit


def format_timeout(seconds: float) -> str:
    """Return the header value of some seconds, rounded down, but never zero.

    Down, since a peer must not believe that it has longer than its caller.
    """
    for unit, size in _FINEST_FIRST:
        count = max(1, math.floor(seconds / size))
        if count <= _MOST:
            return f"{count}{unit}"
    return f"{_MOST}H"
