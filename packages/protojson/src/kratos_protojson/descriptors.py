"""What codecs ask about message descriptors, and the cache of compiled plans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar, cast

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    EnumValueDescriptor,
    FieldDescriptor,
)

__all__ = [
    "ANY",
    "DURATION",
    "EMPTY",
    "FIELD_MASK",
    "FLOATS",
    "INTEGERS",
    "INTEGERS_64",
    "LIST_VALUE",
    "MAX_DEPTH",
    "NULL_VALUE",
    "STRUCT",
    "TIMESTAMP",
    "UNSIGNED",
    "VALUE",
    "WRAPPERS",
    "AnyDescriptor",
    "PlanCache",
    "enum_names",
    "enum_numbers",
    "enum_of",
    "is_map",
    "is_null_value",
    "json_enum_names",
    "json_enum_numbers",
    "map_fields",
    "message_name",
]

MAX_DEPTH: Final = 100
"""Levels of messages, as many as protobuf itself reads."""

ANY: Final = "google.protobuf.Any"
EMPTY: Final = "google.protobuf.Empty"
TIMESTAMP: Final = "google.protobuf.Timestamp"
DURATION: Final = "google.protobuf.Duration"
FIELD_MASK: Final = "google.protobuf.FieldMask"
STRUCT: Final = "google.protobuf.Struct"
VALUE: Final = "google.protobuf.Value"
LIST_VALUE: Final = "google.protobuf.ListValue"
NULL_VALUE: Final = "google.protobuf.NullValue"
WRAPPERS: Final = frozenset(
    f"google.protobuf.{kind}Value"
    for kind in (
        "Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes",
    )
)  # fmt: skip

FLOATS: Final = frozenset({FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT})
UNSIGNED: Final = frozenset(
    {
        FieldDescriptor.TYPE_UINT32,
        FieldDescriptor.TYPE_UINT64,
        FieldDescriptor.TYPE_FIXED32,
        FieldDescriptor.TYPE_FIXED64,
    }
)
INTEGERS_64: Final = frozenset(
    {
        FieldDescriptor.TYPE_INT64,
        FieldDescriptor.TYPE_UINT64,
        FieldDescriptor.TYPE_SINT64,
        FieldDescriptor.TYPE_FIXED64,
        FieldDescriptor.TYPE_SFIXED64,
    }
)
INTEGERS: Final = INTEGERS_64 | {
    FieldDescriptor.TYPE_INT32,
    FieldDescriptor.TYPE_UINT32,
    FieldDescriptor.TYPE_SINT32,
    FieldDescriptor.TYPE_FIXED32,
    FieldDescriptor.TYPE_SFIXED32,
}

V = TypeVar("V")


class AnyDescriptor(Protocol):
    """The descriptor of a message type: stubs know two classes of it, at run time there is one."""

    @property
    def full_name(self) -> str:
        """Name with its package."""
        ...


class PlanCache(Generic[V]):
    """Plans by descriptor, made on first use.

    A plan is only derived data, so a cache that has filled up (a process that keeps making
    descriptor pools) is emptied and fills again.
    """

    __slots__ = ("_limit", "_make", "_plans")

    def __init__(self, make: Callable[[Descriptor], V], *, limit: int = 4096) -> None:
        self._make = make
        self._limit = limit
        self._plans: dict[AnyDescriptor, V] = {}

    def __len__(self) -> int:
        return len(self._plans)

    def __call__(self, descriptor: AnyDescriptor) -> V:
        """Return the plan of a message type."""
        plan = self._plans.get(descriptor)
        if plan is None:
            plan = self._make(cast("Descriptor", descriptor))
            if len(self._plans) >= self._limit:
                self._plans.clear()
            self._plans[descriptor] = plan
        return plan


def is_map(field: FieldDescriptor) -> bool:
    """Tell whether the field is a map."""
    entry = field.message_type
    return entry is not None and field.is_repeated and bool(entry.GetOptions().map_entry)


def map_fields(field: FieldDescriptor) -> tuple[FieldDescriptor, FieldDescriptor]:
    """Return the fields that hold the keys and the values of a map."""
    fields = cast("Descriptor", field.message_type).fields_by_name
    return fields["key"], fields["value"]


def is_null_value(field: FieldDescriptor) -> bool:
    """Tell whether the field holds ``google.protobuf.NullValue``, which is JSON's null."""
    enum = field.enum_type
    return enum is not None and enum.full_name == NULL_VALUE


def enum_of(field: FieldDescriptor) -> EnumDescriptor:
    """Return the enum of an enum field."""
    return cast("EnumDescriptor", field.enum_type)


def message_name(field: FieldDescriptor) -> str:
    """Return the full name of the field's message type; empty for other fields."""
    message = field.message_type
    return "" if message is None else message.full_name


def enum_names(field: FieldDescriptor) -> dict[int, str]:
    """Return the name of every number of an enum field; of aliases the first one."""
    names: dict[int, str] = {}
    for value in enum_of(field).values:
        names.setdefault(value.number, value.name)
    return names


def enum_numbers(field: FieldDescriptor) -> dict[str, int]:
    """Return the number of every name of an enum field, aliases too."""
    return {value.name: value.number for value in enum_of(field).values}


def json_enum_names(field: FieldDescriptor) -> dict[int, str]:
    """Return the name of every number in JSON, which the option ``pb.enumvalue.json`` may set."""
    names: dict[int, str] = {}
    for value in enum_of(field).values:
        names.setdefault(value.number, _custom_name(value) or value.name)
    return names


def json_enum_numbers(field: FieldDescriptor) -> dict[str, int]:
    """Return the number of every name that JSON may use for a value of an enum field."""
    numbers = enum_numbers(field)
    for value in enum_of(field).values:
        custom = _custom_name(value)
        if custom:
            numbers[custom] = value.number
    return numbers


def _custom_name(value: EnumValueDescriptor) -> str:
    if not value.has_options:
        return ""
    options: Any = value.GetOptions()
    try:
        found: Any = descriptor_pool.Default().FindExtensionByName("pb.enumvalue.json")
    except KeyError:  # nobody has imported the option, so nobody has set it
        return ""
    return str(options.Extensions[found].string) if options.HasExtension(found) else ""
