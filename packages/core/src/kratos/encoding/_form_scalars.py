"""Single form values to fields and back (Go: encoding/form/proto_decode.go, proto_encode.go)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import FieldDescriptor

from kratos.duration import clamp_nanoseconds, format_nanoseconds, parse_nanoseconds
from kratos.encoding._scalars import encode_url_base64, float_text, split_nanoseconds
from kratos_protojson import descriptors as f
from kratos_protojson.scalars import (
    camel_case,
    decode_base64,
    encode_base64,
    fits_float32,
    parse_timestamp,
    shortest_float32,
    show,
    snake_case,
    timestamp_text,
)

__all__ = ["FILLERS", "NULL", "PRINTERS", "Fill", "parser", "printer"]

NULL: Final = "null"

Parse: TypeAlias = Callable[[str], Any]
Print: TypeAlias = Callable[[Any], str]
Fill: TypeAlias = Callable[[Any, str], None]
"""Fills a fresh message of a well-known type from text."""

_SIGNED: Final = re.compile(r"[+-]?[0-9]{1,64}")
_DIGITS: Final = re.compile(r"[0-9]{1,64}")
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_SPECIAL: Final = re.compile(r"[+-]?(?:inf|infinity)|nan", re.IGNORECASE)
# Go: strconv.ParseBool
_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})


def parser(field: FieldDescriptor) -> Parse:
    """Return the parser of one element of a scalar or enum field; it raises ``ValueError``."""
    if field.enum_type is not None:
        return _enum_parser(field)
    if field.type in f.INTEGERS:
        return _integer_parser(field)
    return _PARSERS[field.type]


def printer(field: FieldDescriptor) -> Print:
    """Return the printer of one element of a scalar or enum field."""
    if field.enum_type is not None:
        if f.is_null_value(field):
            return _print_null
        names = f.enum_names(field)
        return lambda number: names.get(number) or str(number)
    return _PRINTERS.get(field.type, str)


def _enum_parser(field: FieldDescriptor) -> Parse:
    numbers = f.enum_numbers(field)
    known = {str(number): number for number in numbers.values()}
    if f.is_null_value(field):
        known[NULL] = 0

    def parse(text: str) -> int:
        number = numbers.get(text)
        if number is None:
            number = known.get(text)
        if number is None and _SIGNED.fullmatch(text):
            number = known.get(str(int(text)))
        if number is None:
            raise ValueError(f"{show(text)} is not a valid value")
        return number

    return parse


def _integer_parser(field: FieldDescriptor) -> Parse:
    bits = 64 if field.type in f.INTEGERS_64 else 32
    unsigned = field.type in f.UNSIGNED
    form = _DIGITS if unsigned else _SIGNED
    low = 0 if unsigned else -(1 << bits - 1)
    high = (1 << bits) - 1 if unsigned else (1 << bits - 1) - 1
    kind = f"{'an unsigned' if unsigned else 'a'} {bits}-bit integer"

    def parse(text: str) -> int:
        if form.fullmatch(text):
            number = int(text)
            if low <= number <= high:
                return number
            raise ValueError(f"{show(text)} is out of range of {kind}")
        raise ValueError(f"{show(text)} is not {kind}")

    return parse


def _double(text: str) -> float:
    if _DECIMAL.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise ValueError(f"{show(text)} is out of range of a 64-bit float")
        return number
    if _SPECIAL.fullmatch(text):
        return float(text)
    raise ValueError(f"{show(text)} is not a number")


def _float(text: str) -> float:
    number = _double(text)
    if not fits_float32(number):
        raise ValueError(f"{show(text)} is out of range of a 32-bit float")
    return number


def _bool(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"{show(text)} is not a bool: write true or false")


def _print_null(_number: int) -> str:
    return NULL


def _print_float(value: float) -> str:
    return float_text(shortest_float32(value) if math.isfinite(value) else value)


def _fill_timestamp(message: Any, text: str) -> None:
    message.seconds, message.nanos = parse_timestamp(text)


def _fill_duration(message: Any, text: str) -> None:
    message.seconds, message.nanos = split_nanoseconds(parse_nanoseconds(text))


def _fill_field_mask(message: Any, text: str) -> None:
    message.paths.extend(map(snake_case, text.split(",")))


def _fill_value(message: Any, text: str) -> None:
    message.string_value = text


def _print_duration(message: Any) -> str:
    return format_nanoseconds(clamp_nanoseconds(message.seconds, message.nanos))


def _print_timestamp(message: Any) -> str:
    return timestamp_text(message.seconds, message.nanos)


def _print_field_mask(message: Any) -> str:
    return ",".join(map(_mask_path, message.paths))


def _mask_path(path: str) -> str:
    """Return a path in lowerCamelCase as Go does, or as it is where only that is read as it was."""
    camel = camel_case(path)
    for text in (camel, path):
        if "," not in path and snake_case(text) == path:
            return text
    raise ValueError(f"path {show(path)} has no text form: use lower_snake_case")


def _print_bytes_value(message: Any) -> str:
    return encode_base64(message.value)


FILLERS: Final[dict[str, Fill]] = {
    f.TIMESTAMP: _fill_timestamp,
    f.DURATION: _fill_duration,
    f.FIELD_MASK: _fill_field_mask,
    f.VALUE: _fill_value,
}
PRINTERS: Final[dict[str, Print]] = {
    f.TIMESTAMP: _print_timestamp,
    f.DURATION: _print_duration,
    f.FIELD_MASK: _print_field_mask,
    "google.protobuf.BytesValue": _print_bytes_value,
}
_PARSERS: Final[dict[int, Parse]] = {
    FieldDescriptor.TYPE_DOUBLE: _double,
    FieldDescriptor.TYPE_FLOAT: _float,
    FieldDescriptor.TYPE_BOOL: _bool,
    FieldDescriptor.TYPE_STRING: str,
    FieldDescriptor.TYPE_BYTES: decode_base64,
}
_PRINTERS: Final[dict[int, Print]] = {
    FieldDescriptor.TYPE_DOUBLE: float_text,
    FieldDescriptor.TYPE_FLOAT: _print_float,
    FieldDescriptor.TYPE_BOOL: lambda value: "true" if value else "false",
    FieldDescriptor.TYPE_BYTES: encode_url_base64,
}
