"""What every codec has to show, whatever its format.

Subclass ``CodecContract`` in a test module and give it a fixture ``codec``. Needs pytest and
hypothesis.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import pytest
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Value
from google.protobuf.type_pb2 import Enum, EnumValue, Field
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kratos.encoding import Codec, CodecError, FieldCodec
from kratos.errors import ConfigError

__all__ = ["CodecContract"]

_MEGABYTE: Final = 1 << 20
_DEEP: Final = 10_000
_INT32: Final = st.integers(-(2**31), 2**31 - 1)
_TEXT: Final = st.text(max_size=20)

_FLAT: Final = st.builds(
    Field,
    kind=st.integers(0, 18),
    cardinality=st.integers(0, 3),
    number=_INT32,
    name=_TEXT,
    type_url=_TEXT,
    oneof_index=_INT32,
    packed=st.booleans(),
    json_name=_TEXT,
    default_value=_TEXT,
)
_NESTED: Final = st.builds(
    Enum,
    name=_TEXT,
    enumvalue=st.lists(st.builds(EnumValue, name=_TEXT, number=_INT32), max_size=4),
    edition=_TEXT,
)
# The fixture makes what keeps no state, and one test serves all codecs that subclass the suite.
_relaxed: Final = settings(
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


class CodecContract:
    """What a codec has to show. Provide a fixture ``codec``.

    Attributes:
        bad: Data that is malformed as a message of ``google.protobuf.Field``.
        deep: Data that nests a ``google.protobuf.Value`` ten thousand times; empty for a format
            that cannot nest.
        nests: Whether the format carries lists of messages.
        largest: Bytes of text that it carries at least.
        limit: Characters that an error says at most.
    """

    bad: ClassVar[Sequence[bytes]] = ()
    deep: ClassVar[bytes] = b""
    nests: ClassVar[bool] = True
    largest: ClassVar[int] = 1 << 20
    limit: ClassVar[int] = 500

    def test_name_is_that_of_a_content_type(self, codec: Codec) -> None:
        assert re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", codec.name)

    # --- round trips

    @given(message=_FLAT)
    @_relaxed
    def test_message_comes_back_as_it_was(self, codec: Codec, message: Field) -> None:
        data = _encoded(codec, message)
        assert codec.decode(data, Field) == message

    @given(message=_NESTED)
    @_relaxed
    def test_nested_message_comes_back_as_it_was(self, codec: Codec, message: Enum) -> None:
        if not self.nests and message.enumvalue:
            with pytest.raises(CodecError):
                codec.encode(message)
            return
        data = _encoded(codec, message)
        assert codec.decode(data, Enum) == message

    @given(message=_FLAT)
    @_relaxed
    def test_field_comes_back_as_it_was(self, codec: Codec, message: Field) -> None:
        if not isinstance(codec, FieldCodec):
            return
        _encoded(codec, message)  # leaves out what the format cannot express
        for field in Field.DESCRIPTOR.fields:
            if field.message_type is None:
                copy = Field()
                codec.decode_field(codec.encode_field(message, field.name), copy, field.name)
                assert getattr(copy, field.name) == getattr(message, field.name)

    def test_empty_data_is_an_empty_message(self, codec: Codec) -> None:
        assert codec.decode(b"", Field) == Field()

    def test_large_text_comes_back_as_it_was(self, codec: Codec) -> None:
        message = Field(name="ä" * (self.largest // 2))
        assert codec.decode(codec.encode(message), Field) == message

    # --- no state

    @given(message=_FLAT)
    @_relaxed
    def test_equal_messages_are_equal_bytes(self, codec: Codec, message: Field) -> None:
        copy = Field.FromString(message.SerializeToString())
        assert _encoded(codec, message) == codec.encode(copy) == codec.encode(message)

    @given(message=_FLAT)
    @_relaxed
    def test_message_is_not_changed_by_being_encoded(self, codec: Codec, message: Field) -> None:
        before = message.SerializeToString(deterministic=True)
        _encoded(codec, message)
        assert message.SerializeToString(deterministic=True) == before

    def test_each_message_is_a_new_one(self, codec: Codec) -> None:
        data = codec.encode(Field(name="one"))
        first, second = codec.decode(data, Field), codec.decode(data, Field)
        first.name = "changed"
        assert second.name == "one"

    def test_error_leaves_nothing_behind(self, codec: Codec) -> None:
        for data in self.bad:
            with pytest.raises(CodecError):
                codec.decode(data, Field)
            assert codec.decode(codec.encode(Field(name="one")), Field) == Field(name="one")

    # --- bad input

    def test_malformed_data_is_refused(self, codec: Codec) -> None:
        if not self.bad:
            raise ConfigError("a codec's tests need data that is malformed, in the attribute bad")
        for data in self.bad:
            with pytest.raises(CodecError) as refused:
                codec.decode(data, Field)
            assert str(refused.value)

    @given(data=st.binary(max_size=200))
    @_relaxed
    def test_any_bytes_are_a_message_or_an_error_of_codecs(self, codec: Codec, data: bytes) -> None:
        _decoded(codec, data, Field)
        _decoded(codec, data, Value)

    @given(message=_FLAT, where=st.integers(0, 1 << 16), byte=st.integers(0, 255))
    @_relaxed
    def test_damaged_data_is_a_message_or_an_error_of_codecs(
        self, codec: Codec, message: Field, where: int, byte: int
    ) -> None:
        data = bytearray(_encoded(codec, message))
        assume(data)
        data[where % len(data)] = byte
        _decoded(codec, bytes(data), Field)
        _decoded(codec, bytes(data[: where % len(data)]), Field)

    def test_data_that_is_nested_too_deep_is_refused(self, codec: Codec) -> None:
        """Not by a stack that overflows."""
        if self.deep:
            with pytest.raises(CodecError):
                codec.decode(self.deep, Value)

    def test_message_that_is_nested_deep_is_written_or_refused(self, codec: Codec) -> None:
        message = Value()
        innermost = message
        for _ in range(_DEEP):
            innermost = innermost.list_value.values.add()
        innermost.bool_value = True
        with contextlib.suppress(CodecError):
            assert codec.encode(message)

    def test_error_quotes_little_of_what_was_sent(self, codec: Codec) -> None:
        for data in self.bad:
            for long in (data + b"x" * _MEGABYTE, b"x" * _MEGABYTE + data):
                error = _decoded(codec, long, Field)
                assert error is None or len(str(error)) <= self.limit

    def test_text_that_is_no_utf_8_is_refused_or_has_no_place_in_it(self, codec: Codec) -> None:
        """What is read as text is text: it goes into logs and replies of other formats."""
        marked = codec.encode(StringValue(value="marker"))
        _decoded(codec, marked.replace(b"marker", b"\xff\xfe\xc0"), StringValue)


def _encoded(codec: Codec, message: Message) -> bytes:
    """Return the bytes of a message; leave the example out if the format cannot express it."""
    try:
        return codec.encode(message)
    except CodecError:
        assume(False)
        raise


def _decoded(codec: Codec, data: bytes, kind: type[Any]) -> CodecError | None:
    """Decode, and return the error if it was one of codecs; any other comes through."""
    try:
        found = codec.decode(data, kind)
    except CodecError as error:
        return error
    assert isinstance(found, kind)
    return None
