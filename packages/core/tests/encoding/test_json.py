"""The JSON codecs: what they print, both dialects that they read, and what they refuse."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from google.protobuf import any_pb2, json_format, struct_pb2, timestamp_pb2, wrappers_pb2
from hypothesis import given
from hypothesis import strategies as st

from kratos.encoding import CodecError, FieldCodec, get
from kratos.encoding.json import JsonCodec, JsonOptions

CODEC = JsonCodec()
BRIEF = JsonCodec(options=JsonOptions(emit_unset=False))


def printed(message: Any, **options: bool) -> Any:
    codec = JsonCodec(options=JsonOptions(**options)) if options else CODEC
    return json.loads(codec.encode(message))


def read(message_type: Any, value: object) -> Any:
    return CODEC.decode(json.dumps(value).encode(), message_type)


# Printing


def test_output_is_compact_and_in_the_order_of_the_definition(proto: Any) -> None:
    message = proto.TestModel(hobby=["1", "2"], name="go-kratos", id=1)
    assert CODEC.encode(message) == b'{"id":"1","name":"go-kratos","hobby":["1","2"],"attrs":{}}'


def test_text_is_utf8_without_escapes(proto: Any) -> None:
    assert (
        CODEC.encode(proto.Simple(component="é\n\u2028")) == '{"component":"é\\n\u2028"}'.encode()
    )


def test_unset_fields_are_printed_but_for_optional_ones_and_oneofs(proto: Any) -> None:
    assert printed(proto.HelloRequest()) == {
        "name": "",
        "sub": None,
        "updateMask": None,
        "subField": None,
    }
    assert printed(proto.Complex())["int64"] is None
    assert printed(proto.Complex())["simples"] == []
    assert printed(proto.Complex())["map"] == {}
    assert not {"text", "number", "message", "optDouble", "optSub"} & set(
        printed(proto.Everything())
    )


def test_unset_value_is_not_printed_because_null_would_be_one(proto: Any) -> None:
    assert "value" not in printed(proto.Everything())


def test_unset_fields_of_proto2_are_null(proto: Any) -> None:
    assert printed(proto.Closed()) == {"size": None, "count": None, "sizes": []}


def test_optional_fields_are_printed_when_set(proto: Any) -> None:
    assert printed(proto.HelloRequest(opt_int32=0), emit_unset=False) == {"optInt32": 0}


def test_unset_fields_may_be_left_out(proto: Any) -> None:
    assert BRIEF.encode(proto.Complex()) == b"{}"
    assert printed(proto.Scalars(f_double=-0.0), emit_unset=False) == {"fDouble": -0.0}


def test_members_of_oneofs_are_printed_when_set(proto: Any) -> None:
    assert printed(proto.Everything(number=0), emit_unset=False) == {"number": 0}
    assert printed(proto.Everything(nothing=0), emit_unset=False) == {"nothing": None}


def test_64_bit_integers_are_text_and_enums_are_names(proto: Any) -> None:
    message = proto.Complex(id=9007199254740993, sex="woman", map_int64_key={2: "b", 1: "a"})
    found = printed(message, emit_unset=False)
    assert found == {
        "id": "9007199254740993",
        "sex": "woman",
        "map_int64_key": {"1": "a", "2": "b"},
    }


def test_options_choose_numbers_and_proto_names(proto: Any) -> None:
    message = proto.Complex(no_one="x", id=1, sex="woman", int64={"value": 5})
    found = printed(
        message, emit_unset=False, enum_numbers=True, proto_names=True, int64_numbers=True
    )
    assert found == {"id": 1, "no_one": "x", "sex": 1, "int64": 5}


def test_unknown_enum_number_is_printed_as_a_number(proto: Any) -> None:
    assert printed(proto.Complex(sex=7))["sex"] == 7


def test_bytes_are_printed_as_standard_base64(proto: Any) -> None:
    assert printed(proto.Complex(byte=b"\xfb\xff"))["byte"] == "+/8="


def test_keys_of_maps_are_printed_in_order(proto: Any) -> None:
    message = proto.Everything(by_bool={True: 1, False: 2}, by_number={10: 0, 9: 1})
    text = BRIEF.encode(message)
    assert text == b'{"byBool":{"false":2,"true":1},"byNumber":{"9":"woman","10":"man"}}'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (1e15, "1000000000000000"),
        (1e20, "100000000000000000000"),
        (1.2345678901234567e20, "123456789012345670000"),
        (1e21, "1e+21"),
        (math.inf, '"Infinity"'),
        (-math.inf, '"-Infinity"'),
        (math.nan, '"NaN"'),
    ],
)
def test_doubles_are_printed_like_gos(proto: Any, value: float, text: str) -> None:
    assert BRIEF.encode(proto.Scalars(f_double=value)).decode() == f'{{"fDouble":{text}}}'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, b"0.1"),
        (16777216.0, b"16777216"),
        (3.4028234663852886e38, b"3.4028235e+38"),
        (1.3644169484905433e-05, b"0.0000136441695"),
    ],
)
def test_32_bit_floats_are_printed_with_the_fewest_digits(
    proto: Any, value: float, text: bytes
) -> None:
    assert BRIEF.encode(proto.Scalars(f_float=value)) == b'{"fFloat":%s}' % text


def test_well_known_types_are_printed_in_their_own_forms(proto: Any) -> None:
    message = proto.Complex(
        timestamp={"seconds": 20, "nanos": 2},
        duration={"seconds": -1, "nanos": -500_000_000},
        field={"paths": ["foo_bar", "a.b"]},
        bool={"value": False},
        uint64={"value": 7},
        float={"value": 0.1},
        bytes={"value": b"1"},
    )
    assert printed(message, emit_unset=False) == {
        "timestamp": "1970-01-01T00:00:20.000000002Z",
        "duration": "-1.500s",
        "field": "fooBar,a.b",
        "bool": False,
        "uint64": "7",
        "float": 0.1,
        "bytes": "MQ==",
    }


def test_struct_is_printed_as_json(proto: Any) -> None:
    message = proto.Everything()
    content: dict[str, Any] = {
        "text": "x",
        "number": 1.5,
        "true": True,
        "none": None,
        "list": [1, {"a": []}],
    }
    message.struct.update(content)
    message.list.extend([1, "a"])
    message.value.number_value = 3
    found = printed(message, emit_unset=False)
    assert found == {"struct": content, "list": [1, "a"], "value": 3}


def test_empty_value_is_null(proto: Any) -> None:
    assert printed(proto.Everything(value={}), emit_unset=False) == {"value": None}


def test_any_is_printed_with_its_type(proto: Any) -> None:
    message = proto.Everything()
    message.any.Pack(proto.Sub(name="x"))
    url = "type.googleapis.com/kratos.tests.three.Sub"
    assert printed(message)["any"] == {"@type": url, "naming": "x"}
    message.any.Pack(timestamp_pb2.Timestamp(seconds=1))
    assert printed(message)["any"]["value"] == "1970-01-01T00:00:01Z"


def test_any_of_an_empty_message_is_printed_as_go_does(proto: Any) -> None:
    message = any_pb2.Any(type_url="type.googleapis.com/google.protobuf.Empty")
    assert printed(message) == {"@type": message.type_url, "value": {}}
    assert printed(any_pb2.Any()) == {}


def test_any_of_bytes_that_do_not_fit_is_refused() -> None:
    message = any_pb2.Any(type_url="x/google.protobuf.Int32Value", value=b"\xff")
    with pytest.raises(CodecError, match=r"bytes that are no google\.protobuf\.Int32Value"):
        CODEC.encode(message)


def test_any_of_an_unknown_type_is_refused_by_name(proto: Any) -> None:
    message = proto.Everything(any={"type_url": "x/no.Such", "value": b"1"})
    with pytest.raises(CodecError, match=r"no\.Such") as caught:
        CODEC.encode(message)
    assert caught.value.field == "any"


def test_extensions_are_printed_in_brackets(proto: Any) -> None:
    message = proto.Closed()
    pool = message.DESCRIPTOR.file.pool
    message.Extensions[pool.FindExtensionByName("kratos.tests.two.extra")] = "x"
    assert printed(message, emit_unset=False) == {"[kratos.tests.two.extra]": "x"}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"when": {"seconds": 253402300800}}, "when"),
        ({"inner": {"times": [{"nanos": -1}]}}, "inner.times"),
        ({"spans": {"a": {"seconds": 1, "nanos": -1}}}, "spans"),
        ({"value": {"number_value": math.nan}}, "value"),
    ],
)
def test_value_without_a_json_form_is_refused_by_name(
    proto: Any, fields: dict[str, Any], path: str
) -> None:
    with pytest.raises(CodecError) as caught:
        CODEC.encode(proto.Everything(**fields))
    assert caught.value.field == path


@pytest.mark.parametrize("path", ["a_1", "fooBar", "a__b"])
def test_mask_without_a_text_form_is_an_object_and_read_as_it_was(proto: Any, path: str) -> None:
    message = proto.Everything(mask={"paths": ["b_c", path]})
    assert printed(message, emit_unset=False) == {"mask": {"paths": ["b_c", path]}}
    assert CODEC.decode(CODEC.encode(message), proto.Everything) == message
    assert CODEC.encode_field(message, "mask") == CODEC.encode(message.mask)


def test_message_nested_too_deeply_is_refused(proto: Any) -> None:
    message = proto.Everything()
    innermost = message
    for _ in range(5000):
        innermost = innermost.inner
    innermost.text = "x"
    with pytest.raises(CodecError, match="too deeply"):
        CODEC.encode(message)
    with pytest.raises(CodecError, match="too deeply"):
        CODEC.encode_field(message, "inner")


# Reading protobuf JSON


def test_empty_data_is_an_empty_message(proto: Any) -> None:
    assert CODEC.decode(b"", proto.Complex) == proto.Complex()


@pytest.mark.parametrize("key", ["no_one", "numberOne"])
def test_field_is_read_under_both_names(proto: Any, key: str) -> None:
    assert read(proto.Complex, {key: "x"}).no_one == "x"


def test_unknown_fields_are_ignored(proto: Any) -> None:
    assert read(proto.Complex, {"unknown": {"a": [1]}, "id": "1"}).id == 1


def test_unknown_fields_may_be_refused(proto: Any) -> None:
    strict = JsonCodec(options=JsonOptions(discard_unknown=False))
    with pytest.raises(CodecError, match=r"^sub\.unknown: ") as caught:
        strict.decode(b'{"sub":{"unknown":1}}', proto.HelloRequest)
    assert caught.value.field == "sub.unknown"
    with pytest.raises(CodecError, match="is no value of"):
        strict.decode(b'{"sex":"child"}', proto.Complex)


def test_unknown_names_of_enums_are_dropped(proto: Any) -> None:
    message = read(
        proto.Everything, {"sexes": ["woman", "child"], "byNumber": {"1": "child", "2": "woman"}}
    )
    assert list(message.sexes) == [1]
    assert dict(message.by_number) == {2: 1}


def test_null_is_the_absence_of_a_field(proto: Any) -> None:
    message = read(proto.Complex, dict.fromkeys(printed(proto.Complex())))
    assert message == proto.Complex()


def test_null_is_a_value_where_the_type_has_one(proto: Any) -> None:
    message = read(proto.Everything, {"value": None, "values": [None], "nothing": None})
    assert message.value.WhichOneof("kind") == "null_value"
    assert message.values[0].WhichOneof("kind") == "null_value"
    assert message.WhichOneof("choice") == "nothing"


@pytest.mark.parametrize(
    ("field", "value", "result"),
    [
        ("f_int64", "9007199254740993", 9007199254740993),
        ("f_int64", 9007199254740993, 9007199254740993),
        ("f_int64", "1e5", 100000),
        ("f_int64", "9007199254740993.0", 9007199254740993),
        ("f_int32", 1.0, 1),
        ("f_int32", 1e5, 100000),
        ("f_int32", "-7", -7),
        ("f_uint64", "18446744073709551615", (1 << 64) - 1),
        ("f_double", 1, 1.0),
        ("f_double", "1.5e3", 1500.0),
        ("f_double", "Infinity", math.inf),
        ("f_double", "-Infinity", -math.inf),
        ("f_float", "3.4028235e38", 3.4028234663852886e38),
        ("f_bool", True, True),
        ("f_bytes", "-_8", b"\xfb\xff"),
        ("f_bytes", "+/8=", b"\xfb\xff"),
        ("f_sex", "woman", 1),
        ("f_sex", 1, 1),
        ("f_sex", 9, 9),
    ],
)
def test_scalar_is_read(proto: Any, field: str, value: object, result: object) -> None:
    assert getattr(read(proto.Scalars, {field: value}), field) == result


_WRONG: list[tuple[str, list[Any]]] = [
    ("f_int32", [True, "", " 1", "1 ", "+1", "01", "1_0", "x", 1.5, "1.5", [], {}, 1 << 31]),
    ("f_int64", ["1e999999999", "9223372036854775808", "1e-5", "\u0661", "0x1"]),
    ("f_uint32", [-1, "-1", 1 << 32]),
    ("f_double", [10**400, True, "nan", "inf", "1_0", "", "1e999", " 1", [], "+1"]),
    ("f_float", [1e39, "1e39", -1e39]),
    ("f_bool", ["true", 0, 1, "", []]),
    ("f_string", [1, True, [], {}, "\ud800"]),
    ("f_bytes", [1, "a", "!!!!", "ab===", "é", []]),
    ("f_sex", [True, 1.5, [], {}]),
]


@pytest.mark.parametrize(("field", "values"), _WRONG)
def test_value_of_a_wrong_type_is_refused_with_its_path(
    proto: Any, field: str, values: list[object]
) -> None:
    for value in values:
        with pytest.raises(CodecError, match=f"^{field}: ") as caught:
            read(proto.Scalars, {field: value})
        assert caught.value.field == field


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"many": [{}, {"fInt32": "x"}]}, "many[1].fInt32"),
        ({"named": {"a": {"fInt32": "x"}}}, 'named["a"].fInt32'),
        ({"numbers": [1, None]}, "numbers[1]"),
        ({"many": [None]}, "many[0]"),
        ({"byBool": {"yes": 1}}, 'byBool["yes"]'),
        ({"byBool": {"true": None}}, 'byBool["true"]'),
        ({"byNumber": {"01": "man"}}, 'byNumber["01"]'),
        ({"inner": {"inner": {"one": []}}}, "inner.inner.one"),
        ({"one": "text"}, "one"),
        ({"many": {}}, "many"),
        ({"named": []}, "named"),
        ({"wrapped": [None]}, "wrapped[0]"),
        ({"times": ["2020"]}, "times[0]"),
        ({"struct": {"a": [1, 10**400]}}, "struct.a[1]"),
        ({"struct": []}, "struct"),
        ({"list": {}}, "list"),
    ],
)
def test_failure_names_the_whole_path(proto: Any, value: object, path: str) -> None:
    with pytest.raises(CodecError) as caught:
        read(proto.Everything, value)
    assert caught.value.field == path
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "data",
    [
        b"[]", b"1", b"null", b'"x"', b"{", b"{bad", b'{"id":1}x', b'{"id":}', b"{'id':1}", b" ",
        b'{"price":NaN}', b'{"price":Infinity}', b'{"d":1e999}', b"\xff", b'{"numberOne":"\xff"}',
        b'{"numberOne":"\x01"}', b"\xef\xbb\xbf{}", b"{\x00}", b"[" * 100_000, b'{"a":' * 100_000,
        b'{"id":' + b"9" * 5000 + b"}", b'{"numberOne":"\\ud800"}',
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(proto: Any, data: bytes) -> None:
    with pytest.raises(CodecError) as caught:
        CODEC.decode(data, proto.Complex)
    assert len(str(caught.value)) < 200


def test_message_about_a_long_name_is_short(proto: Any) -> None:
    strict = JsonCodec(options=JsonOptions(discard_unknown=False))
    with pytest.raises(CodecError) as caught:
        strict.decode(b'{"%s":1}' % (b"x" * 10_000), proto.Complex)
    assert len(str(caught.value)) < 200


def test_syntax_error_names_line_and_column(proto: Any) -> None:
    with pytest.raises(CodecError, match="line 2, column 1"):
        CODEC.decode(b"{\nbad", proto.Complex)


@pytest.mark.parametrize(
    "data", [b'{"id":1,"id":2}', b'{"map":{"a":"1","a":"2"}}', b'{"unknown":{"a":1,"a":2}}']
)
def test_member_given_twice_is_refused(proto: Any, data: bytes) -> None:
    with pytest.raises(CodecError, match="given twice"):
        CODEC.decode(data, proto.Complex)


def test_field_given_under_two_spellings_is_refused(proto: Any) -> None:
    with pytest.raises(CodecError, match="two spellings"):
        read(proto.Complex, {"no_one": "a", "numberOne": "b"})


def test_two_members_of_a_oneof_are_refused_unless_null(proto: Any) -> None:
    with pytest.raises(CodecError, match="oneof choice"):
        read(proto.Everything, {"text": "a", "number": 1})
    assert read(proto.Everything, {"text": None, "number": 1}).number == 1


@pytest.mark.parametrize("key", ["inner", "struct"])
def test_nesting_is_limited(proto: Any, key: str) -> None:
    data = b'{"%s":' % key.encode() * 120 + b"{}" + b"}" * 120
    with pytest.raises(CodecError, match="nested deeper than 100"):
        CODEC.decode(data, proto.Everything)


def test_nesting_of_any_is_limited() -> None:
    head = b'{"@type":"x/google.protobuf.Any","value":'
    with pytest.raises(CodecError, match="nested deeper than 100"):
        CODEC.decode(head * 200 + b"{}" + b"}" * 200, any_pb2.Any)


def test_values_nested_without_end_are_refused(proto: Any) -> None:
    endless: dict[str, Any] = {}
    endless["list"] = [endless]
    with pytest.raises(CodecError, match="nested"):
        CODEC.from_value({"struct": endless, "any": endless}, proto.Everything)


def test_nesting_within_the_limit_survives_the_wire(proto: Any) -> None:
    deep = CODEC.decode(b'{"inner":' * 99 + b"{}" + b"}" * 99, proto.Everything)
    assert proto.Everything.FromString(deep.SerializeToString()) == deep
    deep = CODEC.decode(b'{"struct":' + b'{"a":' * 32 + b"{}" + b"}" * 33, proto.Everything)
    assert proto.Everything.FromString(deep.SerializeToString()) == deep


def test_well_known_types_are_read_in_their_own_forms(proto: Any) -> None:
    message = read(
        proto.Complex,
        {
            "timestamp": "1970-01-01T00:00:20.000000002Z",
            "duration": "-1.5s",
            "field": "fooBar,a.b",
            "int64": "5",
            "double": "NaN",
            "string": "x",
            "bytes": "MQ==",
            "bool": False,
        },
    )
    assert (message.timestamp.seconds, message.timestamp.nanos) == (20, 2)
    assert (message.duration.seconds, message.duration.nanos) == (-1, -500_000_000)
    assert list(message.field.paths) == ["foo_bar", "a.b"]
    assert message.int64.value == 5
    assert math.isnan(message.double.value)
    assert message.bytes.value == b"1"
    assert message.HasField("bool")


@pytest.mark.parametrize(
    ("field", "values"),
    [
        (
            "timestamp",
            ["2020-01-01", "2020-01-01T00:00:00", 1, "", "9999-12-31T23:59:59-01:00"],
        ),
        ("duration", ["1", "1m", "s", "1.s", "315576000001s", 1, "+1s"]),
        ("field", ["foo_bar", 1, True]),
        ("int64", ["x", True]),
    ],
)
def test_malformed_well_known_types_are_refused(
    proto: Any, field: str, values: list[object]
) -> None:
    for value in values:
        with pytest.raises(CodecError, match=f"^{field}: "):
            read(proto.Complex, {field: value})


def test_well_known_types_may_be_the_whole_document() -> None:
    assert CODEC.decode(b'"1970-01-01T00:00:01Z"', timestamp_pb2.Timestamp).seconds == 1
    assert CODEC.decode(b"5", wrappers_pb2.Int32Value).value == 5
    assert CODEC.decode(b"null", struct_pb2.Value).WhichOneof("kind") == "null_value"
    assert CODEC.decode(b"[1,[]]", struct_pb2.ListValue)[0] == 1
    assert CODEC.encode(wrappers_pb2.Int64Value(value=5)) == b'"5"'


def test_any_is_read_with_its_type_anywhere(proto: Any) -> None:
    url = "type.googleapis.com/kratos.tests.three.Sub"
    message = read(proto.Everything, {"any": {"naming": "x", "@type": url}})
    inner = proto.Sub()
    assert message.any.Unpack(inner)
    assert inner.name == "x"


@pytest.mark.parametrize("content", [{}, {"value": {}}])
def test_any_of_an_empty_message_is_read_in_both_forms(content: dict[str, Any]) -> None:
    url = "type.googleapis.com/google.protobuf.Empty"
    assert read(any_pb2.Any, {"@type": url, **content}).type_url == url


@pytest.mark.parametrize(
    "value",
    [
        {"@type": "x/no.Such"}, {"naming": "x"}, {"@type": 5}, {"@type": ""}, [], "x",
        {"@type": "x/google.protobuf.Timestamp"},
        {"@type": "x/google.protobuf.Timestamp", "value": "x"},
        {"@type": "x/kratos.tests.three.Sub", "naming": 1},
    ],
)  # fmt: skip
def test_malformed_any_is_refused(proto: Any, value: object) -> None:
    with pytest.raises(CodecError, match=r"^any"):
        read(proto.Everything, {"any": value})


def test_closed_enum_refuses_unknown_numbers(proto: Any) -> None:
    with pytest.raises(CodecError, match="is no value of"):
        read(proto.Closed, {"size": 9})


def test_extensions_are_read(proto: Any) -> None:
    message = read(proto.Closed, {"[kratos.tests.two.extra]": "x", "[no.such]": 1, "count": 2})
    pool = message.DESCRIPTOR.file.pool
    assert message.Extensions[pool.FindExtensionByName("kratos.tests.two.extra")] == "x"
    with pytest.raises(CodecError, match="extra"):
        read(proto.Closed, {"[kratos.tests.two.extra]": 1})


# Reading the plain JSON of Go Kratos v3


def test_plain_json_of_go_is_read_too(proto: Any) -> None:
    message = read(
        proto.Complex,
        {
            "id": 9007199254740993,
            "no_one": "x",
            "simple": {"component": "y"},
            "sex": 1,
            "count": 3,
            "byte": "MTIz",
            "map_int64_key": {"1": "a"},
            "timestamp": {"seconds": 1, "nanos": 2},
            "duration": {"seconds": 90},
            "field": {"paths": ["a_b"]},
            "int64": {"value": 3},
            "bool": {},
            "bytes": {"value": "MTIz"},
        },
    )
    assert message == proto.Complex(
        id=9007199254740993,
        no_one="x",
        simple={"component": "y"},
        sex=1,
        count=3,
        byte=b"123",
        map_int64_key={1: "a"},
        timestamp={"seconds": 1, "nanos": 2},
        duration={"seconds": 90},
        field={"paths": ["a_b"]},
        int64={"value": 3},
        bool={},
        bytes={"value": b"123"},
    )


def test_plain_any_is_read_as_its_fields(proto: Any) -> None:
    message = read(proto.Everything, {"any": {"type_url": "x/y", "value": "MQ=="}})
    assert (message.any.type_url, message.any.value) == ("x/y", b"1")


@pytest.mark.parametrize(
    "value",
    [{"timestamp": {"seconds": 1, "nanos": -1}}, {"duration": {"seconds": 1, "nanos": -1}},
     {"timestamp": {"seconds": "x"}}, {"int64": {"value": "x"}}],
)  # fmt: skip
def test_plain_objects_of_well_known_types_are_checked(
    proto: Any, value: dict[str, object]
) -> None:
    with pytest.raises(CodecError):
        read(proto.Complex, value)


# Single fields


def test_codec_carries_single_fields() -> None:
    assert isinstance(CODEC, FieldCodec)


@pytest.mark.parametrize(
    ("field", "data"),
    [
        ("strings", b'["a","b"]'),
        ("map_int64_key", b'{"1":"a"}'),
        ("id", b'"5"'),
        ("simple", b'{"component":"x"}'),
        ("timestamp", b'"1970-01-01T00:00:01Z"'),
        ("sex", b'"woman"'),
    ],
)
def test_single_field_is_read_and_printed(proto: Any, field: str, data: bytes) -> None:
    message = proto.Complex()
    CODEC.decode_field(data, message, field)
    assert CODEC.encode_field(message, field) == data


@pytest.mark.parametrize("data", [b"", b"null"])
def test_nothing_leaves_a_single_field_alone(proto: Any, data: bytes) -> None:
    message = proto.Complex(id=1)
    CODEC.decode_field(data, message, "id")
    CODEC.decode_field(data, message, "simple")
    assert message == proto.Complex(id=1)
    assert CODEC.encode_field(message, "simple") == b"null"


def test_malformed_single_field_is_refused_by_name(proto: Any) -> None:
    with pytest.raises(CodecError, match=r"^strings\[0\]: "):
        CODEC.decode_field(b"[1]", proto.Complex(), "strings")
    with pytest.raises(CodecError, match="has no field 'nope'"):
        CODEC.decode_field(b"1", proto.Complex(), "nope")
    with pytest.raises(CodecError, match=r"^timestamp: "):
        CODEC.encode_field(proto.Complex(timestamp={"nanos": -1}), "timestamp")


# Both built-in codecs


@pytest.mark.parametrize("name", ["json", "protojson"])
def test_both_names_have_the_same_dialect(proto: Any, name: str) -> None:
    codec = get(name)
    assert codec is not None
    assert codec.name == name
    assert codec.encode(proto.Complex(id=1)) == CODEC.encode(proto.Complex(id=1))


# Properties, with json_format as the oracle

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_INT32 = st.integers(-(1 << 31), (1 << 31) - 1)
_INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
# The largest floats are left out: json_format refuses their shortest form, which it prints.
_FLOAT32 = st.floats(-(2.0**127), 2.0**127, width=32)
_TIMES = st.fixed_dictionaries(
    {"seconds": st.integers(-62135596800, 253402300799), "nanos": st.integers(0, 999_999_999)}
)
_SPANS = st.tuples(
    st.integers(0, 315575999999), st.integers(0, 999_999_999), st.sampled_from([1, -1])
).map(lambda parts: {"seconds": parts[0] * parts[2], "nanos": parts[1] * parts[2]})
_SCALARS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "f_double": st.floats(allow_nan=False),
        "f_float": _FLOAT32,
        "f_int64": _INT64,
        "f_uint64": st.integers(0, (1 << 64) - 1),
        "f_int32": _INT32,
        "f_fixed32": st.integers(0, (1 << 32) - 1),
        "f_bool": st.booleans(),
        "f_string": _TEXT,
        "f_bytes": st.binary(max_size=6),
        "f_sex": st.sampled_from([0, 1, 7]),
    },
)
_EVERYTHING: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "one": _SCALARS,
        "many": st.lists(_SCALARS, max_size=2),
        "named": st.dictionaries(_TEXT, _SCALARS, max_size=2),
        "by_bool": st.dictionaries(st.booleans(), _INT32),
        "doubles": st.lists(st.floats(allow_nan=False), max_size=3),
        "sexes": st.lists(st.sampled_from([0, 1, 7]), max_size=3),
        "blobs": st.lists(st.binary(max_size=4), max_size=3),
        "opt_double": st.floats(allow_nan=False),
        "text": _TEXT,
        "times": st.lists(_TIMES, max_size=2),
        "spans": st.dictionaries(_TEXT, _SPANS, max_size=2),
        "wrapped": st.lists(st.fixed_dictionaries({"value": _INT64}), max_size=2),
    },
)


@given(fields=_EVERYTHING)
def test_reading_undoes_printing(proto: Any, fields: dict[str, Any]) -> None:
    message = proto.Everything(**fields)
    for codec in (CODEC, BRIEF):
        assert codec.decode(codec.encode(message), proto.Everything) == message


@given(fields=_EVERYTHING)
def test_json_format_reads_what_is_printed(proto: Any, fields: dict[str, Any]) -> None:
    message = proto.Everything(**fields)
    assert json_format.Parse(CODEC.encode(message), proto.Everything()) == message


@given(fields=_EVERYTHING)
def test_what_json_format_prints_is_read(proto: Any, fields: dict[str, Any]) -> None:
    message = proto.Everything(**fields)
    text = json_format.MessageToJson(message)
    assert CODEC.decode(text.encode(), proto.Everything) == message


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(
    value=st.dictionaries(
        st.sampled_from(
            ["one", "many", "named", "byBool", "byNumber", "sexes", "blobs", "inner", "any"]
        )
        | st.sampled_from(
            ["struct", "value", "list", "values", "times", "spans", "empty", "wrapped", "mask"]
        ),
        _JSON | st.dictionaries(st.sampled_from(["@type", "value", "seconds", "paths"]), _JSON),
        max_size=4,
    )
)
def test_any_json_is_read_or_refused(proto: Any, value: dict[str, Any]) -> None:
    try:
        message = CODEC.decode(json.dumps(value).encode(), proto.Everything)
    except CodecError:
        return
    message.SerializeToString()


@given(data=st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode("utf-16")))
def test_any_bytes_are_read_or_refused(proto: Any, data: bytes) -> None:
    try:
        message = CODEC.decode(data, proto.Complex)
    except CodecError:
        return
    assert isinstance(message, proto.Complex)


def test_number_of_thousands_of_digits_is_refused_without_quoting_it(proto: Any) -> None:
    for digits in (4000, 5000):
        with pytest.raises(CodecError) as caught:
            CODEC.decode(b'{"fInt32":' + b"9" * digits + b"}", proto.Scalars)
        assert len(str(caught.value)) < 300
        assert "sys." not in str(caught.value)


def test_half_a_surrogate_pair_is_refused_in_plain_words(proto: Any) -> None:
    with pytest.raises(CodecError, match=r"^name: the text holds one half of a surrogate pair"):
        CODEC.decode(rb'{"name":"\ud800"}', proto.TestModel)
