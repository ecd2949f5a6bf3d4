"""Protobuf messages, as services of Kratos describe their configuration (``conf.proto``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from kratos.config._snapshot import CONVERTERS
from kratos.config.scan._place import Place
from kratos.config.scan._scalar import read_duration, read_scalar
from kratos.config.scan._thawed import thawed
from kratos_protojson import JsonError, from_dict
from kratos_protojson import descriptors as f

__all__ = ["read_message"]

M = TypeVar("M", bound=Message)

_SCALARS: Final = {
    FieldDescriptor.CPPTYPE_BOOL: bool,
    FieldDescriptor.CPPTYPE_DOUBLE: float,
    FieldDescriptor.CPPTYPE_FLOAT: float,
    FieldDescriptor.CPPTYPE_INT32: int,
    FieldDescriptor.CPPTYPE_INT64: int,
    FieldDescriptor.CPPTYPE_STRING: str,
    FieldDescriptor.CPPTYPE_UINT32: int,
    FieldDescriptor.CPPTYPE_UINT64: int,
}
_RANGES: Final = {
    FieldDescriptor.CPPTYPE_INT32: range(-(1 << 31), 1 << 31),
    FieldDescriptor.CPPTYPE_INT64: range(-(1 << 63), 1 << 63),
    FieldDescriptor.CPPTYPE_UINT32: range(1 << 32),
    FieldDescriptor.CPPTYPE_UINT64: range(1 << 64),
}
_OWN_FORM: Final = {f.ANY, f.FIELD_MASK, f.LIST_VALUE, f.STRUCT, f.TIMESTAMP, f.VALUE}


def read_message(kind: type[M], tree: Mapping[str, object], place: Place) -> M:
    """Return a message, made of the members of a mapping.

    A key is the name of a field in the proto or in JSON. Durations are texts such as ``1m30s`` or
    seconds; enums are names, in any case, or numbers.

    Raises:
        ConfigError: A value does not fit.
    """
    document = _message(cast("Descriptor", kind.DESCRIPTOR), tree, place)
    try:
        return from_dict(document, kind)
    except JsonError as error:
        # Without what it says of the value, which may be a secret.
        raise place.member(error.field).error(f"does not fit {kind.DESCRIPTOR.name}") from None


def _message(kind: Descriptor, value: object, place: Place) -> Any:
    if kind.full_name == f.DURATION:
        return f"{read_duration(value, place):.9f}s"
    if kind.full_name in f.WRAPPERS:
        return _single(kind.fields_by_name["value"], value, place)
    if kind.full_name in _OWN_FORM or value is None:
        return thawed(value)  # its JSON is not that of its fields
    if not isinstance(value, Mapping):
        raise place.mismatch("a mapping", value)
    members = cast("Mapping[str, object]", value)
    fields = {**_by_json_name(kind), **kind.fields_by_name}
    place.check_known(members, fields)
    return {
        fields[name].name: _field(fields[name], part, place.member(name))
        for name, part in members.items()
        if name in fields
    }


def _by_json_name(kind: Descriptor) -> dict[str, FieldDescriptor]:
    return {field.json_name: field for field in kind.fields}


def _field(field: FieldDescriptor, value: object, place: Place) -> Any:
    if value is None:
        return None
    if f.is_map(field):
        if not isinstance(value, Mapping):
            raise place.mismatch("a mapping", value)
        one = f.map_fields(field)[1]
        parts = cast("Mapping[str, object]", value)
        return {name: _single(one, part, place.member(name)) for name, part in parts.items()}
    if field.is_repeated:
        if not isinstance(value, list | tuple):
            raise place.mismatch("a list", value)
        items = cast("list[object]", value)
        return [_single(field, part, place.item(at)) for at, part in enumerate(items)]
    return _single(field, value, place)


def _single(field: FieldDescriptor, value: object, place: Place) -> Any:
    if field.message_type is not None:
        return _message(field.message_type, value, place)
    if field.enum_type is not None:
        return _enum(field, value, place)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return read_scalar(str, value, place)
    read: Any = read_scalar(_SCALARS[field.cpp_type], value, place)
    limits = _RANGES.get(field.cpp_type)
    if limits is not None and read not in limits:
        raise place.error(f"must be from {limits.start} to {limits.stop - 1}")
    return read


def _enum(field: FieldDescriptor, value: object, place: Place) -> Any:
    numbers = f.enum_numbers(field)
    if isinstance(value, str):
        by_case = {name.upper(): number for name, number in numbers.items()}
        named = numbers.get(value, by_case.get(value.upper()))
        if named is not None:
            return named
    number = CONVERTERS[int](value)
    if number is None:
        raise place.error(f"must be one of {', '.join(numbers)}")
    return number
