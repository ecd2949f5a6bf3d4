"""Reading MessagePack, no further than the data goes: what it says of lengths is not believed."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct, error
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import FieldDescriptor as F

from kratos.encoding import CodecError

__all__ = ["SCALARS", "BadData", "Read", "Reader"]

_NIL: Final = 0xC0
_FLOATS: Final = {0xCA: Struct(">f"), 0xCB: Struct(">d")}
_INTEGERS: Final = {
    0xCC: Struct(">B"),
    0xCD: Struct(">H"),
    0xCE: Struct(">I"),
    0xCF: Struct(">Q"),
    0xD0: Struct(">b"),
    0xD1: Struct(">h"),
    0xD2: Struct(">i"),
    0xD3: Struct(">q"),
}
# Bytes behind the code that say how long what follows is, and bytes in addition to that.
_SIZED: Final = {
    0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0),  # bytes
    0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1),  # extensions
    0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0),  # text
}  # fmt: skip
_FIXED: Final = {
    0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8,
    0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8, 0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17,
}  # fmt: skip
_MANY: Final = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}  # lists, maps
_TEXTS: Final = frozenset({0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB})
_LARGEST: Final = Struct(">f").unpack(b"\x7f\x7f\xff\xff")[0]


class BadData(Exception):
    """What is wrong, and where: the names and positions that lead there, the innermost first."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path: list[str] = []

    def told(self) -> CodecError:
        """Return the error of a codec."""
        field = "".join(reversed(self.path)).lstrip(".")
        return CodecError(f"{field}: {self.problem}" if field else self.problem, field)


class Reader:
    """Values of MessagePack, one after the other.

    Each method raises ``BadData``.

    Args:
        data: All of it.

    Attributes:
        at: The byte at which the next value begins.
        size: How many bytes there are.
    """

    __slots__ = ("at", "data", "size")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.size = len(data)

    def is_nil(self) -> bool:
        """Tell whether nil is next, and then leave it behind."""
        if self._code() != _NIL:
            return False
        self.at += 1
        return True

    def passes(self, head: bytes) -> bool:
        """Tell whether these bytes are next, and then leave them behind."""
        if not self.data.startswith(head, self.at):
            return False
        self.at += len(head)
        return True

    def integer(self) -> int:
        """Return an integer; nil is 0."""
        code = self._code()
        if code < 0x80:
            self.at += 1
            return code
        if code >= 0xE0:
            self.at += 1
            return code - 0x100
        if code == _NIL:
            self.at += 1
            return 0
        return int(self._unpacked(_INTEGERS, code, "an integer"))

    def number(self) -> float:
        """Return a float; an integer, or nil for 0, will do."""
        code = self._code()
        if code in _FLOATS:
            return float(self._unpacked(_FLOATS, code, "a number"))
        try:
            return float(self.integer())
        except BadData:
            raise self._unexpected("a number", code) from None

    def boolean(self) -> bool:
        """Return a boolean; nil is false."""
        code = self._code()
        if code not in (0xC0, 0xC2, 0xC3):
            raise self._unexpected("a boolean", code)
        self.at += 1
        return code == 0xC3

    def binary(self) -> bytes:
        """Return bytes, or those of a text; nil is none."""
        code = self._code()
        if 0xA0 <= code < 0xC0:
            start = self.at + 1
            end = start + (code & 0x1F)
            if end > self.size:
                raise self._ended()
            self.at = end
            return self.data[start:end]
        if code in _TEXTS:
            width, _ = _SIZED[code]
            return self._bytes(1 + width, self._length(width))
        if code == _NIL:
            self.at += 1
            return b""
        raise self._unexpected("text or bytes", code)

    def text(self) -> str:
        """Return a text, or bytes that are one; nil is empty."""
        data = self.binary()
        try:
            return data.decode()
        except UnicodeDecodeError as problem:
            raise BadData(f"byte {problem.start} of the text is not UTF-8") from None

    def members(self) -> int:
        """Return how many members the map has that is next; nil has none."""
        return self._many("a map", 0x80, (0xDE, 0xDF), least=2)

    def items(self) -> int:
        """Return how many items the list has that is next; nil has none."""
        return self._many("a list", 0x90, (0xDC, 0xDD), least=1)

    def skip(self) -> None:
        """Leave one value behind, whatever it is."""
        left = 1
        while left:
            if left > self.size - self.at:
                raise self._ended()
            code = self._code()
            left -= 1
            if code < 0x80 or code >= 0xE0:
                self.at += 1
            elif code < 0x90:
                self.at += 1
                left += 2 * (code & 0xF)
            elif code < 0xA0:
                self.at += 1
                left += code & 0xF
            elif code < 0xC0:
                self._bytes(1, code & 0x1F)
            elif code in _FIXED:
                self._bytes(1, _FIXED[code])
            elif code in _SIZED:
                width, more = _SIZED[code]
                self._bytes(1 + width, self._length(width) + more)
            elif code in _MANY:
                width, each = _MANY[code]
                left += each * self._length(width)
                self.at += 1 + width
            else:
                raise self._unexpected("a value", code)

    def _code(self) -> int:
        try:
            return self.data[self.at]
        except IndexError:
            raise self._ended() from None

    def _length(self, width: int) -> int:
        start = self.at + 1
        if start + width > self.size:
            raise self._ended()
        return int.from_bytes(self.data[start : start + width], "big")

    def _bytes(self, head: int, size: int) -> bytes:
        start = self.at + head
        end = start + size
        if end > self.size:
            raise self._ended()
        self.at = end
        return self.data[start:end]

    def _many(self, kind: str, few: int, codes: tuple[int, int], *, least: int) -> int:
        code = self._code()
        if few <= code < few + 16:
            self.at += 1
            size = code & 0xF
        elif code in codes:
            width, _ = _MANY[code]
            size = self._length(width)
            self.at += 1 + width
        elif code == _NIL:
            self.at += 1
            return 0
        else:
            raise self._unexpected(kind, code)
        if size * least > self.size - self.at:
            raise self._ended()
        return size

    def _unpacked(self, formats: dict[int, Struct], code: int, kind: str) -> Any:
        form = formats.get(code)
        if form is None:
            raise self._unexpected(kind, code)
        try:
            (value,) = form.unpack_from(self.data, self.at + 1)
        except error:
            raise self._ended() from None
        self.at += 1 + form.size
        return value

    def _unexpected(self, kind: str, code: int) -> BadData:
        return BadData(f"byte {self.at} is 0x{code:02x}, where {kind} should begin")

    def _ended(self) -> BadData:
        return BadData(f"the data ends at byte {self.size}, within a value")


Read: TypeAlias = Callable[[Reader], Any]


def _integer(kind: str, code: int) -> Read:
    """Return what reads integers of a kind, most quickly as Go writes them: in full width."""
    form = _INTEGERS[code]
    unpack, size = form.unpack_from, 1 + form.size
    bits = 8 * form.size
    least, most = (0, 2**bits - 1) if kind[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    def read(reader: Reader) -> int:
        at = reader.at
        if reader.size - at >= size and reader.data[at] == code:
            reader.at = at + size
            number: int = unpack(reader.data, at + 1)[0]
            return number
        value = reader.integer()
        if not least <= value <= most:
            raise BadData(f"{value} is out of the range of {kind}")
        return value

    return read


def _float(reader: Reader) -> float:
    value = reader.number()
    if abs(value) > _LARGEST and value - value == 0:
        raise BadData(f"{value} is out of the range of float")
    return value


_INT32: Final = _integer("int32", 0xD2)
_INT64: Final = _integer("int64", 0xD3)
_UINT32: Final = _integer("uint32", 0xCE)
_UINT64: Final = _integer("uint64", 0xCF)

SCALARS: Final[dict[int, Read]] = {
    F.TYPE_BOOL: Reader.boolean,
    F.TYPE_BYTES: Reader.binary,
    F.TYPE_DOUBLE: Reader.number,
    F.TYPE_ENUM: _INT32,
    F.TYPE_FIXED32: _UINT32,
    F.TYPE_FIXED64: _UINT64,
    F.TYPE_FLOAT: _float,
    F.TYPE_INT32: _INT32,
    F.TYPE_INT64: _INT64,
    F.TYPE_SFIXED32: _INT32,
    F.TYPE_SFIXED64: _INT64,
    F.TYPE_SINT32: _INT32,
    F.TYPE_SINT64: _INT64,
    F.TYPE_STRING: Reader.text,
    F.TYPE_UINT32: _UINT32,
    F.TYPE_UINT64: _UINT64,
}
"""What reads a value, by the type of its field."""
