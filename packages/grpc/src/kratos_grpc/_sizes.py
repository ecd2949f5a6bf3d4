"""What is told of messages beyond a limit."""

from __future__ import annotations

import logging
from typing import Final

from kratos.errors import Error

__all__ = ["TOO_LARGE", "inflated_too_large", "reply_too_large", "request_too_large"]

_log = logging.getLogger("kratos.grpc")

TOO_LARGE: Final = "MESSAGE_TOO_LARGE"
"""Reason of a message beyond a limit."""


def request_too_large(size: int | None, most: int) -> Error:
    """Return the error for a request that this server does not take; its size may be unknown."""
    what = "the request" if size is None else f"the request of {size} bytes"
    text = (
        f"{what} exceeds {most}, the most that the server takes: "
        "max_receive=... sets it there"
    )
    return Error(429, TOO_LARGE, text)


def inflated_too_large(most: int) -> Error:
    """Return the error for a request that turns out too large when it is decompressed."""
    text = (
        f"the request exceeds {most} bytes, the most that the server takes, once it is "
        "decompressed: max_receive=... sets it there"
    )
    return Error(429, TOO_LARGE, text)


def reply_too_large(operation: str, size: int, most: int) -> Error:
    """Return the error for a reply that this server does not send; logged, as it is its own."""
    text = (
        f"the reply of {size} bytes exceeds {most}, the most that this server sends: "
        "max_send=... sets it"
    )
    _log.error("%s: %s", operation, text)
    return Error(429, TOO_LARGE, text)
