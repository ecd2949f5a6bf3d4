"""Schemas of messages and enums, under the options of the JSON codec that writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from kratos.encoding.json import JsonOptions
from kratos_http.openapi import _fields as f
from kratos_http.openapi._fields import Schema
from kratos_http.openapi.scalars import FORM_TEXTS, JSON_FORMS, key_names, scalar

__all__ = ["Schemas", "with_null"]

_NULL: Final = "null"


class Schemas:
    """Makes schemas, and collects those that have a name.

    Names are the full ones of the definitions, so that two packages never meet. A message that
    contains itself refers to itself.

    Args:
        options: How the codec writes messages.
        comments: Texts by full name, where the definitions' comments are at hand.

    Attributes:
        components: Schemas of messages and enums by full name.
    """

    def __init__(self, options: JsonOptions, comments: Mapping[str, str]) -> None:
        self._options = options
        self._comments = comments
        self.components: dict[str, Schema] = {}

    def name(self, field: FieldDescriptor) -> str:
        """Return the name of a field in JSON."""
        return field.name if self._options.proto_names else field.json_name

    def message(self, descriptor: Descriptor) -> Schema:
        """Return the schema of a message by itself."""
        if descriptor.full_name in f.WRAPPERS:
            return self._element(descriptor.fields_by_name["value"])
        special = JSON_FORMS.get(descriptor.full_name)
        if special is not None:
            return dict(special)
        if descriptor.full_name not in self.components:
            self.components[descriptor.full_name] = {}  # it may contain itself
            self.components[descriptor.full_name] = self._object(descriptor)
        return _reference(descriptor.full_name)

    def field(self, field: FieldDescriptor) -> Schema:
        """Return the schema of a field's value, present."""
        if f.is_map(field):
            keys, values = f.map_fields(field)
            schema: Schema = {"type": "object", "additionalProperties": self._element(values)}
            names = key_names(keys.type)
            return schema if names is None else {**schema, "propertyNames": names}
        if field.is_repeated:
            return {"type": "array", "items": self._element(field)}
        return self._element(field)

    def text(self, field: FieldDescriptor) -> Schema | None:
        """Return the schema of one value in a query or a path; ``None`` if it has no text."""
        message = field.message_type
        if message is None:
            return self._element(field)
        if message.full_name in f.WRAPPERS:
            return self.message(message)
        found = FORM_TEXTS.get(message.full_name)
        return None if found is None else dict(found)

    def notes(self, field: FieldDescriptor) -> Schema:
        """Return what is known of a field beside its type."""
        notes: Schema = {}
        comment = self._comments.get(field.full_name)
        if comment:
            notes["description"] = comment
        if field.GetOptions().deprecated:
            notes["deprecated"] = True
        return notes

    def _object(self, descriptor: Descriptor) -> Schema:
        schema: Schema = {"type": "object"}
        paragraphs = [self._comments.get(descriptor.full_name, "")]
        for members in f.oneofs(descriptor):
            names = ", ".join(self.name(member) for member in members)
            paragraphs.append(f"At most one of {names}.")
        if any(paragraphs):
            schema["description"] = "\n\n".join(filter(None, paragraphs))
        if descriptor.GetOptions().deprecated:
            schema["deprecated"] = True
        schema["properties"] = {
            self.name(field): self._property(field) for field in descriptor.fields
        }
        return schema

    def _property(self, field: FieldDescriptor) -> Schema:
        schema = self.field(field)
        if self._nullable(field):
            schema = with_null(schema)
        return {**schema, **self.notes(field)}

    def _nullable(self, field: FieldDescriptor) -> bool:
        """Tell whether the codec writes ``null`` for the field, or the field is a wrapper."""
        if field.is_repeated or not field.has_presence:
            return False
        message = field.message_type
        if message is not None and message.full_name in f.WRAPPERS:
            return True
        return self._options.emit_unset and field.containing_oneof is None

    def _element(self, field: FieldDescriptor) -> Schema:
        message = field.message_type
        if message is not None:
            return self.message(message)
        enum = field.enum_type
        if enum is None:
            return scalar(field.type, int64_numbers=self._options.int64_numbers)
        if enum.full_name == f.NULL_VALUE:
            return {"type": _NULL}
        if enum.full_name not in self.components:
            self.components[enum.full_name] = self._enum(enum)
        return _reference(enum.full_name)

    def _enum(self, enum: EnumDescriptor) -> Schema:
        names = [value.name for value in enum.values]
        if self._options.enum_numbers:
            numbers = dict.fromkeys(value.number for value in enum.values)
            schema: Schema = {"type": "integer", "format": "int32", "enum": list(numbers)}
        else:
            schema = {"type": "string", "enum": names}
        lines = [line for line in self._value_lines(enum) if line]
        comment = self._comments.get(enum.full_name, "")
        if comment or lines:
            schema["description"] = "\n\n".join(filter(None, (comment, "\n".join(lines))))
        if enum.GetOptions().deprecated:
            schema["deprecated"] = True
        return schema

    def _value_lines(self, enum: EnumDescriptor) -> list[str]:
        """Return a line for every value of which there is more to tell than its name."""
        lines: list[str] = []
        first: dict[int, str] = {}
        for value in enum.values:
            original = first.setdefault(value.number, value.name)
            facts = [self._comments.get(f"{enum.full_name}.{value.name}", "")]
            if original != value.name:
                facts.append(f"Read as {original}.")
            if value.GetOptions().deprecated:
                facts.append("Deprecated.")
            told = " ".join(" ".join(filter(None, facts)).split())
            if self._options.enum_numbers:
                lines.append(f"- {value.number}: {value.name}" + (f". {told}" if told else ""))
            elif told:
                lines.append(f"- {value.name}: {told}")
        return lines


def with_null(schema: Schema) -> Schema:
    """Return the schema with ``null`` beside its values."""
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": _NULL}]}
    kind = schema.get("type")
    if kind is None or kind == _NULL:  # anything, null too
        return schema
    return {**schema, "type": [kind, _NULL]}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
