"""What the codec refuses, and how it tells; input that is meant to do harm."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from google.protobuf.struct_pb2 import ListValue, Struct
from google.protobuf.type_pb2 import Enum, EnumValue, Field, Type
from google.protobuf.wrappers_pb2 import FloatValue, StringValue

from kratos.encoding import CodecError, get
from kratos_msgpack import MSGPACK, MsgpackCodec

NAME = b"\xa4Name"
MEGABYTE = 1 << 20


def test_codec_is_found_by_its_name() -> None:
    assert get("msgpack") is MSGPACK


def test_codec_may_have_another_name() -> None:
    assert MsgpackCodec(name="vnd.msgpack").name == "vnd.msgpack"


@pytest.mark.parametrize(
    ("data", "field", "message"),
    [
        (b"\x81" + NAME + b"\x01", "Name", "byte 6 is 0x01, where text or bytes should begin"),
        (b"\x81\xa9Enumvalue\x92\xc0\x81\xa6Number\xc2", "Enumvalue[1].Number", "an integer"),
        (b"\x81\xa9Enumvalue\x91\x81\xa6Number\xcf" + b"\xff" * 8, "Enumvalue[0].Number", "range"),
        (b"\x82" + NAME + b"\xa1a" + NAME + b"\xa1b", "Name", "given twice"),
        (b"\x81" + NAME + b"\xa2\xffa", "Name", "byte 0 of the text is not UTF-8"),
        (b"\x81" + NAME, "Name", "ends at byte 6, within a value"),
        (b"\x80\x80", "", "1 bytes follow"),
        (b"\xc1", "", "0xc1, where a map should begin"),
        (b"\x81\xa3Foo\xc1", "", "0xc1, where a value should begin"),
    ],
)
def test_error_says_what_is_wrong_and_where(data: bytes, field: str, message: str) -> None:
    with pytest.raises(CodecError, match=message) as refusal:
        MSGPACK.decode(data, Enum)
    assert refusal.value.field == field
    assert str(refusal.value).startswith(field)


def test_key_of_a_map_is_told_by_its_place() -> None:
    data = b"\x81\xa6Fields\x81\xa1a\x81\xa4Kind\x81\xabStringValue\x01"
    with pytest.raises(CodecError) as refusal:
        MSGPACK.decode(data, Struct)
    assert refusal.value.field == 'Fields["a"].Kind.StringValue'


def test_two_fields_of_a_oneof_are_refused() -> None:
    data = b"\x81\xa6Values\x91\x81\xa4Kind\x82\xa9BoolValue\xc3\xabStringValue\xa1a"
    with pytest.raises(CodecError, match="only one of its fields"):
        MSGPACK.decode(data, ListValue)


def test_float_takes_doubles_of_its_range_and_no_others() -> None:
    head = b"\x81\xa5Value"
    assert MSGPACK.decode(head + b"\xcb\x3f\xe0" + b"\0" * 6, FloatValue).value == 0.5
    assert MSGPACK.decode(head + b"\x05", FloatValue).value == 5
    with pytest.raises(CodecError, match="out of the range of float"):
        MSGPACK.decode(head + b"\xcb\x7e\xf0" + b"\0" * 6, FloatValue)


def test_field_that_is_not_there_is_refused() -> None:
    with pytest.raises(CodecError, match="has no field 'nobody'"):
        MSGPACK.encode_field(Field(), "nobody")
    with pytest.raises(CodecError, match="has no field 'nobody'"):
        MSGPACK.decode_field(b"\xc0", Field(), "nobody")


def test_list_by_itself_comes_back() -> None:
    message = Enum(enumvalue=[EnumValue(name="a"), EnumValue(number=1)])
    copy = Enum()
    MSGPACK.decode_field(MSGPACK.encode_field(message, "enumvalue"), copy, "enumvalue")
    assert copy == message


@pytest.mark.parametrize(
    "data",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\x81\xa6Fields\xdd\xff\xff\xff\xff",
        b"\x81\xa7Options\xdd\x7f\xff\xff\xff",
        b"\x81\xa3Foo\xc6\xff\xff\xff\xff",
        b"\x81\xa3Foo" + b"\xdd\x7f\xff\xff\xff" * 1000,
        b"\x81\xa3Foo" + b"\xdf\xff\xff\xff\xff" * 1000,
        b"\x81\xc6\xff\xff\xff\xff",
    ],
)
def test_length_that_is_not_there_costs_no_memory(data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(CodecError):
            MSGPACK.decode(data, Type)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEGABYTE


@pytest.mark.parametrize("code", [b"\x91", b"\x81\xc0", b"\xdd\0\0\0\1"])
def test_unknown_member_may_be_nested_as_deep_as_it_likes(code: bytes) -> None:
    deep = code * (MEGABYTE // len(code)) + b"\xc0"

    assert MSGPACK.decode(b"\x82\xa3Foo" + deep + NAME + b"\xa1a", Type) == Type(name="a")


def test_megabyte_of_members_takes_time_that_grows_with_its_length_alone() -> None:
    def took(size: int) -> float:
        data = b"\x81\xa9Enumvalue\xdd" + size.to_bytes(4, "big") + b"\x80" * size
        begin = time.process_time()
        assert len(MSGPACK.decode(data, Enum).enumvalue) == size
        return time.process_time() - begin

    assert took(80_000) < 40 * took(10_000) + 0.1


def test_text_of_any_length_comes_back() -> None:
    for size in (0, 31, 32, 255, 256, 65_535, 65_536):
        message = StringValue(value="x" * size)
        assert MSGPACK.decode(MSGPACK.encode(message), StringValue) == message
