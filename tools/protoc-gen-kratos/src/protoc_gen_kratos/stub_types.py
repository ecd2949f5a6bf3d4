"""Annotations of fields: as attributes, as keywords of the constructor, as extensions."""

from __future__ import annotations

from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from protoc_gen_kratos.stub_names import StubNames

__all__ = ["FieldTypes"]

_SCALARS: Final = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_DOUBLE: "float",
    FieldDescriptor.TYPE_FLOAT: "float",
    FieldDescriptor.TYPE_STRING: "str",
}
_DICT: Final = "google.protobuf.Struct"


class FieldTypes:
    """Annotates the fields of one class.

    Args:
        names: Hands out names in the stub.
        members: Names that the class defines.
    """

    def __init__(self, names: StubNames, members: frozenset[str]) -> None:
        self._names = names
        self._members = members

    def attribute(self, field: FieldDescriptor) -> str:
        """Return what reading the field gives."""
        if not field.is_repeated:
            return self._one(field)
        entry = _map_entry(field)
        if entry is not None:
            key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
            kind = "ScalarMap" if value.message_type is None else "MessageMap"
            return f"{self._names.known(kind)}[{self._one(key)}, {self._one(value)}]"
        kind = "Scalar" if field.message_type is None else "Composite"
        return f"{self._names.known(f'Repeated{kind}FieldContainer')}[{self._one(field)}]"

    def keyword(self, field: FieldDescriptor) -> str:
        """Return what the constructor takes for the field."""
        if not field.is_repeated:
            return f"{self._given(field, convert=True)} | None"
        entry = _map_entry(field)
        if entry is None:
            return f"{self._names.known('Iterable')}[{self._given(field)}] | None"
        key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
        return f"{self._names.known('Mapping')}[{self._one(key)}, {self._given(value)}] | None"

    def assignable(self, field: FieldDescriptor) -> str | None:
        """Return what may be assigned to a message field, None for most: nothing."""
        if field.is_repeated or field.message_type is None:
            return None
        return self._native(field.message_type) or None

    def _one(self, field: FieldDescriptor) -> str:
        """Return the type of a single value."""
        descriptor = field.message_type or field.enum_type
        if descriptor is not None:
            return self._names.type(descriptor, self._members)
        return self._names.builtin(_SCALARS.get(field.type, "int"))

    def _given(self, field: FieldDescriptor, *, convert: bool = False) -> str:
        """Return what may be given for a single value.

        Args:
            field: Of that value's type.
            convert: Whether native values of well-known types are converted there; protobuf
                6.31 does not do so in lists and maps.
        """
        one = self._one(field)
        if field.enum_type is not None:
            return f"{one} | {self._names.builtin('str')}"
        if field.message_type is None:
            return one
        native = self._native(field.message_type) if convert else ""
        choices = [one, self._dictionary()]
        if native and field.message_type.full_name != _DICT:
            choices.insert(1, native)
        return " | ".join(choices)

    def _native(self, message: Descriptor) -> str:
        """Return the Python type that protobuf converts to a well-known type."""
        match message.full_name:
            case "google.protobuf.Timestamp":
                return self._names.known("datetime")
            case "google.protobuf.Duration":
                return self._names.known("timedelta")
            case "google.protobuf.ListValue":
                return f"{self._names.builtin('list')}[{self._names.known('Any')}]"
            case name if name == _DICT:
                any_ = self._names.known("Any")
                return f"{self._names.builtin('dict')}[{self._names.builtin('str')}, {any_}]"
            case _:
                return ""

    def _dictionary(self) -> str:
        mapping, any_ = self._names.known("Mapping"), self._names.known("Any")
        return f"{mapping}[{self._names.builtin('str')}, {any_}]"


def _map_entry(field: FieldDescriptor) -> Descriptor | None:
    message = field.message_type
    if message is None or not message.GetOptions().map_entry:
        return None
    return message
