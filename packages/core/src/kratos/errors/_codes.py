"""The tables between HTTP status codes and gRPC status codes (Go: transport/http/status)."""

from __future__ import annotations

from typing import Final

__all__ = ["from_grpc_code", "to_grpc_code"]

_GRPC_UNKNOWN: Final = 2

_TO_GRPC: Final[dict[int, int]] = {
    200: 0,
    400: 3,
    401: 16,
    403: 7,
    404: 5,
    409: 10,
    412: 9,
    429: 8,
    499: 1,
    500: 13,
    501: 12,
    503: 14,
    504: 4,
}

_FROM_GRPC: Final[dict[int, int]] = {
    0: 200,
    1: 499,
    2: 500,
    3: 400,
    4: 504,
    5: 404,
    6: 409,
    7: 403,
    8: 429,
    9: 412,
    10: 409,
    11: 400,
    12: 501,
    13: 500,
    14: 503,
    15: 500,
    16: 401,
}


def to_grpc_code(http_code: int) -> int:
    """Return the gRPC status code of an HTTP status code; UNKNOWN (2) for one without a row."""
    return _TO_GRPC.get(http_code, _GRPC_UNKNOWN)


def from_grpc_code(grpc_code: int) -> int:
    """Return the HTTP status code of a gRPC status code; 500 for one without a row."""
    return _FROM_GRPC.get(grpc_code, 500)
