"""Options of protobuf's own options, read whether or not their extensions are known here.

Generated code need not import the definitions of rules: in the options of its descriptors they
are unknown fields then. The bytes are the same either way.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.message import Message

__all__ = ["has_modern", "modern_pattern"]

_MODERN: Final = b"\xba\x48"  # number 1159, bytes of some length


def has_modern(options: Message) -> bool:
    """Tell whether options hold rules of ``buf.validate``.

    It may be wrong about options that happen to contain the bytes of its tag, so ``True`` says
    no more than that it is worth looking.
    """
    return _MODERN in options.SerializeToString()


def modern_pattern(pattern: str) -> bytes:
    """Return options with a pattern for texts as the only rule of ``buf.validate``."""
    text = pattern.encode()
    rules = b"\x32" + _length(text) + text  # field 6 of the rules of texts
    field = b"\x72" + _length(rules) + rules  # and they are field 14 of those of a field
    return _MODERN + _length(field) + field


def _length(data: bytes) -> bytes:
    """Return the length of data as protobuf writes it: seven bits at a time, the lowest first."""
    left, written = len(data), bytearray()
    while left > 0x7F:
        written.append(left & 0x7F | 0x80)
        left >>= 7
    written.append(left)
    return bytes(written)
