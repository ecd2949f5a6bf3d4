"""Parameters in paths and queries, as the server binds them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from kratos_http.openapi import _fields as f
from kratos_http.openapi._fields import Schema
from kratos_http.openapi.paths import Variable
from kratos_http.openapi.schema import Schemas

__all__ = ["path_parameter", "query_parameters"]

_JSON_TEXTS: Final = (f.STRUCT, f.LIST_VALUE)


def path_parameter(
    variable: Variable, descriptor: Descriptor, *, name: str, schemas: Schemas
) -> dict[str, Any]:
    """Return the parameter of a path variable.

    Args:
        variable: The variable.
        descriptor: Type of the request.
        name: Its name in the document's path.
        schemas: Makes the schema of its field.
    """
    field = _field(descriptor, variable.field) if variable.field else None
    whole = field is not None and not variable.pattern and not variable.rest
    schema: Schema = (schemas.text(field) if field is not None and whole else None) or {
        "type": "string"
    }
    if schema.get("type") == "string" and not variable.rest:
        schema = {**schema, "minLength": 1}
    parameter: dict[str, Any] = {"name": name, "in": "path", "required": True, "schema": schema}
    notes = schemas.notes(field) if field is not None and whole else {}
    described = _description(variable, notes.pop("description", ""), name)
    if described:
        parameter["description"] = described
    return {**parameter, **notes}


def query_parameters(
    descriptor: Descriptor, *, omit: Collection[str], schemas: Schemas
) -> Iterator[dict[str, Any]]:
    """Yield the parameters of a query.

    Fields of nested messages are written with dots, entries of maps in brackets; lists repeat
    their parameter. What no query can express is left out: lists of messages, ``Any``, and
    messages within themselves.

    Args:
        descriptor: Type of the request.
        omit: Dotted paths of fields that are elsewhere: in the path, or in the body.
        schemas: Makes the schemas.
    """
    yield from _walk(descriptor, "", "", omit, schemas, (descriptor.full_name,))


def _walk(
    descriptor: Descriptor,
    prefix: str,
    place: str,
    omit: Collection[str],
    schemas: Schemas,
    above: tuple[str, ...],
) -> Iterator[dict[str, Any]]:
    for field in descriptor.fields:
        path = place + field.name
        if path in omit:
            continue
        name = prefix + schemas.name(field)
        parameter = _parameter(field, schemas)
        if parameter is not None:
            yield {"name": name, "in": "query", **parameter, **schemas.notes(field)}
            continue
        message = field.message_type
        if message is None or field.is_repeated or message.full_name in (*above, f.ANY):
            continue
        inner = (*above, message.full_name)
        yield from _walk(message, f"{name}.", f"{path}.", omit, schemas, inner)


def _parameter(field: FieldDescriptor, schemas: Schemas) -> dict[str, Any] | None:
    """Return how a field is written in a query; ``None`` if that takes other parameters."""
    if f.is_map(field):
        value = schemas.text(f.map_fields(field)[1])
        if value is None:
            return None
        schema = {**schemas.field(field), "additionalProperties": value}
        return {"schema": schema, "style": "deepObject", "explode": True}
    message = field.message_type
    if message is not None and not field.is_repeated and message.full_name in _JSON_TEXTS:
        return {"content": {"application/json": {"schema": schemas.message(message)}}}
    text = schemas.text(field)
    if text is None:
        return None
    return {"schema": {"type": "array", "items": text} if field.is_repeated else text}


def _description(variable: Variable, comment: str, name: str) -> str:
    texts = [comment]
    if variable.field and (variable.pattern or variable.field != name):
        whole = f", which is {variable.pattern}" if variable.pattern else ""
        texts.append(f"{'Part of' if whole else 'The field'} {variable.field}{whole}.")
    if variable.rest:
        texts.append("Any number of segments, with slashes between them that are not escaped.")
    return "\n\n".join(filter(None, texts))


def _field(descriptor: Descriptor, path: str) -> FieldDescriptor | None:
    found: FieldDescriptor | None = None
    owner: Descriptor | None = descriptor
    for name in path.split("."):
        found = owner.fields_by_name.get(name) if owner is not None else None
        owner = found.message_type if found is not None else None
    return found
