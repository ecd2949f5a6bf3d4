"""Bodies that are no JSON of a message: raw ones, forms with files, envelopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from kratos.encoding.http_body import is_http_body
from kratos.transport import HttpEnvelope, HttpOptions, Method
from kratos_http._details import MEMBER
from kratos_http._multipart import FORM_DATA
from kratos_http.encoders import Encoders
from kratos_http.openapi import _fields as f
from kratos_http.openapi._fields import Schema
from kratos_http.openapi.scalars import JSON_FORMS
from kratos_http.openapi.schema import Schemas

__all__ = [
    "DETAILS",
    "RAW",
    "EncodersOf",
    "enveloped",
    "enveloped_error",
    "extensions",
    "form",
    "nobody",
    "options_of",
]

EncodersOf: TypeAlias = Callable[[Method[Any, Any]], Encoders | None]
"""Tells the encoders that a server was given for a method by name."""

_JSON: Final = "application/json"
_BINARY: Final[Schema] = {"type": "string", "format": "binary"}
DETAILS: Final[Schema] = {
    "type": "array",
    "items": dict(JSON_FORMS[f.ANY]),
    "description": "Messages that tell more, such as google.rpc.BadRequest; absent without any.",
}
"""What an error may have beside code, reason, message and metadata."""
RAW: Final[dict[str, Any]] = {"*/*": {"schema": _BINARY}}
"""Content of any type."""

_NO_OPTIONS: Final = HttpOptions()


def nobody(_method: Method[Any, Any]) -> Encoders | None:
    """Tell that a method has none."""


def options_of(method: Method[Any, Any]) -> HttpOptions:
    """Return what the definition says about a method beside its rules."""
    return method.http_options or _NO_OPTIONS


def extensions(options: HttpOptions) -> dict[str, Any]:
    """Return what a document has no other words for."""
    found: dict[str, Any] = {}
    if options.timeout:
        found["x-kratos-timeout"] = options.timeout
    if options.max_body:
        found["x-kratos-max-body"] = options.max_body
    return found


def form(message: Descriptor, schemas: Schemas, *, filename: str) -> dict[str, Any]:
    """Return a body as ``multipart/form-data``.

    Args:
        message: Its fields are the parts.
        schemas: Makes schemas.
        filename: Field that has the name of a file, and so is no part; empty for none.
    """
    properties: dict[str, Schema] = {}
    encoding: dict[str, dict[str, str]] = {}
    for field in message.fields:
        if field.name == filename:
            continue
        name = schemas.name(field)
        schema, kind = _part(field, schemas)
        properties[name] = {**schema, **schemas.notes(field)}
        if kind:
            encoding[name] = {"contentType": kind}
    content: dict[str, Any] = {"schema": {"type": "object", "properties": properties}}
    if encoding:
        content["encoding"] = encoding
    return {FORM_DATA: content}


def enveloped(data: Schema, envelope: HttpEnvelope) -> Schema:
    """Return the schema of a reply in an envelope."""
    said: dict[str, Schema] = {
        envelope.code_key: {"type": "integer", "const": envelope.success},
        envelope.message_key: {"type": "string"},
        envelope.data_key: data,
    }
    return _object(said, envelope)


def enveloped_error(envelope: HttpEnvelope) -> Schema:
    """Return the schema of an error in an envelope."""
    said: dict[str, Schema] = {
        envelope.code_key: {"type": "integer"},
        envelope.message_key: {"type": "string"},
        envelope.data_key: {"type": "null"},
    }
    schema = _object(said, envelope)
    schema["properties"]["metadata"] = {
        "type": "object",
        "additionalProperties": {"type": "string"},
    }
    schema["properties"][MEMBER] = dict(DETAILS)
    return schema


def _object(said: dict[str, Schema], envelope: HttpEnvelope) -> Schema:
    if envelope.reason_key:
        said[envelope.reason_key] = {"type": "string"}
    return {"type": "object", "properties": said, "required": sorted(said)}


def _part(field: FieldDescriptor, schemas: Schemas) -> tuple[Schema, str]:
    """Return the schema of a field's parts, and their content type where it must be given."""
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _listed(field, _BINARY), "application/octet-stream"
    if is_http_body(field.message_type):
        return _listed(field, _BINARY), "*/*"
    if f.is_map(field):
        return schemas.field(field), _JSON
    text = schemas.text(field)
    if text is not None:
        return _listed(field, text), ""
    assert field.message_type is not None, "all scalars are texts"
    return _listed(field, schemas.message(field.message_type)), _JSON


def _listed(field: FieldDescriptor, schema: Schema) -> Schema:
    return {"type": "array", "items": dict(schema)} if field.is_repeated else dict(schema)
