"""Heads that a connection sent before, but for their first lines.

A client's requests mostly differ in the request line alone. What the parser and the checks made
of the lines after it is kept with their bytes, so the next time nothing is parsed. Whatever is
not the rule is for the parser: bodies that came in parts, pipelines, old versions, odd targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kratos.transport.http import Head

__all__ = ["Known", "KnownHeads"]

_METHODS: Final = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
}
_VERSION: Final = b"HTTP/1.1"
_IN_TARGETS: Final = bytes(sorted(set(range(0x21, 0x7F)) - set(b"#")))
_KEPT: Final = 4  # per connection, which also holds the memory of idle ones low
_LONGEST: Final = 1024
_PATIENCE: Final = 16  # heads in a row of which none came again: each has a trace of its own


@dataclass(frozen=True, slots=True)
class Known:
    """What became of the lines after a request line.

    Attributes:
        headers: Lower-case names and values.
        length: Bytes of the body.
    """

    headers: tuple[tuple[bytes, bytes], ...]
    length: int


class KnownHeads:
    """The heads of one connection.

    Args:
        longest: Bytes of the longest head that is accepted.
    """

    __slots__ = ("_blocks", "_longest", "_vain")

    def __init__(self, *, longest: int) -> None:
        self._blocks: dict[bytes, Known] = {}
        self._longest = longest
        self._vain = 0  # heads kept since one was recognised

    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self._blocks)

    def learn(self, data: bytes, head: Head, length: int) -> None:
        """Keep what was made of a request that ``data`` begins with.

        Args:
            data: Bytes as they came.
            head: What they mean, under HTTP/1.1, on a connection that stays.
            length: Bytes of the body, not in chunks.
        """
        if self._vain == _PATIENCE:
            return
        start, end = data.find(b"\r\n"), data.find(b"\r\n\r\n")
        block = data[start:end]
        # A parser that ends lines in any other way saw other lines than these.
        ends = block.count(b"\r\n"), block.count(b"\n"), block.count(b"\r")
        if len(block) > _LONGEST or ends != (len(head.headers),) * 3:
            return
        if not data.startswith(head.method.encode() + b" "):
            return  # empty lines came first
        self._vain += 1
        if len(self._blocks) == _KEPT or self._vain == _PATIENCE:
            self._blocks.clear()
        if self._vain < _PATIENCE:
            self._blocks[block] = Known(tuple(head.headers), length)

    def recognise(self, data: bytes) -> tuple[Head, bytes] | None:
        """Return head and body if ``data`` is one whole request with lines that are known."""
        if not self._blocks:
            return None
        start = data.find(b"\r\n")
        end = data.find(b"\r\n\r\n", start)
        if end < 0:
            return None  # data[start:-1] may be lines that are known, of a head that goes on
        known = self._blocks.get(data[start:end])
        if known is None or end + 4 + known.length != len(data) or end > self._longest:
            return None
        parts = data[:start].split(b" ")
        if len(parts) != 3 or parts[2] != _VERSION:
            return None
        method, target = _METHODS.get(parts[0]), parts[1]
        if method is None or target[:1] != b"/" or target.translate(None, _IN_TARGETS):
            return None
        self._vain = 0
        path, _, query = target.partition(b"?")
        return Head(method, path, query, list(known.headers)), data[end + 4 :]
