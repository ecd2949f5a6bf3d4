"""Message types for the tests of codecs, made from proto text without a compiler."""

from __future__ import annotations

import re
from importlib import import_module
from types import SimpleNamespace
from typing import Any, Final

import pytest
from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)

_IMPORTS: Final = (
    any_pb2,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)

# The first three are those that Go Kratos tests its form codec with.
_PROTO3: Final = """
enum Sex { man = 0; woman = 1; }
message Simple { string component = 1; }
message Complex {
  int64 id = 1;
  string no_one = 2 [numberOne];
  Simple simple = 3 [very_simple];
  repeated string strings = 4;
  bool b = 5;
  Sex sex = 6;
  int32 age = 7;
  uint32 a = 8;
  uint64 count = 9;
  float price = 10;
  double d = 11;
  bytes byte = 12;
  map<string, string> map = 13;
  map<int64, string> map_int64_key = 14 [map_int64_key];
  repeated Simple simples = 15;
  google.protobuf.Timestamp timestamp = 16;
  google.protobuf.Duration duration = 17;
  google.protobuf.FieldMask field = 18;
  google.protobuf.DoubleValue double = 19;
  google.protobuf.FloatValue float = 20;
  google.protobuf.Int64Value int64 = 21;
  google.protobuf.Int32Value int32 = 22;
  google.protobuf.UInt64Value uint64 = 23;
  google.protobuf.UInt32Value uint32 = 24;
  google.protobuf.BoolValue bool = 25;
  google.protobuf.StringValue string = 26;
  google.protobuf.BytesValue bytes = 27;
}
message Sub { string name = 1 [naming]; }
message HelloRequest {
  string name = 1;
  Sub sub = 2;
  google.protobuf.FieldMask update_mask = 3;
  optional int32 opt_int32 = 4;
  optional int64 opt_int64 = 5;
  optional string opt_string = 6;
  Sub sub_field = 7;
}
message TestModel {
  int64 id = 1;
  string name = 2;
  repeated string hobby = 3;
  map<string, string> attrs = 4;
}
message Scalars {
  double f_double = 1;
  float f_float = 2;
  int64 f_int64 = 3;
  uint64 f_uint64 = 4;
  int32 f_int32 = 5;
  fixed64 f_fixed64 = 6;
  fixed32 f_fixed32 = 7;
  bool f_bool = 8;
  string f_string = 9;
  bytes f_bytes = 10;
  uint32 f_uint32 = 11;
  sfixed32 f_sfixed32 = 12;
  sfixed64 f_sfixed64 = 13;
  sint32 f_sint32 = 14;
  sint64 f_sint64 = 15;
  Sex f_sex = 16;
}
message Everything {
  Scalars one = 1;
  repeated Scalars many = 2;
  map<string, Scalars> named = 3;
  map<bool, int32> by_bool = 4;
  map<uint64, Sex> by_number = 5;
  repeated double doubles = 6;
  repeated Sex sexes = 7;
  repeated bytes blobs = 8;
  optional double opt_double = 9;
  optional Sub opt_sub = 10;
  oneof choice {
    string text = 11;
    int32 number = 12;
    Sub message = 13;
    google.protobuf.NullValue nothing = 14;
  }
  Everything inner = 15;
  google.protobuf.Any any = 16;
  google.protobuf.Struct struct = 17;
  google.protobuf.Value value = 18;
  google.protobuf.ListValue list = 19;
  repeated google.protobuf.Value values = 20;
  repeated google.protobuf.Timestamp times = 21;
  map<string, google.protobuf.Duration> spans = 22;
  google.protobuf.Empty empty = 23;
  google.protobuf.NullValue null = 24;
  repeated google.protobuf.Int64Value wrapped = 25;
  string class = 26;
  google.protobuf.Timestamp when = 27;
  repeated google.protobuf.Struct structs = 28;
  repeated int32 numbers = 29;
  map<string, google.protobuf.Struct> docs = 30;
  google.protobuf.FieldMask mask = 31;
}
"""

_PROTO2: Final = """
enum Size { SMALL = 1; LARGE = 2; }
message Closed { optional Size size = 1; optional int32 count = 2; repeated Size sizes = 3; }
"""

_TOKEN: Final = re.compile(r"map<[^>]*>|[\w.]+|[{}=;\[\]]")
_PLAIN: Final = {
    name.removeprefix("TYPE_").lower(): number
    for name, number in descriptor_pb2.FieldDescriptorProto.Type.items()
    if name not in ("TYPE_ENUM", "TYPE_MESSAGE", "TYPE_GROUP")
}


class _Compiler:
    """Reads just the proto syntax above: ``[name]`` behind a field is its JSON name."""

    def __init__(self, name: str, syntax: str, text: str) -> None:
        self.file = descriptor_pb2.FileDescriptorProto(
            name=f"kratos_tests/{name}.proto", package=f"kratos.tests.{name}", syntax=syntax
        )
        self.file.dependency.extend(module.DESCRIPTOR.name for module in _IMPORTS)
        self._tokens: list[str] = _TOKEN.findall(text)
        self._enums = {"google.protobuf.NullValue", *re.findall(r"enum (\w+)", text)}
        while self._tokens:
            kind, title, _ = (self._tokens.pop(0) for _ in range(3))
            if kind == "enum":
                self._enum(title)
            else:
                self._message(title)

    def _enum(self, title: str) -> None:
        enum = self.file.enum_type.add(name=title)
        while self._tokens[0] != "}":
            name, _, number, _ = (self._tokens.pop(0) for _ in range(4))
            enum.value.add(name=name, number=int(number))
        self._tokens.pop(0)

    def _message(self, title: str) -> None:
        message = self.file.message_type.add(name=title)
        optional: list[Any] = []
        while self._tokens[0] != "}":
            label = self._label()
            if label == "oneof":
                self._oneof(message)
                continue
            field = self._field(message)
            if label == "repeated":
                field.label = field.LABEL_REPEATED
            elif label == "optional" and self.file.syntax == "proto3":
                optional.append(field)
        self._tokens.pop(0)
        for field in optional:  # synthetic oneofs come last
            field.proto3_optional = True
            field.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{field.name}")

    def _label(self) -> str:
        return self._tokens.pop(0) if self._tokens[0] in ("repeated", "optional", "oneof") else ""

    def _oneof(self, message: Any) -> None:
        message.oneof_decl.add(name=self._tokens[0])
        del self._tokens[:2]
        while self._tokens[0] != "}":
            self._field(message).oneof_index = len(message.oneof_decl) - 1
        self._tokens.pop(0)

    def _field(self, message: Any) -> Any:
        kind, name, _, number = (self._tokens.pop(0) for _ in range(4))
        field = message.field.add(name=name, number=int(number), label=1)
        parts = name.split("_")
        field.json_name = parts[0] + "".join(part[:1].upper() + part[1:] for part in parts[1:])
        if kind.startswith("map<"):
            entry = message.nested_type.add(name=f"Entry{number}")
            entry.options.map_entry = True
            key, value = kind[4:-1].split(",")
            for index, part in enumerate((key, value), start=1):
                label = entry.field.add(name=("key", "value")[index - 1], number=index, label=1)
                self._type(label, part.strip())
            field.label = field.LABEL_REPEATED
            field.type = field.TYPE_MESSAGE
            field.type_name = f".{self.file.package}.{message.name}.{entry.name}"
        else:
            self._type(field, kind)
        if self._tokens[0] == "[":
            field.json_name = self._tokens[1]
            del self._tokens[:3]
        self._tokens.pop(0)
        return field

    def _type(self, field: Any, kind: str) -> None:
        if kind in _PLAIN:
            field.type = _PLAIN[kind]
            return
        field.type = field.TYPE_ENUM if kind in self._enums else field.TYPE_MESSAGE
        field.type_name = f".{kind}" if "." in kind else f".{self.file.package}.{kind}"


def _compile() -> SimpleNamespace:
    pool = descriptor_pool.Default()
    types: dict[str, Any] = {}
    for name, syntax, text in (("three", "proto3", _PROTO3), ("two", "proto2", _PROTO2)):
        file = _Compiler(name, syntax, text).file
        if syntax == "proto2":
            closed = file.message_type[0]
            closed.extension_range.add(start=100, end=200)
            file.extension.add(
                name="extra", number=100, label=1, type=9, extendee=f".{file.package}.Closed"
            )
        pool.AddSerializedFile(file.SerializeToString())
        for message in file.message_type:
            descriptor = pool.FindMessageTypeByName(f"{file.package}.{message.name}")
            types[message.name] = message_factory.GetMessageClass(descriptor)
    # Imported by name: these packages ship no types.
    types["HttpBody"] = import_module("google.api.httpbody_pb2").HttpBody
    return SimpleNamespace(**types)


_TYPES: Final = _compile()


@pytest.fixture(scope="session")
def proto() -> Any:
    """Message types by name, as attributes."""
    return _TYPES
