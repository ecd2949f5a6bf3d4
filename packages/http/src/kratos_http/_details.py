"""Details of errors in bodies: a member ``details`` in JSON, a field of its own in protobuf.

Readers of Go Kratos pass both over. In JSON a detail is what protobuf's JSON of an ``Any`` is. One
of a type that is not known here has no such form and goes as its bytes, ``{"@type": ...,
"@bytes": ...}``; one that came as JSON and is not known here stays that JSON, in a
``google.protobuf.Struct``, until somebody reads it who knows it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any, Final, TypeAlias, cast

from google.protobuf import any_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct

from kratos.encoding import Codec, CodecError
from kratos.encoding.json import PROTOJSON, JsonCodec
from kratos.encoding.proto import ProtoCodec

__all__ = ["MEMBER", "from_json", "from_proto", "parted", "to_json", "with_details"]

MEMBER: Final = "details"

_TYPE: Final = "@type"
_BYTES: Final = "@bytes"
_STRUCT: Final = "google.protobuf.Struct"
_NUMBER: Final = 100  # far from what Go may still give to fields of its own

Details: TypeAlias = Sequence[AnyMessage]


def _carrier_class() -> type[Message]:
    """Make the message that ``errors.Status`` is with nothing but details."""
    field = FieldDescriptorProto
    carrier = DescriptorProto(name="Carrier")
    carrier.field.add(
        name=MEMBER,
        number=_NUMBER,
        type=field.TYPE_MESSAGE,
        type_name=".google.protobuf.Any",
        label=field.LABEL_REPEATED,
    )
    file = FileDescriptorProto(name="kratos_http/carrier.proto", package="kratos_http")
    file.syntax = "proto3"
    file.dependency.append("google/protobuf/any.proto")
    file.message_type.append(carrier)
    pool = DescriptorPool()
    pool.AddSerializedFile(cast("Any", any_pb2).DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("kratos_http.Carrier"))


_CARRIER: Final = _carrier_class()


def with_details(codec: Codec, body: bytes, details: Details) -> bytes:
    """Return the body of an error with its details, if the codec has a form for them."""
    if isinstance(codec, JsonCodec):
        value = {**json.loads(body), MEMBER: to_json(details, codec)}
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        return text.encode("utf-8", "replace")
    if isinstance(codec, ProtoCodec):
        carrier: Any = _CARRIER()
        for detail in details:
            carrier.details.add(type_url=detail.type_url, value=detail.value)
        data: bytes = carrier.SerializeToString()
        return body + data
    return body


def parted(codec: Codec, body: bytes) -> tuple[bytes, list[AnyMessage]]:
    """Return the body of an error without its details, and those.

    What cannot be read stays in the body, for the codec to refuse.
    """
    if isinstance(codec, ProtoCodec):
        return body, from_proto(body)
    if not isinstance(codec, JsonCodec) or b'"details"' not in body:
        return body, []
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        return body, []
    if not isinstance(found, dict):
        return body, []
    value = cast("dict[str, Any]", found)
    details = from_json(value.pop(MEMBER, None), codec)
    return json.dumps(value).encode(), details


def to_json(details: Details, codec: JsonCodec = PROTOJSON) -> list[dict[str, Any]]:
    """Return details as members of JSON."""
    return [_to_json(detail, codec) for detail in details]


def from_json(value: object, codec: JsonCodec = PROTOJSON) -> list[AnyMessage]:
    """Return the details that a member holds; what is none is left out."""
    members = cast("list[object]", value) if isinstance(value, list) else []
    read = (_from_json(cast("Any", each), codec) for each in members if isinstance(each, dict))
    return [each for each in read if each is not None]


def from_proto(body: bytes) -> list[AnyMessage]:
    """Return the details in an error's bytes."""
    try:
        carrier: Any = _CARRIER.FromString(body)
    except DecodeError:
        return []
    return [AnyMessage(type_url=each.type_url, value=each.value) for each in carrier.details]


def _to_json(detail: AnyMessage, codec: JsonCodec) -> dict[str, Any]:
    try:
        value: dict[str, Any] = codec.to_value(detail)
    except CodecError:
        encoded = base64.b64encode(detail.value).decode()
        return {_TYPE: detail.type_url, _BYTES: encoded}
    inner = value.get("value")
    if detail.type_url.rpartition("/")[2] == _STRUCT and isinstance(inner, dict):
        as_it_came = cast("dict[str, Any]", inner)
        return as_it_came if _TYPE in as_it_came else value
    return value


def _from_json(value: dict[str, Any], codec: JsonCodec) -> AnyMessage | None:
    url, data = value.get(_TYPE), value.get(_BYTES)
    if not isinstance(url, str) or not url:
        return None
    if isinstance(data, str):
        try:
            return AnyMessage(type_url=url, value=base64.b64decode(data, validate=True))
        except ValueError:
            return None
    try:
        return codec.from_value(value, AnyMessage)
    except CodecError:
        return _as_it_came(value, codec)


def _as_it_came(value: dict[str, Any], codec: JsonCodec) -> AnyMessage | None:
    try:
        kept = codec.from_value(value, Struct)
    except CodecError:
        return None
    detail = AnyMessage()
    detail.Pack(kept, deterministic=True)
    return detail
