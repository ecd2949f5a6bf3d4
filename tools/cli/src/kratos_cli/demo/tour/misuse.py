"""Plain HTTP for what the definition does not offer."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from typing import Any

from kratos_cli.demo.account import Account
from kratos_cli.demo.stage import StageError

__all__ = ["show"]

_TIMEOUT = 10.0  # seconds
_CASES = (
    ("GET", "/v1/shelves/novels/books?page_size=many", 400),
    ("PUT", "/v1/shelves/novels/books", 405),
    ("GET", "/nowhere", 404),
)


async def show(account: Account, address: str) -> None:
    """Ask for what is not there.

    Raises:
        StageError: It was answered otherwise than it has to be.
    """
    for verb, path, code in _CASES:
        start = time.perf_counter()
        status, body = await asyncio.to_thread(_ask, address, verb, path)
        ms = (time.perf_counter() - start) * 1000
        answer = f"{body.get('reason', '')} {body.get('message', '')}".strip()
        account.call("you", "bookshop", f"HTTP {verb} {path}", code=status, answer=answer, ms=ms)
        if status != code:
            raise StageError(f"{verb} {path} was answered {status} and not {code}: {body}")


def _ask(address: str, verb: str, path: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(address, timeout=_TIMEOUT)
    try:
        connection.request(verb, path)
        reply = connection.getresponse()
        body: dict[str, Any] = json.loads(reply.read())
        return reply.status, body
    finally:
        connection.close()
