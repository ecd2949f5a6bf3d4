"""Huffman-coded strings of HPACK (RFC 7541, 5.2), a byte at a time.

The library's table goes by half bytes. What a whole byte does in a state is found out from it when
it is needed first, and remembered: a client's strings are of few characters.
"""

from __future__ import annotations

from typing import Final

from hpack.huffman_table import HUFFMAN_TABLE

__all__ = ["decode_huffman"]

_COMPLETE: Final = 1  # flags of the library's table
_EMIT: Final = 2
_FAIL: Final = 4

_Step = tuple[int, bytes]
_steps: list[_Step | None] = [None] * (256 * 256)  # by state and byte


def decode_huffman(text: bytes) -> bytes:
    """Return what a string says.

    Raises:
        ValueError: It says nothing, or is cut off.
    """
    state = 0
    found: list[bytes] = []
    for byte in text:
        state, some = _steps[state | byte] or _made(state | byte)
        found.append(some)
    if not _may_end(state):
        raise ValueError("a Huffman-coded string is cut off")
    return b"".join(found)


def _made(key: int) -> _Step:
    """Take a byte in a state, which are the low and the high bits of the key."""
    state = key >> 8
    found = bytearray()
    for half in (key >> 4 & 0xF, key & 0xF):
        state, flags, symbol = HUFFMAN_TABLE[state << 4 | half]
        if flags & _FAIL:
            raise ValueError("a Huffman-coded string has a code that there is not")
        if flags & _EMIT:
            found.append(symbol)
    step = _steps[key] = (state << 8, bytes(found))
    return step


def _endings() -> frozenset[int]:
    """Return the states in which a string may end: after a symbol and its padding."""
    ends = {state << 8 for state, flags, _ in HUFFMAN_TABLE if flags & _COMPLETE}
    return frozenset((0, *ends))


_may_end: Final = _endings().__contains__
