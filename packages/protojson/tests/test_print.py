"""What is printed, by both backends: Go's forms (Go: encoding/protojson), and every option."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from google import protobuf
from google.protobuf import any_pb2, empty_pb2, struct_pb2, timestamp_pb2, wrappers_pb2

from kratos_protojson import JsonError, Printer, PrintOptions, to_dict, to_json

KEEPS_FIELD_0 = int(protobuf.__version__.partition(".")[0]) > 6


def printed(backend: Any, message: Any, **options: Any) -> str:
    return to_json(message, backend=backend, **options).decode()


# The forms of Go


def test_group_that_nobody_knows_is_left_out_whatever_is_in_it(proto: Any, backend: Any) -> None:
    # Field 0 is one that no message can have, and that protobuf keeps all the same, from 7 on.
    zero = b"\x00\x02" if KEEPS_FIELD_0 else b""
    group = b"\x7b" + zero + b"\x38\x05" + b"\x7c"
    message = proto.Sub.FromString(b"\x0a\x01x" + group)
    assert printed(backend, message, emit_unset=False) == '{"name":"x"}'
    empty = empty_pb2.Empty.FromString(b"\x02\x01x" if KEEPS_FIELD_0 else b"")
    assert printed(backend, empty) == "{}"


def test_member_of_a_oneof_is_not_hidden_by_one_of_a_wrong_wire_type(
    proto: Any, backend: str
) -> None:
    color, no_message = b"\x30\x01", b"\x1d\x00\x00\x00\x00"
    message = proto.Choice.FromString(color + no_message)
    assert printed(backend, message, emit_unset=False) == '{"color":"COLOR_RED"}'


def test_defaults_are_those_of_go_kratos(proto: Any, backend: str) -> None:
    assert printed(backend, proto.Order(order_id=1)) == (
        '{"orderId":"1","lines":[],"createdAt":null}'
    )


def test_unset_fields_are_zero_empty_or_null(proto: Any, backend: str) -> None:
    assert printed(backend, proto.Scalars()) == (
        '{"fDouble":0,"fFloat":0,"fInt32":0,"fInt64":"0","fUint32":0,"fUint64":"0","fSint32":0,'
        '"fSint64":"0","fFixed32":0,"fFixed64":"0","fSfixed32":0,"fSfixed64":"0","fBool":false,'
        '"fString":"","fBytes":"","fColor":"COLOR_UNSPECIFIED"}'
    )
    assert printed(backend, proto.Maps()) == (
        '{"stringString":{},"int32Double":{},"int64Float":{},"uint32Bool":{},"uint64Bytes":{},'
        '"sint32Int64":{},"sint64Uint64":{},"fixed32Color":{},"sfixed64Sub":{},"boolInt32":{},'
        '"stringValue":{},"stringMaps":{}}'
    )
    assert json.loads(printed(backend, proto.Closed())) == {
        "size": None, "count": None, "sizes": [], "moods": {}, "needed": None, "text": None,
        "box": None, "item": [], "set": None,
    }  # fmt: skip
    assert json.loads(printed(backend, proto.Mixed())) == {
        "implicit": 0, "explicit": None, "required": None, "packed": [], "expanded": [],
        "plainChild": None, "delimitedChild": None, "delimitedChildren": [], "open": "ZERO",
        "shut": None, "shuts": [], "unchecked": "",
    }  # fmt: skip


def test_members_of_oneofs_and_optional_fields_have_no_unset_form(proto: Any, backend: str) -> None:
    assert printed(backend, proto.Choice()) == "{}"
    assert printed(backend, proto.Optionals()) == "{}"
    assert printed(backend, proto.Choice(number=0)) == '{"number":0}'
    assert printed(backend, proto.Choice(nothing=0)) == '{"nothing":null}'
    assert printed(backend, proto.Optionals(f_bool=False)) == '{"fBool":false}'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"), (-1.5, "-1.5"), (0.1, "0.1"), (1e15, "1000000000000000"),
        (9007199254740993.0, "9007199254740992"), (1e16, "10000000000000000"),
        (1e20, "100000000000000000000"), (1.2345678901234567e20, "123456789012345670000"),
        (1e21, "1e+21"), (-1.5e300, "-1.5e+300"), (1.5e-5, "0.000015"),
        (1e-7, "1e-7"), (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (math.inf, '"Infinity"'), (-math.inf, '"-Infinity"'), (math.nan, '"NaN"'),
        (-0.0, "-0.0"),
    ],
)  # fmt: skip
def test_doubles_have_the_form_of_go(proto: Any, backend: str, value: float, text: str) -> None:
    message = proto.Scalars(f_double=value)
    assert printed(backend, message, emit_unset=False) == f'{{"fDouble":{text}}}'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"), (16777216.0, "16777216"), (3.4028234663852886e38, "3.4028235e+38"),
        (1.3644169484905433e-05, "0.0000136441695"), (1.401298464324817e-45, "1e-45"),
        (1e10, "10000000000"), (1.1754943508222875e-38, "1.1754944e-38"),
    ],
)  # fmt: skip
def test_32_bit_floats_have_the_fewest_digits(
    proto: Any, backend: str, value: float, text: str
) -> None:
    message = proto.Scalars(f_float=value)
    assert printed(backend, message, emit_unset=False) == f'{{"fFloat":{text}}}'


def test_limits_of_integers_are_exact(proto: Any, backend: str) -> None:
    message = proto.Scalars(
        f_int32=-(1 << 31), f_int64=-(1 << 63), f_uint32=(1 << 32) - 1, f_uint64=(1 << 64) - 1,
        f_sint32=-(1 << 31), f_sint64=(1 << 63) - 1, f_fixed32=1, f_fixed64=1 << 63,
        f_sfixed32=-1, f_sfixed64=-1,
    )  # fmt: skip
    assert printed(backend, message, emit_unset=False) == (
        '{"fInt32":-2147483648,"fInt64":"-9223372036854775808","fUint32":4294967295,'
        '"fUint64":"18446744073709551615","fSint32":-2147483648,"fSint64":"9223372036854775807",'
        '"fFixed32":1,"fFixed64":"9223372036854775808","fSfixed32":-1,"fSfixed64":"-1"}'
    )


def test_text_is_utf8_with_the_escapes_of_json_alone(proto: Any, backend: str) -> None:
    text = 'é\u2028😀"\\/\b\f\n\r\t\x00\x1f\x7f'
    found = printed(backend, proto.Sub(name=text), emit_unset=False)
    expected = r'{"name":"é' + "\u2028" + r"😀\"\\/\b\f\n\r\t\u0000\u001f" + '\x7f"}'
    assert found == expected


def test_bytes_are_base64_with_padding(proto: Any, backend: str) -> None:
    for data, text in ((b"", ""), (b"\xfb", "+w=="), (b"\xfb\xff", "+/8="), (b"abc", "YWJj")):
        assert f'"fBytes":"{text}"' in printed(backend, proto.Scalars(f_bytes=data))


def test_enums_are_names_and_unknown_numbers_stay_numbers(proto: Any, backend: str) -> None:
    message = proto.Lists(f_color=[0, 1, -2, 7])
    found = printed(backend, message, emit_unset=False)
    assert found == '{"fColor":["COLOR_UNSPECIFIED","COLOR_RED","COLOR_BLUE",7]}'


def test_maps_are_in_the_order_of_their_keys(proto: Any, backend: str) -> None:
    message = proto.Maps(
        string_string={"b": "1", "a": "2", "é": "3", "": "4"},
        int64_float={10: 1, -2: 1, 9: 1},
        uint64_bytes={1 << 63: b"", 2: b""},
        sint32_int64={-1: 1, 1: 2},
        fixed32_color={3: 1},
        bool_int32={True: 1, False: 0},
    )
    assert printed(backend, message, emit_unset=False) == (
        '{"stringString":{"":"4","a":"2","b":"1","é":"3"},"int64Float":{"-2":1,"9":1,"10":1},'
        '"uint64Bytes":{"2":"","9223372036854775808":""},"sint32Int64":{"-1":"1","1":"2"},'
        '"fixed32Color":{"3":"COLOR_RED"},"boolInt32":{"false":0,"true":1}}'
    )


def test_well_known_types_have_their_own_forms(proto: Any, backend: str) -> None:
    message = proto.WellKnown(
        timestamp={"seconds": -1, "nanos": 1000},
        duration={"seconds": -1, "nanos": -500_000_000},
        field_mask={"paths": ["foo_bar", "a.b_c"]},
        empty={}, double_value={"value": 1}, float_value={"value": 0.5},
        int64_value={"value": 7}, uint64_value={"value": 8}, int32_value={"value": -9},
        uint32_value={"value": 10}, bool_value={"value": False}, string_value={},
        bytes_value={"value": b"1"}, wrapped=[{}, {"value": 1}],
    )  # fmt: skip
    message.struct.update({"b": [1, "x", None, True], "a": {"c": 2.5}})
    message.value.number_value = 3
    message.list_value.extend([1, []])
    assert printed(backend, message, emit_unset=False) == (
        '{"timestamp":"1969-12-31T23:59:59.000001Z","duration":"-1.500s",'
        '"fieldMask":"fooBar,a.bC","struct":{"a":{"c":2.5},"b":[1,"x",null,true]},"value":3,'
        '"listValue":[1,[]],"empty":{},"doubleValue":1,"floatValue":0.5,"int64Value":"7",'
        '"uint64Value":"8","int32Value":-9,"uint32Value":10,"boolValue":false,"stringValue":"",'
        '"bytesValue":"MQ==","wrapped":["0","1"]}'
    )


@pytest.mark.parametrize(
    ("seconds", "nanos", "text"),
    [
        (-62135596800, 0, "0001-01-01T00:00:00Z"), (253402300799, 999999999,
         "9999-12-31T23:59:59.999999999Z"), (951782400, 120000000, "2000-02-29T00:00:00.120Z"),
        (0, 10, "1970-01-01T00:00:00.000000010Z"), (4107542400, 0, "2100-03-01T00:00:00Z"),
    ],
)  # fmt: skip
def test_timestamps_are_printed_over_the_whole_range(
    backend: str, seconds: int, nanos: int, text: str
) -> None:
    message = timestamp_pb2.Timestamp(seconds=seconds, nanos=nanos)
    assert printed(backend, message) == f'"{text}"'


def test_any_is_printed_with_its_type(proto: Any, backend: str) -> None:
    message = any_pb2.Any()
    message.Pack(proto.Sub(name="x"))
    url = "type.googleapis.com/kratos.protojson.three.Sub"
    assert printed(backend, message) == f'{{"@type":"{url}","name":"x","huge":"0"}}'
    message.Pack(wrappers_pb2.Int64Value(value=1))
    assert json.loads(printed(backend, message))["value"] == "1"
    outer = any_pb2.Any()
    outer.Pack(message)
    assert json.loads(printed(backend, outer))["value"]["value"] == "1"


def test_any_holding_empty_has_the_form_of_go(backend: str) -> None:
    message = any_pb2.Any()
    assert printed(backend, message) == "{}"
    message.Pack(empty_pb2.Empty())
    url = "type.googleapis.com/google.protobuf.Empty"
    assert printed(backend, message) == f'{{"@type":"{url}","value":{{}}}}'


def test_any_of_foreign_bytes_is_printed_as_protobuf_reads_them(proto: Any, backend: str) -> None:
    # Two members of a oneof, a list in pieces, a message in pieces, a zero, an unknown field.
    pieces = proto.Everything(lists={"f_int32": [1, 2]}, choice={"text": "a"})
    others = proto.Everything(lists={"f_int32": [3]}, choice={"number": 1})
    # This type has a field of the method's name.
    wire = b"".join(map(proto.Everything.SerializePartialToString, (pieces, others)))
    url = "x/kratos.protojson.three.Everything"
    message = any_pb2.Any(type_url=url, value=wire + b"\x98\x06\1")
    found = json.loads(printed(backend, message, emit_unset=False))
    assert found["lists"] == {"fInt32": [1, 2, 3]}
    assert found["choice"] == {"number": 1}
    message = any_pb2.Any(type_url="x/kratos.protojson.three.Scalars", value=b"\x18\0\x6a\1\1")
    assert json.loads(printed(backend, message, emit_unset=False)).keys() == {"@type"}


def test_keys_of_foreign_maps_are_cut_to_their_type(proto: Any, backend: str) -> None:
    wire = b"\x12\x12\x08\x9e\xb5\xdd\x8b\xf9\x82\xff\xff\xff\x01\x11" + bytes(8)
    message = any_pb2.Any(type_url="x/kratos.protojson.three.Maps", value=b"\x12\x14" + wire[2:])
    found = json.loads(printed(backend, message, emit_unset=False))
    assert found["int32Double"] == {"-1854448994": 0}


def test_extensions_groups_and_message_sets_are_printed(proto: Any, backend: str) -> None:
    message = proto.Closed(needed="x", box={"width": 1}, item=[{"label": "a"}, {}])
    extension = message.DESCRIPTOR.file.extensions_by_name
    message.Extensions[extension["extra_text"]] = "y"
    message.Extensions[extension["extra_numbers"]].extend([1, 2])
    message.Extensions[extension["extra_messages"]].add(depth=1)
    member = proto.Member.DESCRIPTOR.extensions_by_name["member"]
    message.set.Extensions[member].name = "m"
    found = json.loads(printed(backend, message, emit_unset=False))
    assert found == {
        "needed": "x",
        "box": {"width": 1},
        "item": [{"label": "a"}, {}],
        "set": {"[kratos.protojson.two.Member.member]": {"name": "m"}},
        "[kratos.protojson.two.extra_messages]": [{"depth": 1}],
        "[kratos.protojson.two.extra_numbers]": [1, 2],
        "[kratos.protojson.two.extra_text]": "y",
    }


def test_numbers_that_a_closed_enum_lacks_are_not_printed(proto: Any, backend: str) -> None:
    message = proto.Closed.FromString(b"\x08\x09\x18\x01\x18\x09\x22\x05\x0a\x01a\x10\x09\x2a\x00")
    assert json.loads(printed(backend, message)) == {
        "size": None, "count": None, "sizes": ["SMALL"], "moods": {}, "needed": "", "text": None,
        "box": None, "item": [], "set": None,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["0.000001", "0.00000125"])
def test_extension_writes_small_numbers_without_exponent_as_go_does(
    proto: Any, backend: str, text: str
) -> None:
    found = printed(backend, proto.Scalars(f_double=float(text)), emit_unset=False)
    assert json.loads(found) == {"fDouble": float(text)}
    if backend == "native":
        assert found == f'{{"fDouble":{text}}}'


# Options


def test_unset_fields_may_be_left_out(proto: Any, backend: str) -> None:
    assert printed(backend, proto.Everything(), emit_unset=False) == "{}"
    message = proto.Scalars(f_double=-0.0)
    assert printed(backend, message, emit_unset=False) == '{"fDouble":-0.0}'


def test_fields_without_presence_alone_may_be_emitted(proto: Any, backend: str) -> None:
    found = printed(backend, proto.Order(), emit_unset=False, emit_defaults=True)
    assert found == '{"orderId":"0","lines":[]}'


def test_names_enums_and_integers_have_options(proto: Any, backend: str) -> None:
    message = proto.Everything(scalars={"f_color": 1, "f_int64": 5}, optionals={"f_sub": {}})
    options = {"proto_names": True, "enum_numbers": True, "int64_numbers": True}
    found = json.loads(printed(backend, message, **options))
    assert found["well_known"] is None
    assert (found["scalars"]["f_color"], found["scalars"]["f_int64"]) == (1, 5)
    assert found["optionals"] == {"f_sub": {"name": "", "big_number": 0}}


def test_style_has_options(backend: str) -> None:
    message = struct_pb2.Struct()
    message.update({"é": [1]})
    assert printed(backend, message, ensure_ascii=True) == r'{"\u00e9":[1]}'
    assert printed(backend, message, indent=1) == '{\n "é": [\n  1\n ]\n}'


def test_members_may_be_sorted_by_name(proto: Any, backend: str) -> None:
    found = printed(backend, proto.Scalars(), sort_keys=True)
    assert found == json.dumps(json.loads(found), sort_keys=True, separators=(",", ":"))


def test_pool_decides_what_an_any_may_hold(proto: Any, backend: str) -> None:
    from google.protobuf.descriptor_pool import DescriptorPool

    message = any_pb2.Any()
    message.Pack(proto.Sub())
    assert "name" in printed(backend, message)
    with pytest.raises(JsonError, match="import its generated module"):
        printed(backend, message, pool=DescriptorPool())


def test_dictionaries_are_what_json_would_be_loaded_as(proto: Any) -> None:
    message = proto.Everything(scalars={"f_int64": 5, "f_double": 1.5})
    assert to_dict(message) == json.loads(to_json(message))


def test_printer_compiles_a_function_for_a_type(proto: Any, backend: Any) -> None:
    printer = Printer(PrintOptions(backend=backend))
    write = printer.for_type(proto.Sub)
    assert write(proto.Sub(name="x")) == printer.to_json(proto.Sub(name="x"))
    assert printer.for_type(proto.Sub) is write


# Refusals


@pytest.mark.parametrize(
    ("fields", "path", "problem"),
    [
        ({"timestamp": {"seconds": 253402300800}}, "$.timestamp", "outside the years"),
        ({"timestamps": [{}, {"nanos": -1}]}, "$.timestamps[1]", "nanos"),
        ({"durations": {"a": {"seconds": 1, "nanos": -1}}}, '$.durations["a"]', "not valid"),
        ({"field_mask": {"paths": ["fooBar"]}}, "$.fieldMask", "lower_snake_case"),
        ({"field_mask": {"paths": ["a__b"]}}, "$.fieldMask", "lower_snake_case"),
        ({"value": {"number_value": math.nan}}, "$.value", "cannot hold NaN"),
        ({"values": [{}, {"number_value": -math.inf}]}, "$.values[1]", "cannot hold -Infinity"),
        ({"any": {"type_url": "x/no.Such", "value": b"1"}}, "$.any", 'holds "no.Such"'),
        ({"any": {"type_url": "x/google.protobuf.Int32Value", "value": b"\xff"}}, "$.any",
         r"bytes that are no google\.protobuf\.Int32Value"),
    ],
)  # fmt: skip
def test_value_without_a_form_in_json_is_refused(
    proto: Any, backend: str, fields: Any, path: str, problem: str
) -> None:
    with pytest.raises(JsonError, match=problem) as caught:
        printed(backend, proto.WellKnown(**fields))
    assert caught.value.path == path


def test_message_nested_too_deeply_is_refused(proto: Any, backend: str) -> None:
    message = proto.Everything()
    innermost = message
    for _ in range(5000):
        innermost = innermost.inner
    innermost.SetInParent()
    with pytest.raises(JsonError, match="too deeply"):
        printed(backend, message)


def test_text_that_is_not_utf8_is_refused(proto: Any, backend: str) -> None:
    message = proto.Mixed.FromString(b"\x62\x01\xff")
    with pytest.raises(JsonError, match="not UTF-8") as caught:
        printed(backend, message)
    assert caught.value.path == "$.unchecked"


def test_mask_without_a_text_form_may_be_a_plain_object(proto: Any, backend: Any) -> None:
    printer = Printer(PrintOptions(backend=backend, plain_objects=True, emit_unset=False))
    message = proto.WellKnown(field_mask={"paths": ["a_1", "b"]})
    assert printer.to_json(message) == b'{"fieldMask":{"paths":["a_1","b"]}}'
    message = proto.WellKnown(field_mask={"paths": ["a_b", "c"]})
    assert printer.to_json(message) == b'{"fieldMask":"aB,c"}'
    with pytest.raises(JsonError, match=r"\$\.timestamp"):
        printer.to_json(proto.WellKnown(timestamp={"nanos": -1}))
