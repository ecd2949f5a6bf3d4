"""The header blocks of a client's calls: what never changes is encoded once."""

from __future__ import annotations

import math
from importlib.metadata import version
from typing import Final

from kratos.transport import Call, Cause
from kratos_grpc._codings import ACCEPTED, Coding
from kratos_grpc._metadata import to_wire
from kratos_http2 import encode_fields

__all__ = ["Asking"]

_USER_AGENT: Final = b"user-agent"
_AGENT: Final = f"grpc-python-kratos/{version('kratos-grpc')}".encode()
_MOST_BLOCKS: Final = 1024

_FINE: Final = 0.1  # seconds: below, time limits are told more finely
_MOST: Final = 99_999_999  # eight digits, the most that a time limit may have


class Asking:
    """Writes the header blocks of the calls to one node.

    Time limits are told in whole milliseconds, rounded up: calls that are made with the same limit
    have the same block, which servers then read once. The client keeps to the exact limit itself.

    Args:
        authority: Of the node.
        secure: Whether it speaks TLS.
    """

    __slots__ = ("_agent", "_authority", "_blocks", "_scheme")

    def __init__(self, authority: str, *, secure: bool) -> None:
        self._authority = authority.encode()
        self._scheme = b"https" if secure else b"http"
        self._blocks: dict[tuple[str, int, Coding | None], bytes] = {}
        self._agent = encode_fields(((_USER_AGENT, _AGENT),))

    def block(self, call: Call, coding: Coding | None) -> bytes:
        """Return the header block of a call.

        Args:
            call: The call: its headers, and what is left of its time.
            coding: Of the messages that are compressed, if any may be.

        Raises:
            Error: 504: there is no time left for the call.
            ValueError: gRPC cannot carry one of the headers.
        """
        left = call.remaining()
        timeout = 0 if left is None else _timeout(left)
        key = (call.method.operation, timeout, coding)
        block = self._blocks.get(key)
        if block is None:
            block = self._new(key)
        if not call.headers:
            return block
        fields = to_wire(call.headers)
        if any(name == _USER_AGENT for name, _ in fields):
            block = block.removesuffix(self._agent)
        return block + encode_fields(fields)

    def _new(self, key: tuple[str, int, Coding | None]) -> bytes:
        operation, timeout, coding = key
        fields = [
            (b":method", b"POST"),
            (b":scheme", self._scheme),
            (b":path", operation.encode()),
            (b":authority", self._authority),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"grpc-accept-encoding", ACCEPTED),
        ]
        if timeout:
            fields.append((b"grpc-timeout", _formatted(timeout)))
        if coding is not None:
            fields.append((b"grpc-encoding", coding.name))
        if len(self._blocks) >= _MOST_BLOCKS:
            self._blocks.clear()
        block = self._blocks[key] = encode_fields(fields) + self._agent
        return block


def _timeout(left: float) -> int:
    """Return the microseconds that a server is told of.

    Raises:
        Error: 504: there is no time left.
    """
    if left >= _FINE:
        return math.ceil(left * 1e3) * 1000
    if left > 0:
        return math.ceil(left * 1e6)
    raise Cause.DEADLINE.error()


def _formatted(timeout: int) -> bytes:
    """Return a time limit as ``grpc-timeout`` has it (gRPC over HTTP/2, Timeout)."""
    if timeout % 1000:
        return b"%du" % timeout
    for unit, size in ((b"m", 1000), (b"S", 1_000_000), (b"M", 60_000_000)):
        if timeout <= _MOST * size:
            return b"%d%b" % (-(-timeout // size), unit)
    return b"%dH" % min(_MOST, -(-timeout // 3_600_000_000))
