"""Single values of protobuf fields, and well-known types, to JSON values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import FieldDescriptor

from kratos_protojson import descriptors as f
from kratos_protojson._error import JsonError
from kratos_protojson.scalars import (
    camel_case,
    duration_text,
    encode_base64,
    shortest_float32,
    show,
    snake_case,
    timestamp_text,
)

__all__ = ["SCALARS", "SPECIAL", "EnumNames", "Write", "mask_or_object", "null"]

Write: TypeAlias = Callable[[Any], Any]


class EnumNames(dict[int, str]):
    """Names by number; a number without a name stays what it is."""

    __slots__ = ()

    def __missing__(self, number: int) -> Any:
        return number


def null(_value: Any) -> None:
    """Write ``google.protobuf.NullValue``."""


def _double(value: float) -> float | int | str:
    if value - value != 0:
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if value.is_integer() and -1e21 < value < 1e21 and (value or str(value) == "0.0"):
        # As Go and JavaScript: 1, not 1.0, and no exponent below 1e21.
        return int(value) if -1e16 < value < 1e16 else int(Decimal(repr(value)))
    return value


def _float(value: float) -> float | int | str:
    return _double(value if value - value != 0 else shortest_float32(value))


def _timestamp(message: Any) -> str:
    return timestamp_text(message.seconds, message.nanos)


def _duration(message: Any) -> str:
    return duration_text(message.seconds, message.nanos)


def _field_mask(message: Any) -> str:
    for path in message.paths:
        if snake_case(camel_case(path)) != path:
            raise JsonError(f"field mask path {show(path)} has no JSON form: use lower_snake_case")
    return ",".join(map(camel_case, message.paths))


def mask_or_object(message: Any) -> Any:
    """Write ``google.protobuf.FieldMask``; one without a text form as its fields."""
    try:
        return _field_mask(message)
    except JsonError:
        return {"paths": list(message.paths)}


def _struct(message: Any) -> dict[str, Any]:
    fields: Mapping[str, Any] = message.fields
    out: dict[str, Any] = {}
    key = ""
    try:
        for key in sorted(fields):
            out[key] = _value(fields[key])
    except ValueError as error:
        raise JsonError.of(error).within(key) from None
    return out


def _list_value(message: Any) -> list[Any]:
    out: list[Any] = []
    try:
        for value in message.values:
            out.append(_value(value))  # noqa: PERF401  # its length is the place of a failure
    except ValueError as error:
        raise JsonError.of(error).within(f"[{len(out)}]") from None
    return out


def _value(message: Any) -> Any:
    kind = message.WhichOneof("kind")
    if kind is None or kind == "null_value":
        return None
    if kind == "struct_value":
        return _struct(message.struct_value)
    if kind == "list_value":
        return _list_value(message.list_value)
    value = getattr(message, kind)
    if kind == "number_value":
        value = _double(value)
        if isinstance(value, str):
            raise JsonError(f"google.protobuf.Value cannot hold {value} in JSON")
    return value


SCALARS: Final[dict[int, Write]] = {
    FieldDescriptor.TYPE_DOUBLE: _double,
    FieldDescriptor.TYPE_FLOAT: _float,
    FieldDescriptor.TYPE_BYTES: encode_base64,
}
SPECIAL: Final[dict[str, Write]] = {
    f.TIMESTAMP: _timestamp,
    f.DURATION: _duration,
    f.FIELD_MASK: _field_mask,
    f.STRUCT: _struct,
    f.LIST_VALUE: _list_value,
    f.VALUE: _value,
}
