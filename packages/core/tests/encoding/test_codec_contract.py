"""The contract of codecs, for each one that comes with Kratos."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Value

from kratos.encoding import DEFAULT, Codec, CodecError
from kratos.encoding.proto import ProtoCodec
from kratos.testing.codec_contract import CodecContract

DEEP = 10_000


def builtin(name: str) -> Codec:
    codec = DEFAULT.get(name)
    assert codec is not None
    return codec


def nested_wire() -> bytes:
    """Return the wire form of a list in a list, and so on."""
    data = Value(bool_value=True).SerializeToString()
    for _ in range(DEEP):
        data = b"\x0a" + varint(len(data)) + data  # ListValue.values
        data = b"\x32" + varint(len(data)) + data  # Value.list_value
    return data


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class TestJson(CodecContract):
    bad = (b"{", b"[]", b'{"number": "x"}', b'{"name": 1}', b'{"packed": 7}', b'{"name": "\xff"}')
    deep = b"[" * DEEP + b"]" * DEEP

    @pytest.fixture(params=["json", "protojson"])
    def codec(self, request: pytest.FixtureRequest) -> Codec:
        return builtin(request.param)


class TestProto(CodecContract):
    bad = (b"\xff", b"\x0a\xff", b"\x08", b"\x22\x05ab", b"\x07\x07")
    deep = nested_wire()

    @pytest.fixture
    def codec(self) -> Codec:
        return builtin("proto")


class TestYaml(CodecContract):
    bad = (b"{", b"- 1", b"number: x", b"packed: 7", b"name: \xff", b"a: &a [*a]")
    deep = b"[" * DEEP + b"]" * DEEP
    largest = 1 << 16

    @pytest.fixture
    def codec(self) -> Codec:
        return builtin("yaml")


class TestXml(CodecContract):
    bad = (b"<a>", b"no xml", b"<Field><number>x</number></Field>", b"<!DOCTYPE a><a/>")
    deep = b"<a>" * DEEP + b"</a>" * DEEP

    @pytest.fixture
    def codec(self) -> Codec:
        return builtin("xml")


class TestForm(CodecContract):
    bad = (b"number=x", b"packed=maybe", b"name=%ff", b"cardinality=NO_SUCH_NAME")
    nests = False

    @pytest.fixture
    def codec(self) -> Codec:
        return builtin("x-www-form-urlencoded")


class Broken(ProtoCodec):
    """Does one thing wrong."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault

    def encode(self, message: Any, /) -> bytes:
        if self.fault == "changes the message":
            message.name = "changed"
        return super().encode(message)

    def decode(self, data: bytes, message_type: Any, /) -> Any:
        try:
            found = super().decode(data, message_type)
        except CodecError as error:
            if self.fault == "lets other errors out":
                raise DecodeError from error
            if self.fault == "quotes everything":
                raise CodecError(f"no message: {data!r}") from error
            raise
        if self.fault == "loses a field":
            found.ClearField(found.DESCRIPTOR.fields[3].name)
        return found


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ("changes the message", "test_message_is_not_changed_by_being_encoded"),
        ("loses a field", "test_large_text_comes_back_as_it_was"),
        ("lets other errors out", "test_malformed_data_is_refused"),
        ("quotes everything", "test_error_quotes_little_of_what_was_sent"),
    ],
)
def test_contract_finds_what_is_wrong(fault: str, test: str) -> None:
    with pytest.raises((AssertionError, DecodeError)):
        getattr(TestProto(), test)(codec=Broken(fault))
