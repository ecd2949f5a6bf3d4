"""A bounded HTTP load: keep-alive connections that ask again when they are answered."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import cast

import uvloop

__all__ = ["content_length", "drive", "tally"]

_CONNECTIONS = 32


class _Connection(asyncio.Protocol):
    def __init__(self, request: bytes, end: float, done: asyncio.Event) -> None:
        self.answered = 0
        self.body = b""  # of the newest answer
        self.failed: str = ""
        self._request = request
        self._end = end
        self._done = done
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found or not _complete(head, rest):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.failed = (head + rest)[:300].decode(errors="replace")
            self._transport.close()
            return
        self._buffer = b""
        self.body = rest
        self.answered += 1
        if time.monotonic() < self._end:
            self._transport.write(self._request)
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._done.set()


def _complete(head: bytes, body: bytes) -> bool:
    if b"transfer-encoding: chunked" in head.lower():
        return body.endswith(b"\r\n0\r\n\r\n")
    return len(body) >= content_length(head)


def content_length(head: bytes) -> int:
    """Return how many bytes follow the head of an answer."""
    lowered = head.lower()
    start = lowered.index(b"content-length:") + len(b"content-length:")
    end = lowered.find(b"\r\n", start)
    return int(lowered[start : end if end > 0 else None])


async def _drive(
    address: str, request: bytes, seconds: float, connecting: int
) -> list[tuple[bytes, int]]:
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    end = time.monotonic() + seconds
    connections: list[tuple[_Connection, asyncio.Event]] = []
    for _ in range(connecting):
        done = asyncio.Event()
        connection = _Connection(request, end, done)
        await loop.create_connection(partial(_itself, connection), host, int(port))
        connections.append((connection, done))
    for connection, done in connections:
        async with asyncio.timeout(seconds + 30):
            await done.wait()
        if connection.failed:
            raise SystemExit(f"{address} answered {connection.failed}")
    return [(connection.body, connection.answered) for connection, _ in connections]


def _itself(connection: _Connection) -> _Connection:
    return connection


def drive(address: str, request: bytes, seconds: float) -> int:
    """Send one request again and again and return how many answers came."""
    told = tally(address, request, seconds, connections=_CONNECTIONS)
    return sum(answers for _, answers in told)


def tally(
    address: str, request: bytes, seconds: float, *, connections: int
) -> list[tuple[bytes, int]]:
    """Send one request again and again; return each connection's last body, and its answers."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_drive(address, request, seconds, connections))
