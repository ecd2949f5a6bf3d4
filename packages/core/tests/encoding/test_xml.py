"""The XML codec: Go's element names, and forms for what Go cannot express."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import timestamp_pb2
from hypothesis import given
from hypothesis import strategies as st

from kratos.encoding import CodecError
from kratos.encoding.xml import XmlCodec

CODEC = XmlCodec()


def read(message_type: Any, text: str) -> Any:
    return CODEC.decode(text.encode(), message_type)


def test_elements_have_the_names_of_go_struct_fields(proto: Any) -> None:
    message = proto.HelloRequest(name="k", sub={"name": "x"}, opt_int32=0)
    assert CODEC.encode(message).decode() == (
        "<HelloRequest><Name>k</Name><Sub><Name>x</Name></Sub><OptInt32>0</OptInt32></HelloRequest>"
    )


def test_lists_repeat_and_maps_have_keys(proto: Any) -> None:
    message = proto.TestModel(hobby=["a", ""], attrs={"k<": "v&"})
    assert CODEC.encode(message).decode() == (
        '<TestModel><Hobby>a</Hobby><Hobby></Hobby><Attrs key="k&lt;">v&amp;</Attrs></TestModel>'
    )


@pytest.mark.parametrize("tag", ["NoOne", "no_one", "numberOne", "x:NoOne"])
def test_field_is_found_by_any_of_its_names(proto: Any, tag: str) -> None:
    assert read(proto.Complex, f"<any><{tag}>v</{tag}></any>").no_one == "v"


def test_every_kind_of_field_round_trips(proto: Any) -> None:
    message = proto.Everything(
        one={"f_double": 1e300, "f_bool": True, "f_bytes": b"\xff", "f_sex": 1, "f_int64": -5},
        many=[{}, {"f_string": " spaced\r\n\t"}],
        named={"": {}, "a b": {"f_bool": True}},
        by_bool={True: 1},
        doubles=[float("inf"), 0.5],
        sexes=[0, 7],
        nothing=0,
        times=[{"seconds": 5}],
        spans={"x": {"seconds": 1, "nanos": 5}},
        wrapped=[{"value": 9007199254740993}],
        mask={"paths": ["a_b"]},
        empty={},
        opt_sub={},
    )
    message.any.Pack(proto.Sub(name="x"))
    message.struct.update({"a": [1, None, {"b": "<"}]})
    message.values.add().string_value = "x"
    assert CODEC.decode(CODEC.encode(message), proto.Everything) == message


def test_well_known_type_may_be_the_whole_document() -> None:
    message = timestamp_pb2.Timestamp(seconds=1)
    text = CODEC.encode(message)
    assert text == b"<Timestamp>1970-01-01T00:00:01Z</Timestamp>"
    assert CODEC.decode(text, timestamp_pb2.Timestamp) == message


def test_enum_is_read_by_name_too(proto: Any) -> None:
    assert read(proto.Complex, "<x><Sex> woman </Sex></x>").sex == 1


def test_floats_of_go_are_read(proto: Any) -> None:
    assert read(proto.Complex, "<x><D>+Inf</D></x>").d == float("inf")


def test_unknown_elements_and_attributes_are_ignored(proto: Any) -> None:
    text = '<?xml version="1.0"?><!-- c --><x a="1"><No><Id>1</Id></No><Id b="2">5</Id>t</x>'
    assert read(proto.Complex, text) == proto.Complex(id=5)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<x>", "line 1, column 4"),
        ("x", "line 1"),
        ("<x/><y/>", "line 1"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "document types are refused"),
        ('<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>', "document types are refused"),
        ("<x>&nbsp;</x>", "undefined entity"),
        ("<x><Id>a</Id></x>", "^id: expected an integer"),
        ("<x><Id>1</Id><id>2</id></x>", "id is given twice"),
        ("<x><B>yes</B></x>", "^b: expected true or false"),
        ("<x><Map>v</Map></x>", "an entry of Map has no key"),
        ('<x><Map key="a">1</Map><Map key="a">2</Map></x>', "an entry of Map is there twice"),
        ("<x>" * 500, "nested deeper than 100"),
        ('<?xml version="1.0" encoding="no-such"?><x/>', "encoding"),
    ],
)
def test_malformed_document_is_refused(proto: Any, text: str, problem: str) -> None:
    with pytest.raises(CodecError, match=problem):
        read(proto.Complex, text)


@pytest.mark.parametrize("text", ["\x00", "\x1f", "\ufffe"])
def test_character_that_xml_lacks_is_refused(proto: Any, text: str) -> None:
    with pytest.raises(CodecError, match="cannot carry the character"):
        CODEC.encode(proto.Simple(component=text))


_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))


@given(texts=st.lists(_TEXT | st.sampled_from(["\r", "\n", "\t", " "]), max_size=3))
def test_reading_undoes_writing(proto: Any, texts: list[str]) -> None:
    message = proto.Complex(strings=texts, map={text: text for text in texts})
    assert CODEC.decode(CODEC.encode(message), proto.Complex) == message


@given(
    pieces=st.lists(
        st.sampled_from(["<x>", "</x>", "<Id>", "</Id>", "<Map key='a'>", "</Map>", "<struct>"])
        | st.sampled_from(["</struct>", "1", "{", "}", "&lt;", "<any>", "</any>", "<value/>"])
    )
)
def test_any_text_is_read_or_refused(proto: Any, pieces: list[str]) -> None:
    for message_type in (proto.Complex, proto.Everything):
        try:
            message = read(message_type, "".join(pieces))
        except CodecError:
            continue
        assert isinstance(message, message_type)


@given(data=st.binary())
def test_any_bytes_are_read_or_refused(proto: Any, data: bytes) -> None:
    try:
        message = CODEC.decode(data, proto.Complex)
    except CodecError:
        return
    assert isinstance(message, proto.Complex)


def test_well_known_types_are_read_as_go_writes_them(proto: Any) -> None:
    text = (
        b"<Complex><Timestamp><Seconds>1</Seconds><Nanos>2</Nanos></Timestamp>"
        b"<Duration><Seconds>90</Seconds></Duration><Field><Paths>a_b</Paths><Paths>c</Paths></Field>"
        b"<Int64><Value>3</Value></Int64></Complex>"
    )
    assert CODEC.decode(text, proto.Complex) == proto.Complex(
        timestamp={"seconds": 1, "nanos": 2},
        duration={"seconds": 90},
        field={"paths": ["a_b", "c"]},
        int64={"value": 3},
    )
