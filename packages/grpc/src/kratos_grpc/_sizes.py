"""What is told of messages beyond a limit, whatever protocol and engine they came by.

The option behind each limit is named without its class: ``ServerLimits``, ``Grpc``, ``GrpcWeb``,
``Connect``, ``ClientLimits`` and the connectors all call it the same.
"""

from __future__ import annotations

import logging
from typing import Final

from kratos.errors import Error

__all__ = [
    "CLIENT_SENDS",
    "CLIENT_TAKES",
    "SERVER_SENDS",
    "SERVER_TAKES",
    "TOO_LARGE",
    "inflated_not_taken",
    "reply_not_sent",
    "reply_not_taken",
    "request_not_sent",
    "request_not_taken",
    "told",
]

_log = logging.getLogger("kratos.grpc")

TOO_LARGE: Final = "MESSAGE_TOO_LARGE"
"""Reason of a message beyond a limit."""

SERVER_TAKES: Final = "the server takes: max_receive sets it there"
SERVER_SENDS: Final = "the server sends: max_send sets it there"
CLIENT_TAKES: Final = "this client takes: max_receive sets it"
CLIENT_SENDS: Final = "this client sends: max_send sets it"

_REQUEST: Final = "the request"
_REPLY: Final = "the reply"


def told(what: str, size: int | None, most: int, whose: str) -> str:
    """Return what is told of a message whose size may be unknown, and of whose limit it is."""
    shown = what if size is None else f"{what} of {size} bytes"
    return f"{shown} exceeds {most} bytes, the most that {whose}"


def request_not_taken(size: int | None, most: int) -> Error:
    """Return the error for a request that this server does not take."""
    return Error(429, TOO_LARGE, told(_REQUEST, size, most, SERVER_TAKES))


def inflated_not_taken(most: int) -> Error:
    """Return the error for a request that turns out too large when it is decompressed."""
    return Error(429, TOO_LARGE, told(f"{_REQUEST}, decompressed,", None, most, SERVER_TAKES))


def reply_not_sent(operation: str, size: int, most: int) -> Error:
    """Return the error for a reply that this server does not send; logged, as it is its own."""
    text = told(_REPLY, size, most, SERVER_SENDS)
    _log.error("%s: %s", operation, text)
    return Error(429, TOO_LARGE, text)


def reply_not_taken(size: int | None, most: int) -> Error:
    """Return the error for a reply that this client does not take."""
    return Error(429, TOO_LARGE, told(_REPLY, size, most, CLIENT_TAKES))


def request_not_sent(size: int, most: int) -> Error:
    """Return the error for a request that this client does not send."""
    return Error(429, TOO_LARGE, told(_REQUEST, size, most, CLIENT_SENDS))
