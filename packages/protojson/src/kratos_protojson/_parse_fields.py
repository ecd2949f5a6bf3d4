"""JSON values into one field of a message: a function per field, made once."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeAlias

from google.protobuf.descriptor import FieldDescriptor

from kratos_protojson._error import JsonError
from kratos_protojson._parse_scalars import Convert, listed, members
from kratos_protojson._parse_wellknown import Read
from kratos_protojson.scalars import show

__all__ = [
    "Get",
    "extension_getter",
    "field_getter",
    "message_list_reader",
    "message_map_reader",
    "message_reader",
    "scalar_list_reader",
    "scalar_map_reader",
    "scalar_reader",
]

Get: TypeAlias = Callable[[Any], Any]
"""Returns the message, list or map that a field of the message holds."""


def field_getter(field: FieldDescriptor) -> Get:
    """Return the getter of an ordinary field."""
    return attrgetter(field.name)


def extension_getter(field: FieldDescriptor) -> Get:
    """Return the getter of an extension."""
    return lambda message: message.Extensions[field]


def scalar_reader(field: FieldDescriptor, convert: Convert) -> Read:
    """Read a scalar or an enum."""
    name = field.name

    def read(message: Any, value: Any, _depth: int) -> None:
        converted = convert(value)
        if converted is not None:
            setattr(message, name, converted)

    def read_extension(message: Any, value: Any, _depth: int) -> None:
        converted = convert(value)
        if converted is not None:
            message.Extensions[field] = converted

    return read_extension if field.is_extension else read


def scalar_list_reader(get: Get, convert: Convert, as_it_is: type | None) -> Read:
    """Read a list of scalars or enums; elements of type ``as_it_is`` need no conversion."""
    plain = {as_it_is}

    def read(message: Any, value: Any, _depth: int) -> None:
        target = get(message)
        items = listed(value)
        if plain.issuperset(map(type, items)):
            try:
                target.extend(items)
            except ValueError:
                del target[:]  # and once more, to find the place
            else:
                return
        index = 0
        try:
            for index, item in enumerate(items):  # noqa: B007  # the place of a failure
                converted = convert(item)
                if converted is not None:
                    target.append(converted)
        except (ValueError, TypeError) as error:
            raise JsonError.of(error).within(f"[{index}]") from None

    return read


def message_reader(get: Get, plan: Read) -> Read:
    """Read a message."""

    def read(message: Any, value: Any, depth: int) -> None:
        inner = get(message)
        inner.SetInParent()
        plan(inner, value, depth + 1)

    return read


def message_list_reader(get: Get, plan: Read) -> Read:
    """Read a list of messages."""

    def read(message: Any, value: Any, depth: int) -> None:
        add = get(message).add
        items = listed(value)
        index = 0
        depth += 1
        try:
            for index, item in enumerate(items):  # noqa: B007  # the place of a failure
                plan(add(), item, depth)
        except (ValueError, TypeError) as error:
            raise JsonError.of(error).within(f"[{index}]") from None

    return read


def scalar_map_reader(get: Get, convert_key: Convert, convert: Convert) -> Read:
    """Read a map of scalars or enums."""

    def read(message: Any, value: Any, _depth: int) -> None:
        target = get(message)
        key = ""
        found = members(value)
        try:
            for key, item in found:
                converted = convert(item)
                if converted is not None:
                    target[convert_key(key)] = converted
        except (ValueError, TypeError) as error:
            raise JsonError.of(error).within(f"[{show(key)}]") from None

    return read


def message_map_reader(get: Get, convert_key: Convert, plan: Read) -> Read:
    """Read a map of messages."""

    def read(message: Any, value: Any, depth: int) -> None:
        target = get(message)
        key = ""
        found = members(value)
        try:
            for key, item in found:
                # An entry is a message of its own on the wire, hence two levels.
                plan(target[convert_key(key)], item, depth + 2)
        except (ValueError, TypeError) as error:
            raise JsonError.of(error).within(f"[{show(key)}]") from None

    return read
