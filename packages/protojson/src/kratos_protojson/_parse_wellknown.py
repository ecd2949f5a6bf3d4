"""JSON values of well-known types to messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from kratos_protojson import descriptors as f
from kratos_protojson._error import JsonError
from kratos_protojson._parse_scalars import is_object, listed, members, too_deep
from kratos_protojson.scalars import (
    duration_text,
    parse_json_duration,
    parse_timestamp,
    show,
    snake_case,
    timestamp_text,
)

__all__ = ["NATIVE", "TEXTS", "Natives", "Read", "wrapper"]

NATIVE: Final = frozenset({f.STRUCT, f.LIST_VALUE, f.VALUE})
"""Types that are JSON themselves."""

Read: TypeAlias = Callable[[Any, Any, int], None]
"""Fills a fresh message from a JSON value; the last argument is the present depth."""


def wrapper(read_value: Read, read_object: Read) -> Read:
    """Read a bare value, or the object ``{"value": ...}`` of plain JSON."""

    def read(message: Any, value: Any, depth: int) -> None:
        (read_object if type(value) is dict else read_value)(message, value, depth)

    return read


def _timestamp(read_object: Read | None) -> Read:
    def read(message: Any, value: Any, depth: int) -> None:
        if isinstance(value, str):
            message.seconds, message.nanos = parse_timestamp(value)
        elif is_object(value) and read_object is not None:
            read_object(message, value, depth)
            timestamp_text(message.seconds, message.nanos)  # refuses what is out of range
        else:
            raise JsonError(f"expected RFC 3339 text, got {show(value)}")

    return read


def _duration(read_object: Read | None) -> Read:
    def read(message: Any, value: Any, depth: int) -> None:
        if isinstance(value, str):
            message.seconds, message.nanos = parse_json_duration(value)
        elif is_object(value) and read_object is not None:
            read_object(message, value, depth)
            duration_text(message.seconds, message.nanos)  # refuses what is out of range
        else:
            raise JsonError(f'expected a duration such as "3.5s", got {show(value)}')

    return read


def _field_mask(read_object: Read | None) -> Read:
    def read(message: Any, value: Any, depth: int) -> None:
        if isinstance(value, str):
            if "_" in value:
                raise JsonError(f"field mask {show(value)} must be in lowerCamelCase")
            message.paths.extend(map(snake_case, value.split(",") if value else ()))
        elif is_object(value) and read_object is not None:
            read_object(message, value, depth)
        else:
            raise JsonError(f"expected a field mask as text, got {show(value)}")

    return read


class Natives:
    """Readers of the types that are JSON themselves."""

    __slots__ = ("_max_depth", "readers")

    def __init__(self, max_depth: int) -> None:
        self._max_depth = max_depth
        self.readers: dict[str, Read] = {
            f.STRUCT: self._struct,
            f.LIST_VALUE: self._list,
            f.VALUE: self._value,
        }

    def _struct(self, message: Any, value: Any, depth: int) -> None:
        fields = message.fields
        key = ""
        found = members(value)
        try:
            for key, item in found:
                # An entry is a message of its own on the wire, hence two levels.
                self._value(fields[key], item, depth + 2)
        except ValueError as error:
            raise JsonError.of(error).within(key) from None

    def _list(self, message: Any, value: Any, depth: int) -> None:
        values = message.values
        index = 0
        items = listed(value)
        try:
            for index, item in enumerate(items):  # noqa: B007  # the place of a failure
                self._value(values.add(), item, depth + 1)
        except ValueError as error:
            raise JsonError.of(error).within(f"[{index}]") from None

    def _value(self, message: Any, value: Any, depth: int) -> None:
        if depth > self._max_depth:
            raise too_deep(self._max_depth)
        if type(value) is str:
            message.string_value = value
        elif type(value) is bool:
            message.bool_value = value
        elif value is None:
            message.null_value = 0
        elif is_object(value):
            message.struct_value.SetInParent()
            self._struct(message.struct_value, value, depth + 1)
        elif type(value) is list:
            message.list_value.SetInParent()
            self._list(message.list_value, value, depth + 1)
        else:
            message.number_value = _finite(value)


def _finite(value: Any) -> float:
    try:
        number = float(value)
    except (OverflowError, TypeError):
        number = float("inf")
    if number - number != 0:
        raise JsonError(f"{show(value)} is out of range")
    return number


TEXTS: Final[dict[str, Callable[[Read | None], Read]]] = {
    f.TIMESTAMP: _timestamp,
    f.DURATION: _duration,
    f.FIELD_MASK: _field_mask,
}
"""Types that protobuf JSON has as text and plain JSON as an object of their fields."""
