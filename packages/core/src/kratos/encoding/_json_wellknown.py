"""JSON values of well-known types to messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from kratos.encoding import _fields as f
from kratos.encoding._fault import Fault
from kratos.encoding._json_scalars import listed, members
from kratos.encoding._scalars import (
    duration_text,
    parse_json_duration,
    parse_timestamp,
    show,
    snake_case,
    timestamp_text,
)

__all__ = ["NATIVE", "TEXTS", "Read", "wrapper"]

Read: TypeAlias = Callable[[Any, Any, int], None]
"""Fills a fresh message from a JSON value; the last argument is the present depth."""


def wrapper(read_value: Read, read_object: Read) -> Read:
    """Read a bare value, or the object ``{"value": ...}`` of plain JSON."""

    def read(message: Any, value: Any, depth: int) -> None:
        (read_object if type(value) is dict else read_value)(message, value, depth)

    return read


def _timestamp(read_object: Read) -> Read:
    def read(message: Any, value: Any, depth: int) -> None:
        if type(value) is str:
            message.seconds, message.nanos = parse_timestamp(value)
        elif type(value) is dict:
            read_object(message, value, depth)
            timestamp_text(message.seconds, message.nanos)  # refuses what is out of range
        else:
            raise Fault(f"expected RFC 3339 text, got {show(value)}")

    return read


def _duration(read_object: Read) -> Read:
    def read(message: Any, value: Any, depth: int) -> None:
        if type(value) is str:
            message.seconds, message.nanos = parse_json_duration(value)
        elif type(value) is dict:
            read_object(message, value, depth)
            duration_text(message.seconds, message.nanos)  # refuses what is out of range
        else:
            raise Fault(f'expected a duration such as "3.5s", got {show(value)}')

    return read


def _field_mask(read_object: Read) -> Read:
    def read(message: Any, value: Any, depth: int) -> None:
        if type(value) is str:
            if "_" in value:
                raise Fault(f"field mask {show(value)} must be in lowerCamelCase")
            message.paths.extend(map(snake_case, value.split(",") if value else ()))
        elif type(value) is dict:
            read_object(message, value, depth)
        else:
            raise Fault(f"expected a field mask as text, got {show(value)}")

    return read


def _struct(message: Any, value: Any, depth: int) -> None:
    fields = message.fields
    for key, item in members(value):
        try:
            # An entry is a message of its own on the wire, hence two levels.
            _value(fields[key], item, depth + 2)
        except ValueError as error:
            raise Fault.of(error).within(key) from None


def _list_value(message: Any, value: Any, depth: int) -> None:
    values = message.values
    for index, item in enumerate(listed(value)):
        try:
            _value(values.add(), item, depth + 1)
        except ValueError as error:
            raise Fault.of(error).within(f"[{index}]") from None


def _value(message: Any, value: Any, depth: int) -> None:
    if depth > f.MAX_DEPTH:
        raise Fault(f"nested deeper than {f.MAX_DEPTH} messages")
    if type(value) is str:
        message.string_value = value
    elif type(value) is bool:
        message.bool_value = value
    elif value is None:
        message.null_value = 0
    elif type(value) is dict:
        message.struct_value.SetInParent()
        _struct(message.struct_value, value, depth + 1)
    elif type(value) is list:
        message.list_value.SetInParent()
        _list_value(message.list_value, value, depth + 1)
    else:
        message.number_value = _finite(value)


def _finite(value: Any) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if number - number != 0:
        raise Fault(f"{show(value)} is out of range")
    return number


NATIVE: Final[dict[str, Read]] = {f.STRUCT: _struct, f.LIST_VALUE: _list_value, f.VALUE: _value}
"""Types that are JSON themselves."""

TEXTS: Final[dict[str, Callable[[Read], Read]]] = {
    f.TIMESTAMP: _timestamp,
    f.DURATION: _duration,
    f.FIELD_MASK: _field_mask,
}
"""Types that protobuf JSON has as text and plain JSON as an object of their fields."""
