"""Header blocks, one after another with one table, against the decoder of the hpack library."""

from __future__ import annotations

from typing import Final

from hpack import Decoder, HPACKError

from kratos_http2 import ErrorCode, HeaderBlock, Http2Error, encode_fields
from kratos_http2.header_blocks import HeaderReader

__all__ = ["SEEDS", "WORDS", "check"]

_CALL: Final = (
    b"\x83\x86\x44\x02/a\x41\x01h\x5f\x8b\x1d\x75\xd0\x62\x0d\x26\x3d\x4c\x4d\x65\x64"
    b"\x40\x0cgrpc-timeout\x0299"
)
_AGAIN: Final = b"\x83\x86\xc0\xbf\xbe\x7e\x0298"
_PLAIN: Final = encode_fields([(b":method", b"GET"), (b"content-length", b"3"), (b"x", b"y")])
_LIST: Final = 4096

SEEDS: Final = (
    bytes((len(_CALL),)) + _CALL + bytes((len(_AGAIN),)) + _AGAIN + b"\x03\x83\x86\xbe",
    bytes((len(_PLAIN),)) + _PLAIN + bytes((len(_PLAIN),)) + _PLAIN,
    b"\x07\x20\x3f\xe1\x1f\x40\x01a\x06\x10\x01a\x01b\x82\x84",
)
WORDS: Final = (
    _CALL, _AGAIN, b"\x82", b"\xbe", b"\xbf", b"\xff\x00", b"\x40\x01a\x01b", b"\x20",
    b"\x3f\xe1\x1f",
    b"\x0f\x0d\x013", b"\x7f", b"\x80", b"\x7f\x80\x80\x01", b"\x81\xff",
)  # fmt: skip


def check(data: bytes) -> None:
    """Read blocks: the same fields or the same refusal, remembered or not."""
    library, reader = Decoder(), HeaderReader(request=True, max_list=_LIST, table=4096)
    library.max_header_list_size = 1 << 30
    while data:
        block, data = data[1 : 1 + data[0]], data[1 + data[0] :]
        expected = _expected(library, block)
        found = _read(reader, block)
        if isinstance(found, Http2Error):
            _require_reason(found, expected)
            return  # the table is not known any more
        assert expected is not None, "the library refuses it"
        _require_same(found, HeaderBlock(expected, request=True))
        if not _adds(block):
            assert reader.read(block).fields == found.fields


def _read(reader: HeaderReader, block: bytes) -> HeaderBlock | Http2Error:
    try:
        return reader.read(block)
    except Http2Error as error:
        return error


def _require_reason(error: Http2Error, expected: list[tuple[bytes, bytes]] | None) -> None:
    if expected is None:
        assert error.code is ErrorCode.COMPRESSION_ERROR
    else:
        assert error.limit == "max_header_list"
        assert HeaderBlock(expected, request=True).size > 4 * _LIST


def _expected(library: Decoder, block: bytes) -> list[tuple[bytes, bytes]] | None:
    try:
        return [(bytes(name), bytes(value)) for name, value in library.decode(block, raw=True)]
    except (HPACKError, IndexError, ValueError):
        return None


def _adds(block: bytes) -> bool:
    """Tell whether a block may change the table, going by its bytes alone."""
    return any(byte & 0xC0 == 0x40 or byte & 0xE0 == 0x20 for byte in block)


def _require_same(found: HeaderBlock, fresh: HeaderBlock) -> None:
    for name in ("fields", "pseudo", "path", "content_length", "size"):
        assert getattr(found, name) == getattr(fresh, name), name
    for name in ("problem", "opening_problem", "trailers_problem"):
        assert bool(getattr(found, name)) == bool(getattr(fresh, name)), name
    if fresh.opening_problem == "":
        assert found.base.opening_problem == ""
        assert set(found.fields) == {*found.base.fields, *found.varying}
