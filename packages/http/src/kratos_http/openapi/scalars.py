"""Schemas of scalars and of well-known types, as the JSON codecs and forms write them."""

from __future__ import annotations

from typing import Final

from google.protobuf.descriptor import FieldDescriptor as F

from kratos_http.openapi._fields import ANY, LIST_VALUE, STRUCT, VALUE, Schema

__all__ = ["FORM_TEXTS", "JSON_FORMS", "key_names", "scalar"]

# The formats tell the ranges. Bounds would be right, too, but pages show the lower one as example.
_INT32: Final[Schema] = {"type": "integer", "format": "int32"}
_UINT32: Final[Schema] = {"type": "integer", "format": "uint32", "minimum": 0}
_INT64: Final[Schema] = {
    "type": "string",
    "format": "int64",
    "pattern": "^(0|-?[1-9][0-9]{0,18})$",
}
_UINT64: Final[Schema] = {
    "type": "string",
    "format": "uint64",
    "pattern": "^(0|[1-9][0-9]{0,19})$",
}
_INT64_NUMBER: Final[Schema] = {"type": "integer", "format": "int64"}
_UINT64_NUMBER: Final[Schema] = {"type": "integer", "format": "uint64", "minimum": 0}
_SCALARS: Final[dict[int, Schema]] = {
    F.TYPE_DOUBLE: {"type": "number", "format": "double"},
    F.TYPE_FLOAT: {"type": "number", "format": "float"},
    F.TYPE_BOOL: {"type": "boolean"},
    F.TYPE_STRING: {"type": "string"},
    F.TYPE_BYTES: {"type": "string", "format": "byte", "contentEncoding": "base64"},
    **dict.fromkeys((F.TYPE_INT32, F.TYPE_SINT32, F.TYPE_SFIXED32), _INT32),
    **dict.fromkeys((F.TYPE_UINT32, F.TYPE_FIXED32), _UINT32),
    **dict.fromkeys((F.TYPE_INT64, F.TYPE_SINT64, F.TYPE_SFIXED64), _INT64),
    **dict.fromkeys((F.TYPE_UINT64, F.TYPE_FIXED64), _UINT64),
}
_NUMBERS: Final[dict[int, Schema]] = {
    **dict.fromkeys((F.TYPE_INT64, F.TYPE_SINT64, F.TYPE_SFIXED64), _INT64_NUMBER),
    **dict.fromkeys((F.TYPE_UINT64, F.TYPE_FIXED64), _UINT64_NUMBER),
}

_TIMESTAMP: Final[Schema] = {"type": "string", "format": "date-time"}
_FIELD_MASK: Final[Schema] = {
    "type": "string",
    "format": "field-mask",
    "pattern": "^[^_]*$",
}
JSON_FORMS: Final[dict[str, Schema]] = {
    "google.protobuf.Timestamp": _TIMESTAMP,
    "google.protobuf.Duration": {
        "type": "string",
        "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$",
        "description": "Seconds, such as 3.5s.",
    },
    "google.protobuf.FieldMask": _FIELD_MASK,
    STRUCT: {"type": "object", "additionalProperties": True},
    LIST_VALUE: {"type": "array", "items": {}},
    VALUE: {},
    ANY: {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "additionalProperties": True,
        "description": "A message of the type that ends @type, with its fields beside that.",
    },
}
"""Types whose JSON is not an object of their fields."""

FORM_TEXTS: Final[dict[str, Schema]] = {
    "google.protobuf.Timestamp": _TIMESTAMP,
    "google.protobuf.Duration": {
        "type": "string",
        "pattern": r"^[-+]?([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$",
        "description": "Such as 3.5s or 1h30m.",
    },
    "google.protobuf.FieldMask": _FIELD_MASK,
    VALUE: {"type": "string"},
}
"""Messages that queries and paths hold as one text."""


def scalar(kind: int, *, int64_numbers: bool) -> Schema:
    """Return a new schema of a scalar.

    Args:
        kind: Type of the field.
        int64_numbers: Whether 64-bit integers are numbers, not text.
    """
    found = _NUMBERS.get(kind) if int64_numbers else None
    return dict(found or _SCALARS[kind])


def key_names(kind: int) -> Schema | None:
    """Return the schema of the names of an object's members that are keys of a map."""
    if kind == F.TYPE_STRING:
        return None
    if kind == F.TYPE_BOOL:
        return {"enum": ["true", "false"]}
    unsigned = kind in (F.TYPE_UINT32, F.TYPE_FIXED32, F.TYPE_UINT64, F.TYPE_FIXED64)
    return {"pattern": f"^(0|{'' if unsigned else '-?'}[1-9][0-9]*)$"}
