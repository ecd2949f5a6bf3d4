"""Single JSON values to what a protobuf field takes, or a fault."""

from __future__ import annotations

import re
from collections.abc import Callable, ItemsView
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeAlias, TypeGuard

from google.protobuf.descriptor import FieldDescriptor

from kratos_protojson import descriptors as f
from kratos_protojson._error import JsonError
from kratos_protojson.scalars import decode_base64, fits_float32, show
from kratos_protojson.text import Huge

__all__ = [
    "AS_IT_IS",
    "SCALARS",
    "Convert",
    "is_object",
    "key_converter",
    "listed",
    "members",
    "no_object",
    "scalar_converter",
    "too_deep",
]

Convert: TypeAlias = Callable[[Any], Any]
"""Returns the field's value; ``None`` for a value that is to be left out."""

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,31})")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_DIGIT: Final = re.compile(r"[-0.]*[1-9]")
_SPELLED: Final = ("NaN", "Infinity", "-Infinity")
# More digits before the point than any 64-bit integer has.
_MAX_MAGNITUDE: Final = 20


def scalar_converter(field: FieldDescriptor, *, ignore_unknown: bool) -> Convert:
    """Return the converter of one element of a scalar or enum field."""
    if field.enum_type is not None:
        return _enum(field, ignore_unknown=ignore_unknown)
    return SCALARS[field.type]


def key_converter(field: FieldDescriptor) -> Callable[[str], Any]:
    """Return the converter of map keys, which JSON always has as text."""
    if field.type == FieldDescriptor.TYPE_STRING:
        return _text
    return _bool_key if field.type == FieldDescriptor.TYPE_BOOL else _integer_key


def listed(value: Any) -> list[Any]:
    """Return the elements of a JSON array."""
    if not _is_list(value):
        raise JsonError(f"expected a list, got {show(value)}")
    return value


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return type(value) is list


def members(value: Any) -> ItemsView[str, Any]:
    """Return the members of a JSON object."""
    if not is_object(value):
        raise no_object(value)
    return value.items()


def no_object(value: Any) -> JsonError:
    """Return the error for what should be a JSON object."""
    return JsonError(f"expected an object, got {show(value)}")


def too_deep(max_depth: int) -> JsonError:
    """Return the error for messages below the last level."""
    return JsonError(f"nested deeper than {max_depth} messages")


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Tell whether a JSON value is an object."""
    return type(value) is dict


def _integer(value: Any) -> int:
    if type(value) is str and value.isascii() and value.isdigit() and value[0] != "0":
        if len(value) < _MAX_MAGNITUDE:
            return int(value)
    elif type(value) is int:
        return int(value)
    if type(value) is float and value.is_integer():
        return int(value)
    if type(value) is str:
        if _INTEGER.fullmatch(value):
            return int(value)
        if _NUMBER.fullmatch(value):
            return _integral(value)
    raise JsonError(f"expected an integer, got {show(value)}")


def _integral(text: str) -> int:
    """Read ``1e5`` and ``1.0`` exactly, without expanding ``1e999999999``."""
    if not _DIGIT.match(text):  # zero, whatever the exponent
        return 0
    try:
        number = Decimal(text)
    except InvalidOperation:  # its exponent has more digits than decimals take
        raise JsonError(f"{show(text)} is no integer of 64 bits") from None
    if number.adjusted() > _MAX_MAGNITUDE:
        raise JsonError(f"{show(text)} is no integer of 64 bits")
    # Cut off and compared: a ratio of it takes time that grows with the square of its digits.
    whole = 0 if number.adjusted() < 0 else int(number)
    if whole != number:
        raise JsonError(f"expected an integer, got {show(text)}")
    return whole


def _double(value: Any) -> float:
    if type(value) is float and value - value == 0:
        return float(value)
    if type(value) is str:
        if value in _SPELLED:
            return float(value)
        if not _NUMBER.fullmatch(value):
            raise JsonError(f"expected a number, got {show(value)}")
    elif type(value) not in (float, int, Huge):
        raise JsonError(f"expected a number, got {show(value)}")
    try:
        number = float(value)
    except OverflowError:
        raise JsonError(f"{show(value)} is out of range") from None
    if number - number != 0:
        raise JsonError(f"{show(value)} is out of range")
    return number


def _float(value: Any) -> float:
    number = _double(value)
    if not fits_float32(number):
        raise JsonError(f"{show(value)} is out of range of a 32-bit float")
    return number


def _bool(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise JsonError(f"expected true or false, got {show(value)}")


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    raise JsonError(f"expected a string, got {show(value)}")


def _bytes(value: Any) -> bytes:
    if type(value) is str:
        return decode_base64(value)
    raise JsonError(f"expected base64 text, got {show(value)}")


def _enum(field: FieldDescriptor, *, ignore_unknown: bool) -> Convert:
    enum = f.enum_of(field)
    numbers = f.json_enum_numbers(field)
    known = frozenset(numbers.values())
    null = f.is_null_value(field)

    def convert(value: Any) -> int | None:
        if type(value) is str:
            number = numbers.get(value)
            if number is None and not ignore_unknown:
                raise JsonError(f"{show(value)} is no value of {enum.full_name}")
            return number
        if value is None and null:
            return 0
        number = _integer(value)
        if number not in known and enum.is_closed:
            raise JsonError(f"{show(value)} is no value of {enum.full_name}")
        return number

    return convert


def _bool_key(value: str) -> bool:
    if value == "true" or value == "false":
        return value == "true"
    raise JsonError(f"expected a key true or false, got {show(value)}")


def _integer_key(value: str) -> int:
    if _INTEGER.fullmatch(value):
        return int(value)
    raise JsonError(f"expected an integer as key, got {show(value)}")


SCALARS: Final[dict[int, Convert]] = {
    **dict.fromkeys(f.INTEGERS, _integer),
    FieldDescriptor.TYPE_DOUBLE: _double,
    FieldDescriptor.TYPE_FLOAT: _float,
    FieldDescriptor.TYPE_BOOL: _bool,
    FieldDescriptor.TYPE_STRING: _text,
    FieldDescriptor.TYPE_BYTES: _bytes,
}
"""Converters of the scalar types, which leave no value out."""

AS_IT_IS: Final[dict[int, type]] = {
    FieldDescriptor.TYPE_STRING: str,
    FieldDescriptor.TYPE_BOOL: bool,
    **dict.fromkeys(f.INTEGERS, int),
}
"""JSON types that fields take without conversion, after which protobuf checks the range."""
