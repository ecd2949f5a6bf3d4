"""Properties of both backends, with json_format as the oracle, and arbitrary input."""

from __future__ import annotations

import json
import math
import os
import re
from random import Random
from typing import Any

from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kratos_protojson import JsonError, ParseOptions, Parser, Printer, PrintOptions, to_dict
from kratos_protojson.options import Backend

# More for whoever looks for trouble: KRATOS_TEST_EXAMPLES=100000
BACKENDS: tuple[Backend, ...] = ("python", "native")
EXAMPLES = int(os.environ.get("KRATOS_TEST_EXAMPLES", "60"))
short = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
_T = FieldDescriptor
_LIMITS: dict[int, tuple[int, int]] = {
    **dict.fromkeys((_T.TYPE_INT32, _T.TYPE_SINT32, _T.TYPE_SFIXED32), (-(1 << 31), 1 << 31)),
    **dict.fromkeys((_T.TYPE_INT64, _T.TYPE_SINT64, _T.TYPE_SFIXED64), (-(1 << 63), 1 << 63)),
    **dict.fromkeys((_T.TYPE_UINT32, _T.TYPE_FIXED32), (0, 1 << 32)),
    **dict.fromkeys((_T.TYPE_UINT64, _T.TYPE_FIXED64), (0, 1 << 64)),
}
_DOUBLES = (0.0, -0.0, 1.0, -1.5, 0.1, 1e16, 1e20, 1e21, 1e-6, 1e-7, 5e-324, 1.8e308, -math.inf)
# The largest floats are left out: json_format refuses their shortest form, which it prints; and
# the smallest, of which it prints digits that are not there.
_FLOATS = (0.0, -0.0, 1.0, -2.5, 0.1, 16777216.0, 1e10, 1e-7, 2.0**-126, math.inf)
_TEXTS = ("", "a", "é", '"', "\\", "\x00\n", "😀", "a:b", "x" * 130)
_PATHS = ("a", "a_b", "a.b_c", "a1")


class Filler:
    """Gives some fields of a message arbitrary values, all of them for some seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def fill(self, message: Any, levels: int) -> None:
        name = message.DESCRIPTOR.name if "google" in message.DESCRIPTOR.full_name else ""
        special = getattr(self, f"_{name.lower()}", None) if name else None
        if special is not None:
            special(message)
            return
        for field in message.DESCRIPTOR.fields:
            # A list of nulls is left out: json_format prints one and refuses to read it.
            if self._random.random() < 0.4 and field.name != "nulls":
                self._field(message, field, levels)

    def _timestamp(self, message: Any) -> None:
        message.seconds = self._random.choice((0, -62135596800, 253402300799, 951782399))
        message.nanos = self._random.choice((0, 1, 500_000_000, 999_999_999, 1000))

    def _duration(self, message: Any) -> None:
        sign = self._random.choice((1, -1))
        message.seconds = sign * self._random.choice((0, 1, 315576000000))
        message.nanos = sign * self._random.choice((0, 1, 500_000_000, 999_999_999))

    def _fieldmask(self, message: Any) -> None:
        message.paths.extend(self._random.sample(_PATHS, self._random.randrange(3)))

    def _struct(self, message: Any) -> None:
        for key in self._random.sample(_TEXTS, 2):
            self._value(message.fields[key])

    def _listvalue(self, message: Any) -> None:
        for _ in range(self._random.randrange(3)):
            self._value(message.values.add())

    def _value(self, message: Any) -> None:
        kind = self._random.choice(("null", "number", "string", "bool", "struct", "list"))
        if kind == "struct":
            message.struct_value.SetInParent()
            if self._random.random() < 0.5:
                self._struct(message.struct_value)
        elif kind == "list":
            message.list_value.SetInParent()
            if self._random.random() < 0.5:
                self._listvalue(message.list_value)
        else:
            value: Any = {"null": 0, "number": 1.5, "bool": False}.get(kind, "x")
            setattr(message, f"{kind}_value", value)

    def _any(self, message: Any) -> None:
        inner = Timestamp()
        self._timestamp(inner)
        message.Pack(inner)

    def _scalar(self, field: Any) -> Any:
        if field.enum_type is not None:
            numbers = [value.number for value in field.enum_type.values]
            return self._random.choice(numbers if field.enum_type.is_closed else [*numbers, 77])
        if field.type in _LIMITS:
            low, high = _LIMITS[field.type]
            return self._random.choice((low, high - 1, 0, 1, self._random.randrange(low, high)))
        choices: dict[int, tuple[Any, ...]] = {
            _T.TYPE_DOUBLE: (*_DOUBLES, self._random.gauss(0, 1e6)),
            _T.TYPE_FLOAT: (*_FLOATS, self._random.gauss(0, 10)),
            _T.TYPE_BOOL: (True, False),
            _T.TYPE_STRING: _TEXTS,
            _T.TYPE_BYTES: (b"", b"a", b"ab", b"abc", b"\xfb\xff\xfe\xff", bytes(100)),
        }
        return self._random.choice(choices[field.type])

    def _field(self, message: Any, field: Any, levels: int) -> None:
        value = getattr(message, field.name)
        inner = field.message_type
        count = self._random.randrange(3)
        if inner is not None and inner.GetOptions().map_entry:
            keys, values = inner.fields_by_name["key"], inner.fields_by_name["value"]
            for _ in range(count):
                if values.message_type is None:
                    value[self._scalar(keys)] = self._scalar(values)
                elif levels:
                    self.fill(value[self._scalar(keys)], levels - 1)
        elif inner is None and field.is_repeated:
            value.extend(self._scalar(field) for _ in range(count))
        elif inner is None:
            setattr(message, field.name, self._scalar(field))
        elif levels and field.is_repeated:
            for _ in range(count):
                self.fill(value.add(), levels - 1)
        elif levels:
            value.SetInParent()
            self.fill(value, levels - 1)


def _message(seed: int, proto: Any, levels: int = 3) -> Any:
    kinds = (proto.Everything, proto.Closed, proto.Mixed, proto.WellKnown)
    message = kinds[seed % len(kinds)]()
    Filler(seed).fill(message, levels)
    return message


def _type(message: object) -> Any:
    return type(message)


_SEEDS = st.integers(0, 1 << 40)


@short
@given(seed=_SEEDS)
def test_reading_undoes_printing(proto: Any, backend: Any, seed: int) -> None:
    message = _message(seed, proto)
    styles: list[dict[str, Any]] = [{}, {"emit_unset": False}, {"proto_names": True}]
    for options in styles:
        printer = Printer(PrintOptions(backend=backend, **options))
        text = printer.to_json(message)
        found = Parser(ParseOptions(backend=backend)).from_json(text, _type(message))
        assert to_dict(found) == to_dict(message)


@short
@given(seed=_SEEDS)
def test_json_format_prints_and_reads_the_same(proto: Any, backend: Any, seed: int) -> None:
    message = _message(seed, proto)
    printer = Printer(PrintOptions(backend=backend, emit_unset=False))
    theirs = json_format.MessageToJson(message, indent=None)
    ours = printer.to_json(message)
    assert json.loads(ours) == json.loads(theirs)
    kind = _type(message)
    parser = Parser(ParseOptions(backend=backend))
    assert to_dict(parser.from_json(theirs, kind)) == to_dict(message)
    assert to_dict(json_format.Parse(ours, kind())) == to_dict(message)


@short
@given(seed=_SEEDS)
def test_backends_print_the_same(proto: Any, native: None, seed: int) -> None:
    message = _message(seed, proto)
    brief = {"emit_unset": False}
    styles: list[dict[str, Any]] = [{}, brief, {**brief, "emit_defaults": True}]
    for options in styles:
        python, rust = (
            Printer(PrintOptions(backend=backend, **options)).to_json(message)
            for backend in BACKENDS
        )
        # Numbers below 1e-5 are written in two forms, so the values are compared, and the order.
        assert json.dumps(json.loads(python)) == json.dumps(json.loads(rust))


_NAMES = [
    "scalars", "optionals", "lists", "maps", "choice", "wellKnown", "inner", "children", "class",
    "fDouble", "fFloat", "fInt32", "fInt64", "fUint64", "fBool", "fString", "fBytes", "fColor",
    "fSub", "stringString", "int32Double", "boolInt32", "fixed32Color", "sfixed64Sub", "text",
    "number", "nothing", "timestamp", "duration", "fieldMask", "struct", "value", "listValue",
    "any", "empty", "int64Value", "values", "nulls", "@type", "seconds", "nanos", "no_such", "1",
]  # fmt: skip
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["1", "1e2", "1.5", "NaN", "COLOR_RED", "AAAA", "true", "aB,c", "1.5s", "é"])
    | st.sampled_from(["2020-01-01T00:00:00Z", "x/google.protobuf.Int32Value"])
    | _TEXT
)
_DOCUMENTS = st.dictionaries(
    st.sampled_from(_NAMES),
    st.recursive(
        _LEAVES,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=4)
        ),
        max_leaves=12,
    ),
    max_size=5,
)


def _outcome(backend: Any, data: bytes | str, kind: Any, **options: Any) -> Any:
    try:
        return to_dict(Parser(ParseOptions(backend=backend, **options)).from_json(data, kind))
    except JsonError as error:
        return error


@short
@given(value=_DOCUMENTS, plain=st.booleans(), ignore=st.booleans())
def test_backends_read_or_refuse_the_same(
    proto: Any, native: None, value: Any, plain: bool, ignore: bool
) -> None:
    data = json.dumps(value)
    options = {"plain_objects": plain, "ignore_unknown": ignore}
    for kind in (proto.Everything, proto.WellKnown, proto.Scalars, proto.Lists, proto.Choice):
        python, rust = (_outcome(name, data, kind, **options) for name in BACKENDS)
        if isinstance(python, JsonError) or isinstance(rust, JsonError):
            assert isinstance(python, JsonError), rust
            assert isinstance(rust, JsonError), python
        else:
            assert python == rust


@short
@given(value=_DOCUMENTS)
def test_json_format_refuses_nothing_that_is_read(proto: Any, backend: Any, value: Any) -> None:
    # A numeral in quotes is a name to us, as to Go; json_format takes it for the number of a value.
    enums = [inner for name, inner in value.items() if "color" in name.lower()]
    assume(re.search(r'"\s*-?\d', json.dumps(enums)) is None)
    data = json.dumps(value)
    for kind in (proto.Scalars, proto.Lists, proto.Optionals):
        ours = _outcome(backend, data, kind)
        if not isinstance(ours, JsonError):
            theirs = json_format.Parse(data, kind(), ignore_unknown_fields=True)
            assert to_dict(theirs) == ours


_DOCUMENT = json.dumps(
    {
        "scalars": {"fDouble": 1.5, "fInt64": "-12", "fString": "é\n", "fBytes": "AAA="},
        "lists": {"fInt32": [1, 2], "fSub": [{"name": "x"}], "fBool": [True]},
        "maps": {"stringString": {"a": "b"}, "fixed32Color": {"1": "COLOR_RED"}},
        "wellKnown": {
            "timestamp": "2020-01-01T00:00:00.5Z", "duration": "1.5s", "struct": {"a": [1]},
            "any": {"@type": "x/google.protobuf.Int32Value", "value": 1},
        },
    }
).encode()  # fmt: skip


@short
@given(
    edits=st.lists(
        st.tuples(st.integers(0, len(_DOCUMENT) - 1), st.binary(max_size=2), st.integers(0, 2)),
        min_size=1,
        max_size=4,
    )
)
def test_backends_treat_damaged_documents_alike(proto: Any, native: None, edits: Any) -> None:
    data = bytearray(_DOCUMENT)
    for at, added, removed in edits:
        data[at : at + removed] = added
    python, rust = (_outcome(name, bytes(data), proto.Everything) for name in BACKENDS)
    assert isinstance(python, JsonError) == isinstance(rust, JsonError), (python, rust)
    if not isinstance(python, JsonError):
        assert json.dumps(python) == json.dumps(rust)


@short
@given(data=st.binary(max_size=60) | st.text(max_size=40).map(lambda text: text.encode("utf-16")))
def test_any_bytes_are_read_or_refused(proto: Any, backend: Any, data: bytes) -> None:
    found = _outcome(backend, data, proto.Everything)
    assert isinstance(found, (dict, JsonError))


@short
@given(wire=st.binary(max_size=60), index=st.integers(0, 5))
def test_extension_survives_any_wire_bytes(
    proto: Any, native: None, wire: bytes, index: int
) -> None:
    # Not by way of messages, which are always well-formed: an Any holds what somebody sent.
    kinds = ["Everything", "Scalars", "Lists", "Maps", "WellKnown", "Choice"]
    name = f"kratos.protojson.three.{kinds[index]}"
    message = AnyMessage(type_url=f"x/{name}", value=wire)
    try:
        text = Printer(PrintOptions(backend="native")).to_json(message)
    except JsonError:
        return
    assert json.loads(text)["@type"] == f"x/{name}"
