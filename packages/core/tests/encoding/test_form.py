"""Forms: messages to pairs and back, queries and path variables."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.encoding import CodecError, get
from kratos.encoding._form_path import FormPlan
from kratos.encoding.form import (
    FormCodec,
    bind,
    build_path,
    encode_query,
    field_mask_query,
    field_text,
    parse_query,
    path_builder,
    setter,
)
from kratos.errors import ConfigError
from kratos.transport.rule import PathTemplate, PathValueError

CODEC = FormCodec()


def bound(message_type: Any, text: str) -> Any:
    return CODEC.decode(text.encode(), message_type)


@pytest.fixture(name="complex_message")
def _complex_message(proto: Any) -> Any:
    return proto.Complex(
        id=2233,
        no_one="2233",
        simple={"component": "5566"},
        strings=["3344", "5566"],
        b=True,
        sex="woman",
        age=18,
        a=19,
        count=3,
        price=11.23,
        d=22.22,
        byte=b"123",
        map={"kratos": "https://go-kratos.dev/"},
        map_int64_key={1: "kratos", 2: "go-zero"},
        timestamp={"seconds": 20, "nanos": 2},
        duration={"seconds": 120, "nanos": 22},
        field={"paths": ["1", "2"]},
        double={"value": 12.33},
        float={"value": 12.34},
        int64={"value": 64},
        int32={"value": 32},
        uint64={"value": 64},
        uint32={"value": 32},
        bool={"value": False},
        string={"value": "go-kratos"},
        bytes={"value": b"123"},
    )


COMPLEX_TEXT = (
    "a=19&age=18&b=true&bool=false&byte=MTIz&bytes=MTIz&count=3&d=22.22&double=12.33"
    "&duration=2m0.000000022s&field=1%2C2&float=12.34&id=2233&int32=32&int64=64"
    "&map%5Bkratos%5D=https%3A%2F%2Fgo-kratos.dev%2F&map_int64_key%5B1%5D=kratos"
    "&map_int64_key%5B2%5D=go-zero&numberOne=2233&price=11.23&sex=woman&string=go-kratos"
    "&strings=3344&strings=5566&timestamp=1970-01-01T00%3A00%3A20.000000002Z&uint32=32"
    "&uint64=64&very_simple.component=5566"
)


# Writing


def test_every_kind_of_field_is_written_as_go_writes_it(complex_message: Any) -> None:
    assert CODEC.encode(complex_message).decode() == COMPLEX_TEXT


def test_every_kind_of_field_is_read_again(proto: Any, complex_message: Any) -> None:
    assert bound(proto.Complex, COMPLEX_TEXT) == complex_message


def test_fields_that_are_not_set_are_left_out(proto: Any) -> None:
    assert CODEC.encode(proto.Complex(simple={})) == b""


def test_optional_fields_are_written_when_set(proto: Any) -> None:
    message = proto.HelloRequest(name="foo", opt_int32=0, sub={"name": "bar"})
    assert CODEC.encode(message) == b"name=foo&optInt32=0&sub.naming=bar"


def test_bytes_are_written_url_safe(proto: Any) -> None:
    message = proto.Complex(byte=b"\xfb\xff", bytes={"value": b"\xfb\xff"})
    assert CODEC.encode(message) == b"byte=-_8%3D&bytes=%2B%2F8%3D"


def test_unknown_enum_number_is_written_as_a_number(proto: Any) -> None:
    assert CODEC.encode(proto.Complex(sex=7)) == b"sex=7"


def test_null_value_is_written_as_null(proto: Any) -> None:
    assert CODEC.encode(proto.Everything(nothing=0)) == b"nothing=null"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (0.1, "0.1"),
        (1e20, "100000000000000000000"),
        (1e21, "1e%2B21"),
        (1e-5, "1e-05"),
        (-0.0, "-0"),
        (math.inf, "%2BInf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_floats_are_written_as_go_prints_them(proto: Any, value: float, text: str) -> None:
    assert encode_query(proto.Scalars(f_double=value)) == f"f_double={text}".replace(
        "f_double", "fDouble"
    )
    assert encode_query(proto.Scalars(f_float=value)) == f"fFloat={text}"


def test_shortest_text_of_a_32_bit_float_is_written(proto: Any) -> None:
    assert encode_query(proto.Scalars(f_float=0.1)) == "fFloat=0.1"


def test_timestamp_is_written_in_utc_wherever_the_process_runs() -> None:
    program = (
        "from kratos_protojson.scalars import timestamp_text as t; "
        "print(t(0, 0), t(20, 500000000), t(-1, 1000))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == [
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:20.500Z",
        "1969-12-31T23:59:59.000001Z",
    ]


@pytest.mark.parametrize(
    ("seconds", "nanos"), [(253402300800, 0), (-62135596801, 0), (0, -1), (0, 1_000_000_000)]
)
def test_timestamp_out_of_range_is_refused(proto: Any, seconds: int, nanos: int) -> None:
    message = proto.Complex(timestamp={"seconds": seconds, "nanos": nanos})
    with pytest.raises(CodecError, match='encoding field "timestamp"'):
        CODEC.encode(message)


@pytest.mark.parametrize(
    ("seconds", "nanos", "text"),
    [
        (100, 0, "1m40s"),
        (-100, 0, "-1m40s"),
        (315576000000, 0, "2562047h47m16.854775807s"),
        (-315576000000, 0, "-2562047h47m16.854775808s"),
    ],
)
def test_duration_is_written_as_go_text_within_gos_range(
    proto: Any, seconds: int, nanos: int, text: str
) -> None:
    message = proto.Complex(duration={"seconds": seconds, "nanos": nanos})
    assert CODEC.encode(message) == f"duration={text}".encode()


def test_field_mask_is_written_in_camel_case(proto: Any) -> None:
    message = proto.Complex(field={"paths": ["foo_bar", "a.b_c"]})
    assert CODEC.encode(message) == b"field=fooBar%2Ca.bC"
    assert list(message.field.paths) == ["foo_bar", "a.b_c"]


@pytest.mark.parametrize("path", ["fooBar", "Foo", "a,b"])
def test_field_mask_that_would_come_back_otherwise_is_refused(proto: Any, path: str) -> None:
    with pytest.raises(CodecError, match="use lower_snake_case") as caught:
        CODEC.encode(proto.Complex(field={"paths": [path]}))
    assert caught.value.field == "field"
    with pytest.raises(CodecError, match="use lower_snake_case"):
        field_mask_query(proto.HelloRequest(update_mask={"paths": [path]}))


def test_list_of_messages_is_refused_by_name(proto: Any) -> None:
    message = proto.Complex(id=2233, simples=[{"component": "x"}])
    with pytest.raises(CodecError, match="unsupported message type") as caught:
        CODEC.encode(message)
    assert caught.value.field == "simples"


def test_map_of_messages_is_refused_by_name(proto: Any) -> None:
    with pytest.raises(CodecError, match="unsupported message type"):
        CODEC.encode(proto.Everything(named={"a": {}}))


def test_struct_is_written_as_json(proto: Any) -> None:
    message = proto.Everything()
    message.struct.update({"name": "k", "n": 1})
    assert encode_query(message) == "struct=%7B%22n%22%3A1%2C%22name%22%3A%22k%22%7D"


def test_nested_failure_names_the_whole_key(proto: Any) -> None:
    message = proto.Everything(inner={"when": {"nanos": -1}})
    with pytest.raises(CodecError, match=r'encoding field "inner\.when"'):
        CODEC.encode(message)


# Reading: shapes of keys


@pytest.mark.parametrize("key", ["no_one", "numberOne"])
def test_field_is_found_by_both_its_names(proto: Any, key: str) -> None:
    assert bound(proto.Complex, f"{key}=x").no_one == "x"


@pytest.mark.parametrize("key", ["simple.component", "very_simple.component"])
def test_nested_field_is_found_by_both_names(proto: Any, key: str) -> None:
    assert bound(proto.Complex, f"{key}=x").simple.component == "x"


@pytest.mark.parametrize(
    "text", ["nope=1", "simple.nope=1", "nope.id=1", "nope[0]=1", "=1", "[]=1", ".=1", "1=1"]
)
def test_unknown_field_is_ignored(proto: Any, text: str) -> None:
    assert bound(proto.Complex, text) == proto.Complex()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("id.x=1", "id"),
        ("simples.component=1", "simples"),
        ("simples[0].component=1", "simples"),
        ("simple[0].component=1", "simple"),
        ("strings[0=1", "strings"),
    ],
)
def test_path_through_what_is_no_message_is_refused(proto: Any, text: str, part: str) -> None:
    with pytest.raises(CodecError, match=f'invalid path: "{part}" is not a message'):
        bound(proto.Complex, text)


@pytest.mark.parametrize(
    "text", ["strings=a&strings=b", "strings[]=a&strings[]=b", "strings[0]=a&strings[7]=b"]
)
def test_list_takes_every_spelling_of_its_elements(proto: Any, text: str) -> None:
    assert list(bound(proto.Complex, text).strings) == ["a", "b"]


def test_empty_text_in_a_list_is_an_element(proto: Any) -> None:
    assert list(bound(proto.Complex, "strings=&strings=a").strings) == ["", "a"]


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("map[k]=v", {"k": "v"}),
        ("map.k=v", {"k": "v"}),
        ("map[]=v", {"": "v"}),
        ("map.=v", {"": "v"}),
        ("map[k]=a&map[k]=b", {"k": "b"}),
        ("map[a.b]=v", {"a.b": "v"}),
        ("map[a]b]=v", {"a]b": "v"}),
        ("map[[]=v", {"[": "v"}),
        ("map[k]=", {"k": ""}),
    ],
)
def test_map_takes_brackets_and_dots(proto: Any, text: str, entries: dict[str, str]) -> None:
    assert dict(bound(proto.Complex, text).map) == entries


@pytest.mark.parametrize(
    "key", ["map", "map.kratos.v2", "map[kratos]x", "map[", "map[kratos", "map.a[b]", "map[k].x"]
)
def test_malformed_map_key_is_refused(proto: Any, key: str) -> None:
    with pytest.raises(CodecError, match="invalid formatting for map key"):
        bound(proto.Complex, f"{key}=v")


@pytest.mark.parametrize("key", ["]kratos[", "[kratos]", "[kratos", "kratos]", ".kratos", "[[]"])
def test_map_key_without_a_map_is_an_unknown_field(proto: Any, key: str) -> None:
    assert bound(proto.Complex, f"{key}=v") == proto.Complex()


def test_map_keys_are_parsed(proto: Any) -> None:
    message = bound(proto.Everything, "byBool[true]=1&byNumber[18446744073709551615]=woman")
    assert dict(message.by_bool) == {True: 1}
    assert dict(message.by_number) == {(1 << 64) - 1: 1}


def test_map_deep_inside_takes_both_spellings(proto: Any) -> None:
    message = bound(proto.Everything, "inner.byBool.true=1&inner.inner.byBool[false]=2")
    assert message.inner.by_bool[True] == 1
    assert message.inner.inner.by_bool[False] == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("map_int64_key[x]=v", 'parsing map key "map_int64_key": "x" is not a 64-bit integer'),
        ("byBool[true]=x", 'parsing map value "by_bool": "x" is not a 32-bit integer'),
        ("named[a]=x", 'parsing map value "named": unsupported message type'),
    ],
)
def test_failure_in_a_map_says_which_part(proto: Any, text: str, problem: str) -> None:
    message_type = proto.Complex if text.startswith("map_") else proto.Everything
    with pytest.raises(CodecError) as caught:
        bound(message_type, text)
    assert str(caught.value).startswith(problem)


def test_key_that_leads_too_deep_is_refused(proto: Any) -> None:
    with pytest.raises(CodecError, match="deeper than 100"):
        bound(proto.Everything, "inner." * 200 + "text=x")


# Reading: values


def test_empty_value_of_a_singular_field_is_ignored(proto: Any) -> None:
    text = "id=&numberOne=&string=&timestamp=&int64=&b=&sex="
    assert bound(proto.Complex, text) == proto.Complex()
    assert bound(proto.HelloRequest, "optString=") == proto.HelloRequest()


def test_several_values_for_a_singular_field_are_refused(proto: Any) -> None:
    with pytest.raises(CodecError, match='too many values for field "id": 1, 2'):
        bound(proto.Complex, "id=1&id=2")


def test_one_field_under_two_spellings_is_refused(proto: Any) -> None:
    with pytest.raises(CodecError, match='too many values for field "no_one"'):
        bound(proto.Complex, "no_one=1&numberOne=2")


def test_two_members_of_a_oneof_are_refused(proto: Any) -> None:
    with pytest.raises(CodecError, match='field already set for oneof "choice"'):
        bound(proto.Everything, "text=a&number=1")
    with pytest.raises(CodecError, match='field already set for oneof "choice"'):
        bound(proto.Everything, "message.naming=a&number=1")


def test_empty_member_of_a_oneof_does_not_count(proto: Any) -> None:
    assert bound(proto.Everything, "text=&number=1").number == 1


def test_two_fields_of_one_member_of_a_oneof_agree(proto: Any) -> None:
    message = bound(proto.Everything, "inner.text=x&inner.one.fBool=1&message.naming=y")
    assert message.WhichOneof("choice") == "message"


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("f_bool", "1", True),
        ("f_bool", "T", True),
        ("f_bool", "True", True),
        ("f_bool", "FALSE", False),
        ("f_int32", "-2147483648", -(1 << 31)),
        ("f_int32", "%2B7", 7),
        ("f_int64", "9223372036854775807", (1 << 63) - 1),
        ("f_uint64", "18446744073709551615", (1 << 64) - 1),
        ("f_fixed32", "007", 7),
        ("f_double", "1e3", 1000.0),
        ("f_double", ".5", 0.5),
        ("f_double", "-Inf", -math.inf),
        ("f_float", "infinity", math.inf),
        ("f_float", "3.4028235e38", 3.4028234663852886e38),
        ("f_sex", "woman", 1),
        ("f_sex", "1", 1),
        ("f_bytes", "-_8=", b"\xfb\xff"),
        ("f_bytes", "%2B/8=", b"\xfb\xff"),
        ("f_bytes", "-_8", b"\xfb\xff"),
        ("f_string", "a+b%26%C3%A9", "a b&é"),
    ],
)
def test_scalar_parses(proto: Any, key: str, text: str, value: object) -> None:
    assert getattr(bound(proto.Scalars, f"{key}={text}"), key) == value


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("f_bool", "yes"),
        ("f_bool", "tRUE"),
        ("f_int32", "abc"),
        ("f_int32", "2147483648"),
        ("f_int32", "1_000"),
        ("f_int32", " 1"),
        ("f_int32", "1.0"),
        ("f_int32", "\u0661"),
        ("f_int64", "9" * 5000),
        ("f_uint32", "-1"),
        ("f_uint32", "%2B1"),
        ("f_double", "1e999"),
        ("f_double", "1_0"),
        ("f_double", "0x1p-2"),
        ("f_float", "1e39"),
        ("f_sex", "5"),
        ("f_sex", "child"),
        ("f_bytes", "!"),
        ("f_bytes", "a"),
        ("f_bytes", "ab===="),
    ],
)
def test_scalar_that_does_not_parse_is_refused_by_name(proto: Any, key: str, text: str) -> None:
    with pytest.raises(CodecError, match=f'parsing field "{key}": ') as caught:
        bound(proto.Scalars, f"{key}={text}")
    assert caught.value.field == key
    assert len(str(caught.value)) < 200


def test_list_element_that_does_not_parse_is_refused_by_name(proto: Any) -> None:
    with pytest.raises(CodecError, match='parsing list "numbers": "x" is not a 32-bit integer'):
        bound(proto.Everything, "numbers=1&numbers=x")


@pytest.mark.parametrize(
    ("text", "seconds", "nanos"),
    [
        ("1970-01-01T00:00:20.000000002Z", 20, 2),
        ("1970-01-01T01:00:00%2B01:00", 0, 0),
        ("1969-12-31T23:59:59.5-00:30", 1799, 500_000_000),
        ("0001-01-01T00:00:00Z", -62135596800, 0),
        ("9999-12-31T23:59:59.999999999Z", 253402300799, 999_999_999),
    ],
)
def test_timestamp_parses(proto: Any, text: str, seconds: int, nanos: int) -> None:
    found = bound(proto.Complex, f"timestamp={text}").timestamp
    assert (found.seconds, found.nanos) == (seconds, nanos)


@pytest.mark.parametrize(
    "text",
    [
        "2020-01-01",
        "2020-01-01T00:00:00",
        "2020-02-30T00:00:00Z",
        "2020-01-01T24:00:00Z",
        "2020-01-01T00:00:60Z",
        "2020-01-01t00:00:00z",
        "0001-01-01T00:00:00%2B01:00",
        "2020-01-01T00:00:00%2B99:00",
        "2020-01-01T00:00:00%2B01:99",
        "0",
    ],
)
def test_timestamp_that_is_none_is_refused(proto: Any, text: str) -> None:
    with pytest.raises(CodecError, match='parsing field "timestamp"'):
        bound(proto.Complex, f"timestamp={text}")


def test_the_epoch_is_a_timestamp_that_is_set(proto: Any) -> None:
    assert bound(proto.Complex, "timestamp=1970-01-01T00:00:00Z").HasField("timestamp")


@pytest.mark.parametrize(
    ("text", "seconds", "nanos"),
    [("1h", 3600, 0), ("3.5s", 3, 500_000_000), ("-1.5s", -1, -500_000_000)],
)
def test_duration_is_go_text(proto: Any, text: str, seconds: int, nanos: int) -> None:
    found = bound(proto.Complex, f"duration={text}").duration
    assert (found.seconds, found.nanos) == (seconds, nanos)


def test_duration_without_a_unit_is_refused(proto: Any) -> None:
    with pytest.raises(CodecError, match=r'parsing field "duration": .*unit'):
        bound(proto.Complex, "duration=3")


@pytest.mark.parametrize("key", ["timestamp", "duration"])
def test_null_unsets_timestamps_and_durations(proto: Any, key: str) -> None:
    message = proto.Complex(timestamp={"seconds": 1}, duration={"seconds": 1})
    bind(message, [(key, "null")])
    assert not message.HasField(key)
    assert bound(proto.Everything, "times=null&times=1970-01-01T00:00:00Z").times[0].seconds == 0


@pytest.mark.parametrize("text", ["MTIz", "-_8=", "%2B/8="])
def test_bytes_value_takes_both_alphabets(proto: Any, text: str) -> None:
    assert bound(proto.Complex, f"bytes={text}").bytes.value in (b"123", b"\xfb\xff")


def test_field_mask_is_read_into_snake_case(proto: Any) -> None:
    found = bound(proto.Complex, "field=aB,c.dE").field
    assert list(found.paths) == ["a_b", "c.d_e"]


def test_struct_is_json_or_entries_of_text(proto: Any) -> None:
    message = bound(proto.Everything, "struct={%22name%22:%22k%22,%22n%22:1}")
    assert dict(message.struct.items()) == {"name": "k", "n": 1}
    message = bound(proto.Everything, "struct.name=k&struct.other=1")
    assert dict(message.struct.items()) == {"name": "k", "other": "1"}
    message = bound(proto.Everything, "inner.struct.name=k")
    assert dict(message.inner.struct.items()) == {"name": "k"}
    message = bound(proto.Everything, 'structs={"a":1}&structs={"b":2}')
    assert [dict(struct.items()) for struct in message.structs] == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize("text", ["struct=x", "struct={", "struct=[]", "struct={%22a%22:NaN}"])
def test_struct_that_is_no_json_object_is_refused(proto: Any, text: str) -> None:
    with pytest.raises(CodecError, match='parsing field "struct": '):
        bound(proto.Everything, text)


def test_value_is_text(proto: Any) -> None:
    assert bound(proto.Everything, "value=1").value.string_value == "1"


def test_null_is_a_null_value(proto: Any) -> None:
    assert bound(proto.Everything, "nothing=null").WhichOneof("choice") == "nothing"


def test_message_without_a_text_form_is_refused(proto: Any) -> None:
    with pytest.raises(CodecError, match='parsing field "simple": unsupported message type'):
        bound(proto.Complex, "simple=x")
    with pytest.raises(CodecError, match='parsing list "simples": unsupported message type'):
        bound(proto.Complex, "simples=x")


def test_later_binding_wins_over_earlier(proto: Any) -> None:
    message = proto.HelloRequest(name="body", opt_int32=1)
    bind(message, [("name", "query"), ("opt_int32", "2")])
    assert (message.name, message.opt_int32) == ("query", 2)


def test_later_binding_replaces_a_member_of_a_oneof(proto: Any) -> None:
    message = proto.Everything(text="body")
    bind(message, [("number", "2")])
    assert message.WhichOneof("choice") == "number"


def test_later_binding_replaces_a_whole_wrapper(proto: Any) -> None:
    message = proto.Complex(field={"paths": ["a"]}, timestamp={"seconds": 1, "nanos": 5})
    bind(message, [("field", "b"), ("timestamp", "1970-01-01T00:00:02Z")])
    assert list(message.field.paths) == ["b"]
    assert message.timestamp.nanos == 0


def test_message_nested_too_deeply_is_refused(proto: Any) -> None:
    innermost = message = proto.Everything()
    for _ in range(5000):
        innermost = innermost.inner
    innermost.text = "x"
    with pytest.raises(CodecError, match="too deeply"):
        CODEC.encode(message)


def test_memory_for_keys_of_clients_is_bounded(proto: Any) -> None:
    plan = FormPlan(proto.Everything.DESCRIPTOR)
    for depth in range(90):
        for field in proto.Scalars.DESCRIPTOR.fields:
            assert plan.find("inner." * depth + f"one.{field.name}") is not None
    assert 0 < len(plan) < 1024
    known = len(plan)
    for number in range(100):
        assert plan.find(f"struct.{number}") is not None
        assert plan.find(f"docs[{number}]") is not None
        assert plan.find(f"numbers[{number}]") is not None
        assert plan.find(f"unknown{number}") is None
    assert len(plan) == known


# Query text


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ("", []),
        ("a=1&b=2&a=3", [("a", "1"), ("b", "2"), ("a", "3")]),
        ("&&a&=b&", [("a", ""), ("", "b")]),
        ("a=b=c", [("a", "b=c")]),
        ("a+b=c%2Bd", [("a b", "c+d")]),
        ("a=1;b=2", [("a", "1;b=2")]),
        ("%C3%A9=é", [("é", "é")]),
    ],
)
def test_query_is_split_into_pairs(query: str, pairs: list[tuple[str, str]]) -> None:
    assert parse_query(query) == pairs
    assert parse_query(query.encode()) == pairs


@pytest.mark.parametrize("query", [b"a=%", b"a=%2", b"a=%zz", b"a=%ff", b"\xff=1", b"%c3=1"])
def test_malformed_query_is_refused(query: bytes) -> None:
    with pytest.raises(CodecError):
        parse_query(query)


# Path variables


def test_setter_beats_body_and_query(proto: Any) -> None:
    message = proto.HelloRequest(name="body", opt_int32=1)
    setter(proto.HelloRequest.DESCRIPTOR, "name")(message, "path")
    setter(proto.HelloRequest.DESCRIPTOR, "opt_int32")(message, "3")
    setter(proto.HelloRequest.DESCRIPTOR, "sub.name")(message, "deep")
    assert (message.name, message.opt_int32, message.sub.name) == ("path", 3, "deep")


def test_setter_empties_text_and_ignores_other_empty_values(proto: Any) -> None:
    message = proto.Complex(no_one="body", id=1)
    setter(proto.Complex.DESCRIPTOR, "no_one")(message, "")
    setter(proto.Complex.DESCRIPTOR, "id")(message, "")
    assert (message.no_one, message.id) == ("", 1)


def test_setter_refuses_a_value_that_does_not_parse(proto: Any) -> None:
    with pytest.raises(CodecError, match='parsing field "id"'):
        setter(proto.Complex.DESCRIPTOR, "id")(proto.Complex(), "x")
    with pytest.raises(CodecError, match='parsing field "no_one"'):
        setter(proto.Complex.DESCRIPTOR, "no_one")(proto.Complex(), "\ud800")


@pytest.mark.parametrize("path", ["nope", "simple.nope", "simple", "map[a]", "simples", "", "a."])
def test_setter_refuses_a_field_that_no_path_can_carry(proto: Any, path: str) -> None:
    with pytest.raises((ConfigError, CodecError)):
        setter(proto.Complex.DESCRIPTOR, path)


# URLs of clients


def test_path_carries_variables_and_query_the_rest(proto: Any) -> None:
    message = proto.HelloRequest(name="a b/c", sub={"name": "x"}, opt_int32=5)
    template = PathTemplate.parse("/v1/{name}")
    assert build_path(template, message) == "/v1/a%20b%2Fc?optInt32=5&sub.naming=x"


def test_path_finds_nested_variables_by_proto_name(proto: Any) -> None:
    message = proto.HelloRequest(sub={"name": "x"}, name="n")
    assert build_path(PathTemplate.parse("/{sub.name}"), message) == "/x?name=n"


def test_body_field_stays_out_of_the_query(proto: Any) -> None:
    message = proto.HelloRequest(name="n", sub={"name": "x"}, sub_field={"name": "y"})
    template = PathTemplate.parse("/{name}")
    assert build_path(template, message, body="sub") == "/n?subField.naming=y"


def test_whole_body_leaves_only_the_field_mask_in_the_query(proto: Any) -> None:
    message = proto.HelloRequest(name="n", opt_int32=1, update_mask={"paths": ["name", "sub.name"]})
    template = PathTemplate.parse("/{name}")
    assert build_path(template, message, body="*") == "/n?updateMask=name,sub.name"
    message.ClearField("update_mask")
    assert build_path(template, message, body="*") == "/n"


def test_field_mask_query_is_empty_without_a_mask(proto: Any) -> None:
    assert field_mask_query(proto.HelloRequest()) == ""
    assert field_mask_query(proto.Simple()) == ""


def test_omitted_fields_take_what_is_below_them_along(proto: Any) -> None:
    message = proto.Complex(id=1, simple={"component": "x"}, map={"a": "b"}, a=2)
    assert encode_query(message, omit=["simple", "map", "id"]) == "a=2"


def test_omitted_field_need_not_have_a_text(proto: Any) -> None:
    message = proto.Complex(simples=[{"component": "x"}], a=2)
    assert encode_query(message, omit=["simples"]) == "a=2"
    build = path_builder(PathTemplate.parse("/n"), proto.Complex.DESCRIPTOR, body="simples")
    assert build(message) == "/n?a=2"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("id", "2233"),
        ("simple.component", "5566"),
        ("strings", "3344"),
        ("sex", "woman"),
        ("timestamp", "1970-01-01T00:00:20.000000002Z"),
        ("bool", "false"),
        ("byte", "MTIz"),
    ],
)
def test_field_text_is_what_a_path_carries(complex_message: Any, path: str, text: str) -> None:
    assert field_text(complex_message, path) == text


@pytest.mark.parametrize(
    ("path", "text"),
    [("id", "0"), ("sex", "man"), ("no_one", ""), ("strings", ""), ("int64", ""),
     ("simple.component", "")],
)  # fmt: skip
def test_field_text_of_what_is_not_set(proto: Any, path: str, text: str) -> None:
    assert field_text(proto.Complex(), path) == text


def test_empty_path_variable_is_refused_before_it_is_sent(proto: Any) -> None:
    with pytest.raises(PathValueError, match="is empty"):
        build_path(PathTemplate.parse("/v1/{name}"), proto.HelloRequest())


@pytest.mark.parametrize(
    ("template", "body"),
    [("/{nope}", ""), ("/{sub}", ""), ("/{sub.nope}", ""), ("/{name.x}", ""), ("/x", "nope")],
)
def test_url_with_unknown_fields_is_refused_when_compiled(
    proto: Any, template: str, body: str
) -> None:
    with pytest.raises(ConfigError):
        path_builder(PathTemplate.parse(template), proto.HelloRequest.DESCRIPTOR, body=body)


def test_map_cannot_be_a_path_variable(proto: Any) -> None:
    with pytest.raises(ConfigError, match="map has no text"):
        path_builder(PathTemplate.parse("/{map}"), proto.Complex.DESCRIPTOR)


# Properties

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_INT32 = st.integers(-(1 << 31), (1 << 31) - 1)
_INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
_FLOAT32 = st.floats(width=32, allow_nan=False)
_TIMES = st.fixed_dictionaries(
    {"seconds": st.integers(-62135596800, 253402300799), "nanos": st.integers(0, 999_999_999)}
)
_SCALARS = st.fixed_dictionaries(
    {},
    optional={
        "f_double": st.floats(allow_nan=False),
        "f_float": _FLOAT32,
        "f_int64": _INT64,
        "f_uint64": st.integers(0, (1 << 64) - 1),
        "f_int32": _INT32,
        "f_fixed32": st.integers(0, (1 << 32) - 1),
        "f_sint64": _INT64,
        "f_bool": st.booleans(),
        "f_string": _TEXT,
        "f_bytes": st.binary(max_size=6),
        "f_sex": st.sampled_from([0, 1]),
    },
)
_COMPLEX: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "id": _INT64,
        "no_one": _TEXT,
        "simple": st.fixed_dictionaries({"component": _TEXT.filter(bool)}),
        "strings": st.lists(_TEXT, max_size=3),
        "map": st.dictionaries(_TEXT, _TEXT, max_size=3),
        "map_int64_key": st.dictionaries(_INT64, _TEXT, max_size=3),
        "timestamp": _TIMES,
        "field": st.fixed_dictionaries(
            {"paths": st.lists(st.from_regex(r"[a-z]+(_[a-z]+)?", fullmatch=True), min_size=1)}
        ),
        "double": st.fixed_dictionaries({"value": st.floats(allow_nan=False)}),
        "string": st.fixed_dictionaries({"value": _TEXT.filter(bool)}),
        "bytes": st.fixed_dictionaries({"value": st.binary(min_size=1, max_size=5)}),
        "bool": st.fixed_dictionaries({"value": st.booleans()}),
    },
)


@given(fields=_SCALARS)
def test_reading_undoes_writing_of_scalars(proto: Any, fields: dict[str, Any]) -> None:
    message = proto.Scalars(**fields)
    assert CODEC.decode(CODEC.encode(message), proto.Scalars) == message


@given(fields=_COMPLEX)
def test_reading_undoes_writing_of_messages(proto: Any, fields: dict[str, Any]) -> None:
    message = proto.Complex(**fields)
    assert CODEC.decode(CODEC.encode(message), proto.Complex) == message


@given(data=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(proto: Any, data: bytes) -> None:
    try:
        message = CODEC.decode(data, proto.Complex)
    except CodecError:
        return
    assert isinstance(message, proto.Complex)


_KEYS = st.text(alphabet=st.sampled_from(".[]ab"), max_size=6)
_KNOWN = st.sampled_from(
    ["map", "map_int64_key", "simple", "simples", "strings", "id", "timestamp", "struct"]
) | st.sampled_from(
    ["inner", "value", "values", "any", "named", "docs", "choice", "list", "mask", "wrapped"]
)


@given(pairs=st.lists(st.tuples(st.tuples(_KNOWN, _KEYS).map("".join), st.text(max_size=6))))
def test_any_pairs_are_bound_or_refused(proto: Any, pairs: list[tuple[str, str]]) -> None:
    for message in (proto.Complex(), proto.Everything()):
        try:
            bind(message, pairs)
        except CodecError:
            continue
        message.SerializeToString()


@given(name=_TEXT.filter(lambda text: text not in ("", ".", "..")), number=_INT32)
def test_server_reads_from_the_url_what_the_client_wrote(
    proto: Any, name: str, number: int
) -> None:
    message = proto.HelloRequest(name=name, opt_int32=number)
    template = PathTemplate.parse("/v1/{name}")
    path, _, query = build_path(template, message).partition("?")
    received = proto.HelloRequest()
    bind(received, parse_query(query))
    variables = template.match(path)
    assert variables is not None
    setter(proto.HelloRequest.DESCRIPTOR, "name")(received, variables["name"])
    assert received == message


def test_codec_is_found_by_its_name() -> None:
    codec = get("x-www-form-urlencoded")
    assert isinstance(codec, FormCodec)


@pytest.mark.parametrize("path", ["a_1", "a_b", "a_b.c_d", "a__b", "foo_"])
def test_mask_is_read_as_it_was_written_whatever_its_paths(proto: Any, path: str) -> None:
    message = proto.HelloRequest(update_mask={"paths": [path]})
    assert CODEC.decode(CODEC.encode(message), proto.HelloRequest) == message
