"""MessagePack into messages and back."""

from __future__ import annotations

from typing import Final

from tests.fuzz.messages import message_types

from kratos.encoding import CodecError
from kratos_msgpack import MSGPACK

__all__ = ["SEEDS", "WORDS", "check"]

SEEDS: Final = (
    b"\x01\x83\xa6FInt32\xd2\xff\xff\xff\xff\xa7FString\xa1a\xa6FBytes\xc4\x01a",
    b"\x01\x83\xa7FDouble\xcb\x3f\xf0\0\0\0\0\0\0\xa6FFloat\xca\x7f\x80\0\0\xa5FBool\xc3",
    b"\x03\x82\xa6FInt32\xdc\0\x02\x01\xd0\xff\xa7FString\x91\xd9\x01a",
    b"\x04\x81\xacStringString\x81\xa1a\xa1b",
    b"\x06\x82\xa9Timestamp\x82\xa7Seconds\xd3\0\0\0\0\0\0\0\1\xa5Nanos\xc0\xa3Any\x80",
    b"\x06\x81\xa5Value\x81\xa4Kind\x81\xabStringValue\xa1a",
    b"\x05\x81\xa6Choice\x81\xa4Text\xa1a",
    b"\x00\x81\xa3Foo\x93\xc1\xc7\x01\x05a\xd4\1\1",
)
WORDS: Final = (
    b"\xc0", b"\xc1", b"\xc2", b"\xc4\xff", b"\xc6\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff",
    b"\xca", b"\xcf", b"\xd3", b"\xd9\xff", b"\xdc\xff\xff", b"\xdd\xff\xff\xff\xff",
    b"\xde\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xa6FInt32", b"\xa7Scalars", b"\xa5Inner",
    b"\xa4Kind", b"\x81", b"\x91",
)  # fmt: skip


def check(data: bytes) -> None:
    """Read a message or a ``CodecError``; what the message is written as reads as it."""
    kinds = message_types()
    kind = kinds[data[0] % len(kinds)] if data else kinds[0]
    try:
        message = MSGPACK.decode(data[1:], kind)
    except CodecError:
        return
    written = MSGPACK.encode(message)
    # Not the messages: NaN is not equal to itself.
    assert MSGPACK.encode(MSGPACK.decode(written, kind)) == written
