"""The work that every client does, and what it is done with."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

__all__ = ["ACCEPT", "CASES", "GET", "KIND", "ORDER", "POST", "Ask", "Cases", "check", "ready"]

Ask: TypeAlias = Callable[[], Awaitable[None]]
"""Makes one request, and checks the answer."""

Cases: TypeAlias = Mapping[str, Ask]

CASES: Final = ("get", "order")
KIND: Final = "application/json"
ACCEPT: Final = {"accept": KIND}
GET: Final = "/hello/kratos"
POST: Final = "/orders"
_LINE: Final = {"sku": "b-0042", "quantity": 3, "price": 12.5}
ORDER: Final[dict[str, Any]] = {"customer": "kratos", "lines": [_LINE] * 10}
_ANSWERS: Final = {"get": ("message", "Hello kratos"), "order": ("total", 375.0)}


def ready(case: str, address: str) -> bytes:
    """Return a request as bytes; the order is made anew each time, as everybody makes it."""
    if case == "get":
        line, body, more = f"GET {GET}", b"", ""
    else:
        body = json.dumps(ORDER).encode()
        line = f"POST {POST}"
        more = f"content-type: {KIND}\r\ncontent-length: {len(body)}\r\n"
    return f"{line} HTTP/1.1\r\nhost: {address}\r\naccept: {KIND}\r\n{more}\r\n".encode() + body


def check(case: str, status: int, body: bytes) -> None:
    """Read an answer, as whoever asked would.

    Raises:
        ValueError: It is another one.
    """
    key, value = _ANSWERS[case]
    if status != 200 or json.loads(body)[key] != value:
        raise ValueError(f"{case} was answered with {status} {body[:100]!r}")
