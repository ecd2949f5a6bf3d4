"""Messages in JSON: what Go's ``grpc.CallContentSubtype("json")`` sends.

Its content type is ``application/grpc+json``, but gRPC's core shows none: it takes every subtype,
and tells of none. So JSON is recognised by how it begins, where no message in protobuf of the
same type can begin so. ``{`` is the tag of a group number 15, which hardly any message has; what
else JSON may begin with counts for the types of ``google.protobuf`` that are no objects in JSON.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from kratos import encoding
from kratos.encoding import CodecError
from kratos.errors import Error
from kratos.transport import Method

__all__ = ["decode_json", "encode_json", "json_starts"]

# By their forms in JSON.
_TEXT, _NUMBER, _LIST, _TRUTH, _NULL, _OBJECT = b'"', b"-0123456789", b"[", b"tf", b"n", b"{"
_SPECIAL: Final = {
    "BoolValue": _TRUTH,
    "BytesValue": _TEXT,
    "DoubleValue": _NUMBER + _TEXT,
    "Duration": _TEXT,
    "FieldMask": _TEXT,
    "FloatValue": _NUMBER + _TEXT,
    "Int32Value": _NUMBER + _TEXT,
    "Int64Value": _NUMBER + _TEXT,
    "ListValue": _LIST,
    "StringValue": _TEXT,
    "Timestamp": _TEXT,
    "UInt32Value": _NUMBER + _TEXT,
    "UInt64Value": _NUMBER + _TEXT,
    "Value": _LIST + _TRUTH + _NULL + _OBJECT,  # texts and numbers may begin as its protobuf does
}
_GROUP: Final = 3  # wire type of its beginning


def json_starts(method: Method[Any, Any]) -> frozenset[bytes]:
    """Return the bytes by which requests in JSON are told from those in protobuf."""
    described = method.request.DESCRIPTOR
    package, _, name = described.full_name.rpartition(".")
    starts = _SPECIAL.get(name, _OBJECT) if package == "google.protobuf" else _OBJECT
    return frozenset(bytes([each]) for each in starts if not _is_tag(each, described))


def decode_json(method: Method[Any, Any], data: bytes) -> Message:
    """Return the request that a peer sent.

    Raises:
        Error: 400 CODEC: it is no JSON of a request; says where.
    """
    kind: type[Message] = method.request
    try:
        return _codec().decode(data, kind)
    except CodecError as error:
        name = kind.DESCRIPTOR.full_name
        raise Error(400, "CODEC", f"the request is no {name} in JSON: {error}") from error


def encode_json(method: Method[Any, Any], expected: type[Message], message: object) -> bytes:
    """Return a message as JSON.

    Raises:
        TypeError: It is none of the expected type; names the method.
        CodecError: JSON has no form for a value.
    """
    if not isinstance(message, expected):
        raise TypeError(
            f"{method.operation}: a {expected.__name__} is due, not {type(message).__name__}"
        )
    return _codec().encode(message)


def _codec() -> encoding.Codec:
    # When it is first needed, which most servers never do; looked up as Go does, by its name.
    codec = encoding.get("json")
    assert codec is not None, "the core brings it"
    return codec


def _is_tag(byte: int, described: Descriptor) -> bool:
    """Tell whether a message of that type can begin with a byte."""
    number, wire_type = byte >> 3, byte & 7
    field = described.fields_by_number.get(number)
    if wire_type == _GROUP:
        return described.is_extendable or (
            field is not None and field.type == FieldDescriptor.TYPE_GROUP
        )
    return described.is_extendable or field is not None
