"""Why calls are refused: to the caller in the words of Go Kratos, to the log in ours."""

from __future__ import annotations

from typing import Final

from kratos.errors import Error

__all__ = [
    "CANNOT_GET_KEY",
    "CANNOT_SIGN",
    "EXPIRED",
    "INVALID",
    "MISSING",
    "PARSE_FAIL",
    "REASON",
    "WRONG_CONTEXT",
    "WRONG_METHOD",
    "Refused",
    "error",
]

REASON: Final = "UNAUTHORIZED"

MISSING: Final = "JWT token is missing"
INVALID: Final = "Token is invalid"
EXPIRED: Final = "JWT token has expired"
PARSE_FAIL: Final = "Fail to parse JWT token "
WRONG_METHOD: Final = "Wrong signing method"
WRONG_CONTEXT: Final = "Wrong context for middleware"
CANNOT_GET_KEY: Final = "Can not get key while signing token"
CANNOT_SIGN: Final = "Can not sign token.Is the key correct?"


class Refused(Exception):
    """A token that is not taken.

    Args:
        message: What the caller is told.
        why: What is really wrong, for the log; without any part of the token that could be used.
    """

    def __init__(self, message: str, why: str) -> None:
        super().__init__(why)
        self.message = message
        self.why = why


def error(message: str, *, cause: BaseException | None = None) -> Error:
    """Make the 401 ``UNAUTHORIZED`` of a message."""
    made = Error(401, REASON, message)
    made.__cause__ = cause
    return made
