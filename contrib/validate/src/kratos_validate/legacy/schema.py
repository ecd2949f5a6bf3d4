"""The options of protoc-gen-validate: numbers, names and types of ``validate/validate.proto``.

They are read with types of our own, in a pool of their own, so that a program need not have
generated that file, and may.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from google.protobuf import duration_pb2, timestamp_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

__all__ = ["NUMBERS", "field_rules", "is_left_out", "is_required"]

NUMBERS: Final = (
    "float",
    "double",
    "int32",
    "int64",
    "uint32",
    "uint64",
    "sint32",
    "sint64",
    "fixed32",
    "fixed64",
    "sfixed32",
    "sfixed64",
)
"""Kinds of numbers; rules of the n-th one are field n + 1 of all rules of a field."""

_OPTION: Final = 1071
_IGNORED: Final = 1072
_PACKAGE: Final = "kratos.validate.legacy"
_IMPORTS: Final = (duration_pb2.DESCRIPTOR, timestamp_pb2.DESCRIPTOR)

# Each line: number, type, name; a star is for a list.
_MESSAGES: Final = {
    "Field": f"{_OPTION} Rules rules",
    "Message": f"{_OPTION} bool disabled, {_IGNORED} bool ignored",
    "Oneof": f"{_OPTION} bool required",
    "Rules": ", ".join(
        [
            *(f"{number} Number_{kind} {kind}" for number, kind in enumerate(NUMBERS, 1)),
            "13 Bool bool, 14 String string, 15 Bytes bytes, 16 Enum enum, 17 Whole message",
            "18 Repeated repeated, 19 Map map, 20 Any any",
            "21 Duration duration, 22 Timestamp timestamp",
        ]
    ),
    **{
        f"Number_{kind}": (
            f"1 {kind} const, 2 {kind} lt, 3 {kind} lte, 4 {kind} gt, 5 {kind} gte, "
            f"6 {kind}* in, 7 {kind}* not_in, 8 bool ignore_empty"
        )
        for kind in NUMBERS
    },
    "Bool": "1 bool const",
    "String": (
        "1 string const, 2 uint64 min_len, 3 uint64 max_len, 4 uint64 min_bytes, "
        "5 uint64 max_bytes, 6 string pattern, 7 string prefix, 8 string suffix, "
        "9 string contains, 10 string* in, 11 string* not_in, 12 bool email, 13 bool hostname, "
        "14 bool ip, 15 bool ipv4, 16 bool ipv6, 17 bool uri, 18 bool uri_ref, 19 uint64 len, "
        "20 uint64 len_bytes, 21 bool address, 22 bool uuid, 23 string not_contains, "
        "24 int32 well_known_regex, 25 bool strict, 26 bool ignore_empty"
    ),
    "Bytes": (
        "1 bytes const, 2 uint64 min_len, 3 uint64 max_len, 4 string pattern, 5 bytes prefix, "
        "6 bytes suffix, 7 bytes contains, 8 bytes* in, 9 bytes* not_in, 10 bool ip, "
        "11 bool ipv4, 12 bool ipv6, 13 uint64 len, 14 bool ignore_empty"
    ),
    "Enum": "1 int32 const, 2 bool defined_only, 3 int32* in, 4 int32* not_in",
    "Whole": "1 bool skip, 2 bool required",
    "Repeated": (
        "1 uint64 min_items, 2 uint64 max_items, 3 bool unique, 4 Rules items, 5 bool ignore_empty"
    ),
    "Map": (
        "1 uint64 min_pairs, 2 uint64 max_pairs, 3 bool no_sparse, 4 Rules keys, 5 Rules values, "
        "6 bool ignore_empty"
    ),
    "Any": "1 bool required, 2 string* in, 3 string* not_in",
    "Duration": (
        "1 bool required, 2 duration const, 3 duration lt, 4 duration lte, 5 duration gt, "
        "6 duration gte, 7 duration* in, 8 duration* not_in"
    ),
    "Timestamp": (
        "1 bool required, 2 timestamp const, 3 timestamp lt, 4 timestamp lte, 5 timestamp gt, "
        "6 timestamp gte, 7 bool lt_now, 8 bool gt_now, 9 duration within"
    ),
}


def field_rules(options: Message) -> Any:
    """Return the rules in the options of a field; ``None`` if there are none.

    Raises:
        ValueError: They cannot be read.
    """
    found = _read("Field", options)
    return found.rules if found.HasField("rules") else None


def is_left_out(options: Message) -> bool:
    """Tell whether the options of a message switch its rules off."""
    found = _read("Message", options)
    return bool(found.disabled or found.ignored)


def is_required(options: Message) -> bool:
    """Tell whether the options of a oneof say that one of its fields has to be set."""
    return bool(_read("Oneof", options).required)


def _read(name: str, options: Message) -> Any:
    return _types()[name].FromString(options.SerializeToString())


@lru_cache(maxsize=1)
def _types() -> dict[str, Any]:
    file = FileDescriptorProto(
        name="kratos/validate/legacy.proto",
        package=_PACKAGE,
        syntax="proto2",
        dependency=[needed.name for needed in _IMPORTS],
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for line in fields.split(", "):
            number, kind, field = line.split(" ")
            message.field.append(_field(int(number), kind, field))
    pool = DescriptorPool()
    for needed in _IMPORTS:
        pool.AddSerializedFile(needed.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


def _field(number: int, kind: str, name: str) -> FieldDescriptorProto:
    field = FieldDescriptorProto(name=name, number=number)
    many, kind = kind.endswith("*"), kind.removesuffix("*")
    field.label = field.LABEL_REPEATED if many else field.LABEL_OPTIONAL
    if kind in ("duration", "timestamp"):
        field.type = field.TYPE_MESSAGE
        field.type_name = f".google.protobuf.{kind.capitalize()}"
    elif kind[0].isupper():
        field.type = field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"
    else:
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
    return field
