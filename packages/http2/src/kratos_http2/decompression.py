"""Decoding of header blocks (RFC 7541) in time that grows with their size alone.

The library's decoder copies the rest of the block for each literal and writes lines for a log that
nobody reads, which is 30 µs for a request whose deadline is another one each time. Its tables are
used here, its loop is not.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from hpack.table import HeaderTable

from kratos_http2.errors import ErrorCode, Http2Error
from kratos_http2.huffman import decode_huffman

__all__ = ["DEFAULT_TABLE", "OVERHEAD", "Field", "HpackDecoder"]

Field = tuple[bytes, bytes]
"""Name and value."""

DEFAULT_TABLE: Final = 4096
OVERHEAD: Final = 32  # bytes that each field counts besides its own (RFC 7541, 4.1)

_CUT_OFF: Final = "a string is cut off"
_LARGEST: Final = 1 << 32  # integers above are nonsense
_STATIC: Final = ((b"", b""), *HeaderTable.STATIC_TABLE)  # from 1 on
_FIRST: Final = len(_STATIC)  # index of the newest field of the dynamic table


class HpackDecoder:
    """Decodes the header blocks that one peer sends, in their order.

    Args:
        table: Bytes of the table that was announced to the peer.
        max_fields: Of one block.

    Attributes:
        changed: Whether the newest block has changed the table, so that the bytes of an earlier
            one may mean something else now.
    """

    __slots__ = ("_allowed", "_dynamic", "_max_fields", "_max_size", "_size", "_table", "changed")

    def __init__(self, *, table: int, max_fields: int) -> None:
        self.changed = False
        self._dynamic: deque[Field] = deque()  # the newest first
        self._size = 0
        self._max_size = DEFAULT_TABLE  # the peer says when it takes another
        self._table = table
        self._allowed = max(table, DEFAULT_TABLE)  # until the peer knows better
        self._max_fields = max_fields

    def acknowledged(self) -> None:
        """Hold the peer to the table that was announced to it, which it knows now.

        If it used more, its next block has to begin with a smaller size (RFC 7541, 4.2).
        """
        self._allowed = self._table

    def decode(self, block: bytes) -> list[Field]:
        """Return the fields of a block.

        Raises:
            Http2Error: It cannot be decoded, or has far too many fields. The connection is lost,
                since its table is not known any more.
        """
        try:
            if self._max_size > self._allowed and block[0] & 0xE0 != 0x20:
                raise ValueError("it has to begin with a smaller size of the table")
            return self._decode(block)
        except IndexError:
            raise _broken("it is cut off, or means a field that there is not") from None
        except ValueError as error:
            raise _broken(str(error)) from None

    def _decode(self, block: bytes) -> list[Field]:
        self.changed = False
        dynamic = self._dynamic
        found: list[Field] = []
        position, end = 0, len(block)
        while position < end:
            first = block[position]
            if first & 0x80:  # an indexed field
                place = first & 0x7F
                position += 1
                if place == 0x7F:
                    place, position = _long_integer(block, position, place)
                if place >= _FIRST:
                    found.append(dynamic[place - _FIRST])
                elif place:
                    found.append(_STATIC[place])
                else:
                    raise ValueError("index 0 is none")
            elif first & 0x40:  # a literal that is added to the table
                field, position = self._literal(block, position, 0x3F)
                self._add(field)
                found.append(field)
            elif first & 0x20:  # another size of the table
                if found:
                    raise ValueError("the size of the table changes after a field")
                position = self._resize(block, position)
            else:
                field, position = self._literal(block, position, 0x0F)
                found.append(field)
        if len(found) > self._max_fields:
            raise Http2Error(
                ErrorCode.ENHANCE_YOUR_CALM,
                f"a header block has {len(found)} fields",
                limit="max_header_list",
            )
        return found

    def _literal(self, block: bytes, position: int, mask: int) -> tuple[Field, int]:
        place = block[position] & mask
        position += 1
        if place:
            if place == mask:
                place, position = _long_integer(block, position, place)
            named = _STATIC[place] if place < _FIRST else self._dynamic[place - _FIRST]
            name = named[0]
        else:
            name, position = _text(block, position)
        # Not by _text, since this is for every field that is not known.
        first = block[position]
        size = first & 0x7F
        position += 1
        if size == 0x7F:
            size, position = _long_integer(block, position, size)
        end = position + size
        if end > len(block):
            raise ValueError(_CUT_OFF)
        value = block[position:end]
        return (name, decode_huffman(value) if first & 0x80 else value), end

    def _add(self, field: Field) -> None:
        self.changed = True
        self._dynamic.appendleft(field)
        self._size += len(field[0]) + len(field[1]) + OVERHEAD
        if self._size > self._max_size:
            self._evict()

    def _evict(self) -> None:
        dynamic, size = self._dynamic, self._size
        while size > self._max_size:
            name, value = dynamic.pop()
            size -= len(name) + len(value) + OVERHEAD
        self._size = size

    def _resize(self, block: bytes, position: int) -> int:
        size = block[position] & 0x1F
        position += 1
        if size == 0x1F:
            size, position = _long_integer(block, position, size)
        if size > self._allowed:
            raise ValueError(f"a table of {size} bytes is not allowed")
        self.changed = True
        self._max_size = size
        self._evict()
        return position


def _long_integer(block: bytes, position: int, number: int) -> tuple[int, int]:
    """Read the rest of an integer whose first bits are all set (RFC 7541, 5.1)."""
    shift = 0
    while True:
        byte = block[position]
        position += 1
        number += (byte & 0x7F) << shift
        if not byte & 0x80:
            return number, position
        shift += 7
        if number > _LARGEST or shift > 56:
            raise ValueError("an integer is too large")


def _text(block: bytes, position: int) -> tuple[bytes, int]:
    """Read a string (RFC 7541, 5.2)."""
    first = block[position]
    size = first & 0x7F
    position += 1
    if size == 0x7F:
        size, position = _long_integer(block, position, size)
    end = position + size
    if end > len(block):
        raise ValueError(_CUT_OFF)
    text = block[position:end]
    return decode_huffman(text) if first & 0x80 else text, end


def _broken(why: str) -> Http2Error:
    return Http2Error(ErrorCode.COMPRESSION_ERROR, f"the header block cannot be decoded: {why}")
