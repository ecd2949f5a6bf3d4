"""The codes of Connect: those of gRPC by name, each with its status of HTTP."""

from __future__ import annotations

from typing import Final

__all__ = ["code_of", "name_of", "status_of"]

_UNKNOWN: Final = 2

# By number. The statuses are those of Connect, which tells fewer apart than Kratos does.
_CODES: Final[dict[int, tuple[str, int]]] = {
    1: ("canceled", 499),
    2: ("unknown", 500),
    3: ("invalid_argument", 400),
    4: ("deadline_exceeded", 504),
    5: ("not_found", 404),
    6: ("already_exists", 409),
    7: ("permission_denied", 403),
    8: ("resource_exhausted", 429),
    9: ("failed_precondition", 400),
    10: ("aborted", 409),
    11: ("out_of_range", 400),
    12: ("unimplemented", 501),
    13: ("internal", 500),
    14: ("unavailable", 503),
    15: ("data_loss", 500),
    16: ("unauthenticated", 401),
}

_NUMBERS: Final = {name: number for number, (name, _) in _CODES.items()}


def name_of(code: int) -> str:
    """Return the name of a gRPC status code; ``unknown`` for one that there is not."""
    return _CODES.get(code, _CODES[_UNKNOWN])[0]


def status_of(code: int) -> int:
    """Return the HTTP status that goes with a gRPC status code; 500 for one that there is not."""
    return _CODES.get(code, _CODES[_UNKNOWN])[1]


def code_of(name: object) -> int | None:
    """Return the gRPC status code of a name; ``None`` if there is none of that name."""
    return _NUMBERS.get(name) if isinstance(name, str) else None
