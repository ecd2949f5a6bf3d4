"""Unary calls by many connections, prepared byte for byte.

What is measured shares its cores with what asks. So this asks with next to nothing: each call of a
connection sends the same bytes but for the number of its stream, and of the answer only the frames
are looked at.
"""

from __future__ import annotations

import selectors
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from typing import Final

__all__ = ["tally"]

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_ACK = _END_STREAM = 1
_END_HEADERS: Final = 4
_HEAD: Final = 9
_WIDE: Final = struct.pack(">I", 2**31 - 1 - 65_535)  # what the whole connection may receive


def tally(
    address: str, path: str, request: bytes, seconds: float, *, connections: int
) -> Counter[bytes]:
    """Return how many calls were answered, by the last word of the answer."""
    end = time.monotonic() + seconds
    answers: Counter[bytes] = Counter()
    callers = [_Caller(address, path, request) for _ in range(connections)]
    with selectors.DefaultSelector() as ready:
        for caller in callers:
            ready.register(caller.socket, selectors.EVENT_READ, caller)
        while time.monotonic() < end:
            for key, _ in ready.select(1.0):
                word = key.data.receive()
                if word is not None:
                    answers[word] += 1
                    key.data.ask()
    for caller in callers:
        caller.socket.close()
    return answers


class _Caller:
    """One connection with one call at a time."""

    def __init__(self, address: str, path: str, request: bytes) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._block = _header_block(path, address)
        self._message = struct.pack(">BI", 0, len(request)) + request
        self._stream = -1
        self._buffer = b""
        self._word = b""
        first = _frame(_SETTINGS, 0, 0, b"") + _frame(_WINDOW, 0, 0, _WIDE)
        self.socket.sendall(_PREFACE + first)
        self.ask()

    def ask(self) -> None:
        self._stream += 2
        head = _frame(_HEADERS, _END_HEADERS, self._stream, self._block)
        self.socket.sendall(head + _frame(_DATA, _END_STREAM, self._stream, self._message))

    def receive(self) -> bytes | None:
        """Take what came; return the last word of the answer once it is whole."""
        came = self.socket.recv(65_536)
        if not came:
            raise ConnectionError("the server closed the connection")
        word = None
        for kind, flags, payload in self._frames(came):
            if kind == _DATA:
                self._word = payload.rpartition(b" ")[2]
            elif kind == _HEADERS and flags & _END_STREAM:
                word = self._word
            elif kind in (_SETTINGS, _PING) and not flags & _ACK:
                answer = payload if kind == _PING else b""
                self.socket.sendall(_frame(kind, _ACK, 0, answer))
            elif kind in (_RESET, _GOAWAY):
                raise ConnectionError(f"the server ended it: {payload!r}")
        return word

    def _frames(self, came: bytes) -> Iterator[tuple[int, int, bytes]]:
        buffer = self._buffer + came
        at = 0
        while len(buffer) - at >= _HEAD:
            size = int.from_bytes(buffer[at : at + 3])
            if len(buffer) - at < _HEAD + size:
                break
            yield buffer[at + 3], buffer[at + 4], buffer[at + _HEAD : at + _HEAD + size]
            at += _HEAD + size
        self._buffer = buffer[at:]


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


def _header_block(path: str, authority: str) -> bytes:
    headers = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", authority.encode()),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    )
    # Literals that nobody has to remember (RFC 7541, 6.2.2).
    return b"".join(
        bytes([0, len(name)]) + name + bytes([len(value)]) + value for name, value in headers
    )
