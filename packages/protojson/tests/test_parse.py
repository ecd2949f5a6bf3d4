"""What is read, by both backends, and what is refused: values, names, limits, options."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from google.protobuf import any_pb2, struct_pb2, timestamp_pb2, wrappers_pb2

from kratos_protojson import JsonError, ParseOptions, Parser, from_dict, from_json


def read(backend: Any, data: str | bytes, kind: Any, **options: Any) -> Any:
    return from_json(data, kind, backend=backend, **options)


def refusal(backend: Any, data: str | bytes, kind: Any, **options: Any) -> JsonError:
    with pytest.raises(JsonError) as caught:
        read(backend, data, kind, **options)
    assert len(str(caught.value)) < 400
    return caught.value


# Scalars


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("f_int64", '"9007199254740993"', 9007199254740993),
        ("f_int64", "9007199254740993", 9007199254740993),
        ("f_int64", '"-9223372036854775808"', -(1 << 63)),
        ("f_int64", '"1e5"', 100000), ("f_int64", '"9007199254740993.0"', 9007199254740993),
        ("f_int64", "1.5e1", 15), ("f_int64", "0e99", 0),
        ("f_int64", '"-0.0e99999999999999999999"', 0), ("f_int64", "100e-2", 1),
        ("f_int32", "-0", 0), ("f_int32", "1.0", 1), ("f_int32", '"-7"', -7),
        ("f_uint64", '"18446744073709551615"', (1 << 64) - 1),
        ("f_uint64", "18446744073709551615", (1 << 64) - 1),
        ("f_sint32", "-2147483648", -(1 << 31)), ("f_sint64", '"-1"', -1),
        ("f_fixed32", "4294967295", (1 << 32) - 1), ("f_sfixed64", '"-5"', -5),
        ("f_double", "1", 1.0), ("f_double", '"1.5e3"', 1500.0), ("f_double", "1E-2", 0.01),
        ("f_double", '"Infinity"', math.inf), ("f_double", '"-Infinity"', -math.inf),
        ("f_double", "1.7976931348623157e308", 1.7976931348623157e308),
        ("f_float", "3.4028235e38", 3.4028234663852886e38), ("f_float", "0.1", 0.10000000149011612),
        ("f_bool", "true", True), ("f_bool", "false", False),
        ("f_string", r'"\u00e9\ud83d\ude00\n\/\""', 'é😀\n/"'), ("f_string", '"é"', "é"),
        ("f_bytes", '"-_8"', b"\xfb\xff"), ("f_bytes", '"+/8="', b"\xfb\xff"),
        ("f_bytes", '""', b""),
        ("f_color", '"COLOR_ROUGE"', 1), ("f_color", "-2", -2), ("f_color", "9", 9),
        ("f_color", "1.0", 1),
    ],
)  # fmt: skip
def test_scalar_is_read(proto: Any, backend: str, field: str, text: str, value: object) -> None:
    message = read(backend, f'{{"{field}":{text}}}', proto.Scalars)
    assert getattr(message, field) == value


@pytest.mark.parametrize("last", ["0", "1"])
def test_integer_with_very_many_decimals_is_read_or_refused_at_once(
    proto: Any, backend: str, last: str
) -> None:
    text = f'{{"fInt32":"7.{"0" * 700_000}{last}"}}'  # a ratio of it takes longer than a test may
    if last == "0":
        assert read(backend, text, proto.Scalars).f_int32 == 7
    else:
        assert "expected an integer" in str(refusal(backend, text, proto.Scalars))


@pytest.mark.parametrize("text", ["-0", "-0.0", "-0e5", '"-0"'])
def test_negative_zero_keeps_its_sign(proto: Any, backend: str, text: str) -> None:
    message = read(backend, f'{{"fDouble": {text} }}', proto.Scalars)
    assert math.copysign(1, message.f_double) == -1


def test_not_a_number_is_read(proto: Any, backend: str) -> None:
    assert math.isnan(read(backend, '{"fFloat":"NaN"}', proto.Scalars).f_float)


_WRONG: list[tuple[str, list[Any]]] = [
    ("fInt32", [True, "", " 1", "1 ", "+1", "01", "1_0", "x", 1.5, "1.5", [], {}, 1 << 31, "1e"]),
    (
        "fInt64",
        [
            "1e999999999", "1e99999999999999999999", "1e-99999999999999999999", "1e-5",
            "9223372036854775808", "\u0661", "0x1", 1e19, 10**40,
        ],
    ),
    ("fUint32", [-1, "-1", 1 << 32]),
    ("fUint64", [-1, "18446744073709551616", 1 << 64]),
    ("fDouble", [10**400, True, "nan", "inf", "1_0", "", "1e999", " 1", [], "+1", ".5", "5."]),
    ("fFloat", [1e39, "1e39", -1e39, "3.5e38"]),
    ("fBool", ["true", 0, 1, "", []]),
    ("fString", [1, True, [], {}]),
    ("fBytes", [1, "a", "!!!!", "ab===", "é", [], "a=b="]),
    ("fColor", [True, 1.5, [], {}, 1 << 31]),
]  # fmt: skip


@pytest.mark.parametrize(("key", "values"), _WRONG)
def test_value_of_a_wrong_type_is_refused_with_its_path(
    proto: Any, backend: str, key: str, values: list[object]
) -> None:
    for value in values:
        for options in ({}, {"ignore_unknown": False}):
            error = refusal(backend, json.dumps({key: value}), proto.Scalars, **options)
            assert error.path == f"$.{key}", value


@pytest.mark.parametrize("text", ["0.5e-999", "-0.5e-9551615", "1e-30", "0.25"])
def test_part_of_one_is_no_integer_however_small(proto: Any, backend: str, text: str) -> None:
    error = refusal(backend, f'{{"fInt32":"{text}"}}', proto.Scalars)
    assert error.problem.startswith("expected an integer")


def test_number_beyond_the_range_of_doubles_is_refused(proto: Any, backend: str) -> None:
    assert refusal(backend, '{"fDouble":1e999}', proto.Scalars).path == "$.fDouble"
    assert refusal(backend, '{"struct":{"a":[1,-1e999]}}', proto.WellKnown).path == "$.struct.a[1]"


# Fields


@pytest.mark.parametrize("key", ["big_number", "huge"])
def test_field_is_read_under_both_names(proto: Any, backend: str, key: str) -> None:
    assert read(backend, f'{{"{key}":"5"}}', proto.Sub).big_number == 5


def test_null_is_the_absence_of_a_field(proto: Any, backend: str) -> None:
    for kind in (proto.Scalars, proto.Lists, proto.Maps, proto.Everything, proto.Closed):
        names = [field.json_name for field in kind.DESCRIPTOR.fields]
        assert read(backend, json.dumps(dict.fromkeys(names)), kind) == kind()


def test_null_is_a_value_where_the_type_has_one(proto: Any, backend: str) -> None:
    message = read(backend, '{"value":null,"values":[null],"nulls":[null]}', proto.WellKnown)
    assert message.value.WhichOneof("kind") == "null_value"
    assert message.values[0].WhichOneof("kind") == "null_value"
    assert list(message.nulls) == [0]
    choice = read(backend, '{"nothing":null,"text":null}', proto.Choice)
    assert choice.WhichOneof("kind") == "nothing"


def test_lists_maps_and_groups_are_read(proto: Any, backend: str) -> None:
    lists = {"fInt32": [1, "2"], "fSub": [{"name": "x"}, {}], "fUnpacked": [1], "fBool": [True]}
    assert read(backend, json.dumps(lists), proto.Lists) == proto.Lists(
        f_int32=[1, 2], f_sub=[{"name": "x"}, {}], f_unpacked=[1], f_bool=[True]
    )
    maps = {
        "boolInt32": {"true": 1}, "sint64Uint64": {"-1": "2"}, "sfixed64Sub": {"7": {"huge": 1}},
        "fixed32Color": {"1": "COLOR_RED"}, "stringValue": {"a": None},
        "stringMaps": {"a": {"stringString": {"b": "c"}}},
    }  # fmt: skip
    found = read(backend, json.dumps(maps), proto.Maps)
    assert found.bool_int32[True] == 1
    assert found.sint64_uint64[-1] == 2
    assert found.sfixed64_sub[7].big_number == 1
    assert found.fixed32_color[1] == 1
    assert found.string_value["a"].WhichOneof("kind") == "null_value"
    assert found.string_maps["a"].string_string["b"] == "c"
    closed = read(backend, '{"box":{"size":"SMALL"},"item":[{},{"label":"x"}]}', proto.Closed)
    assert (closed.box.size, closed.item[1].label) == (1, "x")
    mixed = read(backend, '{"delimitedChildren":[{"explicit":0}],"expanded":[1,2]}', proto.Mixed)
    assert mixed.delimited_children[0].HasField("explicit")


def test_types_of_more_fields_than_a_word_has_bits_are_read(proto: Any, backend: str) -> None:
    value = {f"f{at}": at for at in range(1, 66)} | {"lastOne": "x"}
    message = read(backend, json.dumps(value), proto.Wide)
    assert (message.f1, message.f65, message.last_one) == (1, 65, "x")
    assert refusal(backend, '{"f65":1,"f1":2,"f65":3}', proto.Wide).path == "$.f65"


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"children": [{}, {"scalars": {"fInt32": "x"}}]}, "$.children[1].scalars.fInt32"),
        ({"lists": {"fInt32": [1, None]}}, "$.lists.fInt32[1]"),
        ({"lists": {"fSub": [None]}}, "$.lists.fSub[0]"),
        ({"lists": {"fSub": {}}}, "$.lists.fSub"),
        ({"maps": {"boolInt32": {"yes": 1}}}, '$.maps.boolInt32["yes"]'),
        ({"maps": {"boolInt32": {"true": None}}}, '$.maps.boolInt32["true"]'),
        ({"maps": {"uint64Bytes": {"01": ""}}}, '$.maps.uint64Bytes["01"]'),
        ({"maps": {"uint64Bytes": {"-1": ""}}}, '$.maps.uint64Bytes["-1"]'),
        ({"maps": {"sfixed64Sub": {"1": {"huge": "x"}}}}, '$.maps.sfixed64Sub["1"].huge'),
        ({"maps": []}, "$.maps"),
        ({"wellKnown": {"wrapped": [None]}}, "$.wellKnown.wrapped[0]"),
        ({"wellKnown": {"timestamps": ["2020"]}}, "$.wellKnown.timestamps[0]"),
        ({"wellKnown": {"listValue": {}}}, "$.wellKnown.listValue"),
        ({"wellKnown": {"struct": []}}, "$.wellKnown.struct"),
        ({"wellKnown": {"any": {"@type": "x/no.Such"}}}, "$.wellKnown.any"),
        ({"inner": {"class": 1}}, "$.inner.class"),
    ],
)
def test_failure_names_the_whole_path(proto: Any, backend: str, value: object, path: str) -> None:
    assert refusal(backend, json.dumps(value), proto.Everything).path == path


def test_unknown_fields_and_names_of_enums_are_ignored(proto: Any, backend: str) -> None:
    data = '{"no":{"such":[1,{"field":"\\n"}]},"fColor":["COLOR_RED","MAUVE"],"fInt32":[1]}'
    assert read(backend, data, proto.Lists) == proto.Lists(f_color=[1], f_int32=[1])
    data = '{"fixed32Color":{"1":"MAUVE","2":"COLOR_RED"}}'
    assert dict(read(backend, data, proto.Maps).fixed32_color) == {2: 1}
    assert read(backend, '{"color":"MAUVE"}', proto.Choice) == proto.Choice()


def test_unknown_fields_and_names_of_enums_may_be_refused(proto: Any, backend: str) -> None:
    for data, path in (
        ('{"inner":{"no":1}}', "$.inner.no"),
        ('{"choice":{"color":"MAUVE"}}', "$.choice.color"),
        ('{"wellKnown":{"any":{"@type":"x/google.protobuf.Int32Value","value":1,"no":1}}}',
         "$.wellKnown.any"),
    ):  # fmt: skip
        assert refusal(backend, data, proto.Everything, ignore_unknown=False).path == path


@pytest.mark.parametrize(
    ("data", "path", "problem"),
    [
        ('{"fInt32":1,"fInt32":2}', "$.fInt32", "given twice$"),
        ('{"f_int32":1,"fInt32":2}', None, "two spellings"),
        ('{"no":1,"no":2}', "$.no", "given twice"),
        ('{"no":[{"a":1,"a":2}]}', "$.no[0].a", "given twice"),
        ('{"fString":":","fString":"x"}', "$.fString", "given twice"),
        (r'{"fString":"\u003a","fString":"\""}', "$.fString", "given twice"),
        ('{"fString" : "a", "fString" :"b"}', "$.fString", "given twice"),
    ],
)
def test_member_given_twice_is_refused(
    proto: Any, backend: str, data: str, path: str | None, problem: str
) -> None:
    with pytest.raises(JsonError, match=problem) as caught:
        read(backend, data, proto.Scalars)
    assert path in (None, caught.value.path)


@pytest.mark.parametrize(("before", "after"), [("[", "]"), ('{"a":', "}")])
def test_member_given_twice_is_refused_below_more_levels_than_python_calls(
    proto: Any, backend: str, before: str, after: str
) -> None:
    deep = f'{before * 3000}{{"b":1,"b":2}}{after * 3000}'
    assert refusal(backend, f'{{"no":{deep}}}', proto.Sub).problem


def test_member_given_twice_is_refused_in_maps_structs_and_any(proto: Any, backend: str) -> None:
    many = ",".join(f'"k{at}":"v"' for at in range(40))
    for data, kind in (
        ('{"stringString":{"a":"1","a":"2"}}', proto.Maps),
        (f'{{"stringString":{{{many},"k7":"2"}}}}', proto.Maps),
        ('{"struct":{"a":1,"a":2}}', proto.WellKnown),
        ('{"any":{"@type":"x/google.protobuf.Empty","@type":"x/google.protobuf.Empty"}}',
         proto.WellKnown),
        ('{"any":{"@type":"x/google.protobuf.Int32Value","value":1,"value":2}}', proto.WellKnown),
    ):  # fmt: skip
        assert "given twice" in refusal(backend, data, kind).problem
    assert len(read(backend, f'{{"stringString":{{{many}}}}}', proto.Maps).string_string) == 40


def test_the_last_of_two_members_may_win(proto: Any, backend: str) -> None:
    message = read(backend, '{"fInt32":1,"fInt32":2}', proto.Scalars, allow_duplicates=True)
    assert message.f_int32 == 2


def test_two_members_of_a_oneof_are_refused_unless_null(proto: Any, backend: str) -> None:
    assert "oneof kind" in refusal(backend, '{"text":"a","number":1}', proto.Choice).problem
    assert "oneof kind" in refusal(backend, '{"text":"a","nothing":null}', proto.Choice).problem
    assert read(backend, '{"text":null,"number":1}', proto.Choice).number == 1


def test_closed_enum_refuses_unknown_numbers(proto: Any, backend: str) -> None:
    assert refusal(backend, '{"size":9}', proto.Closed).path == "$.size"
    assert refusal(backend, '{"shuts":[0,1]}', proto.Mixed).path == "$.shuts[1]"


def test_extensions_and_message_sets_are_read(proto: Any, backend: str) -> None:
    data = {
        "[kratos.protojson.two.extra_text]": "y",
        "[kratos.protojson.two.extra_numbers]": [1, 2],
        "[kratos.protojson.two.extra_message]": {"closed": {"count": 1}},
        "[kratos.protojson.two.extra_messages]": [{"depth": 1}],
        "[kratos.protojson.two.extra_size]": None,
        "[no.such]": 1,
        "set": {"[kratos.protojson.two.Member.member]": {"name": "m"}},
    }
    message = read(backend, json.dumps(data), proto.Closed)
    extensions = message.DESCRIPTOR.file.extensions_by_name
    assert message.Extensions[extensions["extra_text"]] == "y"
    assert list(message.Extensions[extensions["extra_numbers"]]) == [1, 2]
    assert message.Extensions[extensions["extra_message"]].closed.count == 1
    assert message.Extensions[extensions["extra_messages"]][0].depth == 1
    assert not message.HasExtension(extensions["extra_size"])
    member = proto.Member.DESCRIPTOR.extensions_by_name["member"]
    assert message.set.Extensions[member].name == "m"
    error = refusal(backend, '{"[kratos.protojson.two.extra_text]":1}', proto.Closed)
    assert error.path == "$[kratos.protojson.two.extra_text]"
    refusal(backend, '{"[no.such]":1}', proto.Closed, ignore_unknown=False)


# Well-known types


def test_well_known_types_are_read_in_their_own_forms(proto: Any, backend: str) -> None:
    data: dict[str, Any] = {
        "timestamp": "1969-12-31T23:59:59.000001+00:00", "duration": "-1.5s",
        "fieldMask": "fooBar,a.bC", "empty": {}, "int64Value": "5", "doubleValue": "NaN",
        "boolValue": False, "bytesValue": "MQ==", "stringValue": "",
    }  # fmt: skip
    message = read(backend, json.dumps(data), proto.WellKnown)
    assert (message.timestamp.seconds, message.timestamp.nanos) == (-1, 1000)
    assert (message.duration.seconds, message.duration.nanos) == (-1, -500_000_000)
    assert list(message.field_mask.paths) == ["foo_bar", "a.b_c"]
    assert message.HasField("empty")
    assert message.int64_value.value == 5
    assert math.isnan(message.double_value.value)
    assert message.HasField("bool_value")
    assert message.bytes_value.value == b"1"


@pytest.mark.parametrize(
    ("text", "seconds", "nanos"),
    [
        ("0001-01-01T00:00:00Z", -62135596800, 0), ("9999-12-31T23:59:59.999999999Z",
         253402300799, 999999999), ("2000-02-29T12:00:00.5-01:30", 951831000, 500000000),
        ("9999-12-31T23:59:59+23:59", 253402214459, 0),
    ],
)  # fmt: skip
def test_timestamps_are_read_over_the_whole_range(
    backend: str, text: str, seconds: int, nanos: int
) -> None:
    message = read(backend, f'"{text}"', timestamp_pb2.Timestamp)
    assert (message.seconds, message.nanos) == (seconds, nanos)


_MALFORMED: list[tuple[str, list[Any]]] = [
        (
            "timestamp",
            [
                "2020-01-01", "2020-01-01T00:00:00", 1, "", "9999-12-31T23:59:59-01:00",
                "0000-01-01T00:00:00Z", "2021-02-29T00:00:00Z", "2020-13-01T00:00:00Z",
                "2020-00-01T00:00:00Z", "2020-01-01T24:00:00Z", "2020-01-01T00:60:00Z",
                "2020-01-01T00:00:60Z", "2020-01-01t00:00:00Z", "2020-01-01T00:00:00z",
                "2020-01-01T00:00:00.Z", "2020-01-01T00:00:00.0000000001Z", "2020-W01-1T00:00:00Z",
                "2020-01-01T00:00:00+24:00", "2020-01-01T00:00:00+00:60", "2020-1-01T00:00:00Z",
                "0001-01-01T00:00:00+00:01", {"seconds": 1},
            ],
        ),
        ("duration", ["1", "1m", "s", "1.s", "315576000001s", 1, "+1s", "-s", "1.0000000000s", {}]),
        ("fieldMask", ["foo_bar", 1, True, {"paths": ["a"]}]),
        ("int64Value", ["x", True, {"value": 1}]),
        ("any", [{"@type": 5}, {"@type": ""}, [], "x", {"name": 1}, {"type_url": "x/y"},
                 {"@type": "x/google.protobuf.Timestamp"},
                 {"@type": "x/google.protobuf.Timestamp", "value": "x"},
                 {"@type": "x/kratos.protojson.three.Sub", "name": 1}]),
    ]  # fmt: skip


@pytest.mark.parametrize(("key", "values"), _MALFORMED)
def test_malformed_well_known_types_are_refused(
    proto: Any, backend: str, key: str, values: list[object]
) -> None:
    for value in values:
        error = refusal(backend, json.dumps({key: value}), proto.WellKnown)
        assert error.path.startswith(f"$.{key}"), value


def test_well_known_types_may_be_the_whole_document(backend: str) -> None:
    assert read(backend, " 5 ", wrappers_pb2.Int32Value).value == 5
    assert read(backend, "null", struct_pb2.Value).WhichOneof("kind") == "null_value"
    assert read(backend, "[1,[]]", struct_pb2.ListValue)[0] == 1


def test_any_is_read_with_its_type_anywhere(proto: Any, backend: str) -> None:
    url = "type.googleapis.com/kratos.protojson.three.Sub"
    message = read(backend, f'{{"name":"x","@type":"{url}"}}', any_pb2.Any)
    inner = proto.Sub()
    assert message.Unpack(inner)
    assert inner.name == "x"
    assert read(backend, "{}", any_pb2.Any) == any_pb2.Any()


@pytest.mark.parametrize("content", ["", ',"value":{}'])
def test_any_holding_empty_is_read_in_both_forms(backend: str, content: str) -> None:
    for options in ({}, {"ignore_unknown": False}):
        data = f'{{"@type":"x/google.protobuf.Empty"{content}}}'
        assert read(backend, data, any_pb2.Any, **options).type_url == "x/google.protobuf.Empty"


def test_plain_objects_of_go_are_read_when_asked_for(proto: Any, backend: str) -> None:
    data = {
        "timestamp": {"seconds": 1, "nanos": 2}, "duration": {"seconds": 90},
        "field_mask": {"paths": ["a_b"]}, "int64_value": {"value": 3}, "bool_value": {},
        "any": {"type_url": "x/y", "value": "MQ=="},
    }  # fmt: skip
    message = read(backend, json.dumps(data), proto.WellKnown, plain_objects=True)
    assert message == proto.WellKnown(
        timestamp={"seconds": 1, "nanos": 2}, duration={"seconds": 90},
        field_mask={"paths": ["a_b"]}, int64_value={"value": 3}, bool_value={},
        any={"type_url": "x/y", "value": b"1"},
    )  # fmt: skip
    for wrong in ({"timestamp": {"nanos": -1}}, {"duration": {"seconds": 1, "nanos": -1}}):
        refusal(backend, json.dumps(wrong), proto.WellKnown, plain_objects=True)


# Texts


@pytest.mark.parametrize(
    "data",
    [
        b"", b" ", b"[]", b"1", b"null", b'"x"', b"{", b"{bad", b'{"fInt32":1}x', b'{"fInt32":}',
        b"{'fInt32':1}", b'{"fInt32":1,}', b'{,}', b'{"fFloat":NaN}', b'{"fFloat":Infinity}',
        b"\xff", b'{"fString":"\xff"}', b'{"fString":"\x01"}', b"\xef\xbb\xbf{}", b"{\x00}",
        b"[" * 100_000, b'{"a":' * 100_000, b'{"fInt32":' + b"9" * 5000 + b"}", b'{"fInt32":01}',
        b'{"fString":"\\ud800"}', b'{"fString":"\\ud800\\u0041"}', b'{"fString":"\\x"}',
        b'{"fString":"\\u12"}', b'{"fString":"', b'{"fBool":tru}', b'{"fBool":nul}',
        b'{"no":[1,]}', b'{"no":tru}', b'{"no":1.}', b'{"no":-}', b'{"fDouble":.5}', b"{}{}",
        b'{"fInt32":1 "fBool":true}', b'\x0b{}', b'{"fBytes":"\\u00e9"}',
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(proto: Any, backend: str, data: bytes) -> None:
    refusal(backend, data, proto.Scalars)


def test_syntax_error_names_line_and_column(proto: Any, backend: str) -> None:
    error = refusal(backend, '{\n"é":"é",bad', proto.Scalars)
    assert error.problem.startswith("line 2, column 9: ")
    assert error.path == "$"


def as_text(data: bytes) -> str:
    return data.decode()


@pytest.mark.parametrize("convert", [bytes, bytearray, memoryview, as_text])
def test_bytes_of_all_kinds_and_text_are_read(proto: Any, backend: str, convert: Any) -> None:
    assert read(backend, convert('{"name":"é"}'.encode()), proto.Sub).name == "é"


def test_text_with_half_a_surrogate_pair_is_refused(proto: Any, backend: str) -> None:
    assert "surrogate" in refusal(backend, '{"name":"\ud800"}', proto.Sub).problem
    assert "surrogate" in refusal(backend, r'{"name":"\ud800"}', proto.Sub).problem


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (r'{"naming":"\ud800"}', "naming"),
        (r'{"unknown":"\ud800"}', "unknown"),
        (r'{"\udc00":1}', ""),
        (r'{"unknown":[{"a\uD83d":null}]}', "unknown[0]"),
        (r'{"unknown":[1,{"a":{"b":"\ud800"}}]}', "unknown[1].a.b"),
        (r'{"unknown":"\udc00\ud800"}', "unknown"),
    ],
)
def test_half_a_surrogate_pair_is_refused_with_its_path_also_where_nothing_is_read(
    proto: Any, backend: str, text: str, field: str
) -> None:
    found = refusal(backend, text.encode(), proto.Sub)
    assert "surrogate" in found.problem
    assert found.field == field


def test_half_a_surrogate_pair_within_half_of_one_is_refused_in_words_that_can_be_sent(
    proto: Any, backend: str
) -> None:
    text = rb'{"a\ud800":{"b\ud800":"\ud800"}}'
    assert str(refusal(backend, text, proto.Sub)).encode()


def test_whole_surrogate_pair_is_skipped_where_nothing_is_read(proto: Any, backend: str) -> None:
    assert read(backend, r'{"unknown":"\ud83d\ude00 \\ud800","name":"x"}', proto.Sub).name == "x"


# Limits


@pytest.mark.parametrize("key", ["inner", "children"])
def test_nesting_is_limited(proto: Any, backend: str, key: str) -> None:
    head, tail = ("[", "]") if key == "children" else ("", "")

    def nested(levels: int) -> str:
        return f'{{"{key}":{head}' * levels + "{}" + f"{tail}}}" * levels

    deep = read(backend, nested(99), proto.Everything)
    assert proto.Everything.FromString(proto.Everything.SerializeToString(deep)) == deep
    assert "deeper than 100" in refusal(backend, nested(100), proto.Everything).problem
    assert "deeper than 3" in refusal(backend, nested(3), proto.Everything, max_depth=3).problem
    read(backend, nested(120), proto.Everything, max_depth=200)


def test_nesting_of_structs_and_any_is_limited(proto: Any, backend: str) -> None:
    head = '{"@type":"x/google.protobuf.Any","value":'
    assert "deeper" in refusal(backend, head * 200 + "{}" + "}" * 200, any_pb2.Any).problem
    assert "deeper" in refusal(backend, "[" * 200 + "]" * 200, struct_pb2.Value).problem
    fits = '{"struct":' + '{"a":' * 32 + "{}" + "}" * 33
    read(backend, fits, proto.WellKnown)
    assert "deep" in refusal(backend, '{"no":' * 100_000 + "1" + "}" * 100_000, proto.Sub).problem


def test_size_is_limited(proto: Any, backend: str) -> None:
    assert read(backend, '{"name":""}', proto.Sub, max_size=11) == proto.Sub()
    error = refusal(backend, '{"name":"x"}', proto.Sub, max_size=11)
    assert error.problem == "12 bytes of JSON exceed 11: raise max_size"


@pytest.mark.parametrize("options", [{"max_depth": 0}, {"max_size": -1}])
def test_absurd_limits_are_refused(options: Any) -> None:
    with pytest.raises(ValueError, match="must"):
        ParseOptions(**options)


# Other ways in


def test_dictionaries_are_read(proto: Any) -> None:
    value = {"scalars": {"fInt64": "5", "fDouble": 1.5}}
    assert from_dict(value, proto.Everything).scalars.f_int64 == 5
    with pytest.raises(JsonError) as caught:
        from_dict({"scalars": {"fDouble": math.inf}}, proto.Everything)
    assert caught.value.path == "$.scalars.fDouble"


def test_dictionary_that_holds_itself_is_refused(proto: Any) -> None:
    endless: dict[str, Any] = {}
    endless["list"] = [endless]
    with pytest.raises(JsonError, match="nested"):
        from_dict({"struct": endless}, proto.WellKnown)


def test_parser_compiles_a_function_for_a_type(proto: Any, backend: Any) -> None:
    parser = Parser(ParseOptions(backend=backend))
    parse = parser.for_type(proto.Sub)
    assert parse(b'{"name":"x"}') == parser.from_json(b'{"name":"x"}', proto.Sub)
    assert parser.for_type(proto.Sub) is parse


def test_single_field_is_read_into_a_message(proto: Any, backend: Any) -> None:
    parser = Parser(ParseOptions(backend=backend))
    message = proto.Envelope()
    parser.field_from_json(b'{"orderId":"5","lines":[{"price":1}]}', message, "order")
    assert (message.order.order_id, message.order.lines[0].price) == (5, 1)
    with pytest.raises(JsonError) as caught:
        parser.field_from_json(b'{"lines":[{"price":"x"}]}', message, "order")
    assert caught.value.path == "$.order.lines[0].price"
