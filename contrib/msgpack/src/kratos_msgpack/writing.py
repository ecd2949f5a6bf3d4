"""Writing MessagePack as Go does: numbers as wide as their type, however small they are."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import FieldDescriptor as F

__all__ = ["NIL", "SCALARS", "Out", "Write", "array", "binary", "mapping", "text"]

Out: TypeAlias = bytearray
Write: TypeAlias = Callable[[bytearray, Any], None]

NIL: Final = b"\xc0"

_U8: Final = Struct(">BB").pack
_U16: Final = Struct(">BH").pack
_U32: Final = Struct(">BI").pack


def _number(code: int, format_: str) -> Write:
    pack = Struct(">B" + format_).pack

    def write(out: Out, value: Any) -> None:
        out += pack(code, value)

    return write


def _boolean(out: Out, value: Any) -> None:
    out.append(0xC3 if value else 0xC2)


def text(out: Out, value: str) -> None:
    """Write a text."""
    data = value.encode()
    size = len(data)
    if size < 32:
        out.append(0xA0 | size)
    elif size < 0x100:
        out += _U8(0xD9, size)
    elif size < 0x10000:
        out += _U16(0xDA, size)
    else:
        out += _U32(0xDB, size)
    out += data


def binary(out: Out, value: bytes) -> None:
    """Write bytes."""
    size = len(value)
    if size < 0x100:
        out += _U8(0xC4, size)
    elif size < 0x10000:
        out += _U16(0xC5, size)
    else:
        out += _U32(0xC6, size)
    out += value


def array(out: Out, size: int) -> None:
    """Write the head of a list of so many."""
    if size < 16:
        out.append(0x90 | size)
    elif size < 0x10000:
        out += _U16(0xDC, size)
    else:
        out += _U32(0xDD, size)


def mapping(out: Out, size: int) -> None:
    """Write the head of a map of so many."""
    if size < 16:
        out.append(0x80 | size)
    elif size < 0x10000:
        out += _U16(0xDE, size)
    else:
        out += _U32(0xDF, size)


_INT32: Final = _number(0xD2, "i")
_INT64: Final = _number(0xD3, "q")
_UINT32: Final = _number(0xCE, "I")
_UINT64: Final = _number(0xCF, "Q")

SCALARS: Final[dict[int, Write]] = {
    F.TYPE_BOOL: _boolean,
    F.TYPE_BYTES: binary,
    F.TYPE_DOUBLE: _number(0xCB, "d"),
    F.TYPE_ENUM: _INT32,
    F.TYPE_FIXED32: _UINT32,
    F.TYPE_FIXED64: _UINT64,
    F.TYPE_FLOAT: _number(0xCA, "f"),
    F.TYPE_INT32: _INT32,
    F.TYPE_INT64: _INT64,
    F.TYPE_SFIXED32: _INT32,
    F.TYPE_SFIXED64: _INT64,
    F.TYPE_SINT32: _INT32,
    F.TYPE_SINT64: _INT64,
    F.TYPE_STRING: text,
    F.TYPE_UINT32: _UINT32,
    F.TYPE_UINT64: _UINT64,
}
"""What writes a value, by the type of its field."""
