"""Walks over raw descriptors: messages at any depth, fields, options, references to types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.message import Message

from protoc_gen_kratos.elements import Path

__all__ = ["all_enums", "all_fields", "all_messages", "owners_of_options", "type_references"]


def all_messages(raw: FileDescriptorProto) -> Iterator[tuple[DescriptorProto, Path]]:
    """Yield messages at any depth, with where they lie."""
    stack: list[tuple[DescriptorProto, Path]] = [
        (message, (raw.MESSAGE_TYPE_FIELD_NUMBER, index))
        for index, message in enumerate(raw.message_type)
    ]
    while stack:
        message, path = stack.pop()
        yield message, path
        stack.extend(
            (nested, (*path, message.NESTED_TYPE_FIELD_NUMBER, index))
            for index, nested in enumerate(message.nested_type)
        )


def all_enums(raw: FileDescriptorProto) -> Iterator[EnumDescriptorProto]:
    """Yield enums at any depth."""
    yield from raw.enum_type
    for message, _ in all_messages(raw):
        yield from message.enum_type


def all_fields(raw: FileDescriptorProto) -> Iterator[tuple[FieldDescriptorProto, Path]]:
    """Yield fields and extensions at any depth, with where they lie."""
    for index, extension in enumerate(raw.extension):
        yield extension, (raw.EXTENSION_FIELD_NUMBER, index)
    for message, path in all_messages(raw):
        for index, field in enumerate(message.field):
            yield field, (*path, message.FIELD_FIELD_NUMBER, index)
        for index, extension in enumerate(message.extension):
            yield extension, (*path, message.EXTENSION_FIELD_NUMBER, index)


def owners_of_options(raw: FileDescriptorProto) -> Iterator[Any]:
    """Yield everything that has options set, the file itself included."""
    owners: list[Message] = [raw, *(field for field, _ in all_fields(raw))]
    for message, _ in all_messages(raw):
        owners += [message, *message.oneof_decl, *message.extension_range]
    for enum in all_enums(raw):
        owners += [enum, *enum.value]
    for service in raw.service:
        owners += [service, *service.method]
    return (owner for owner in owners if owner.HasField("options"))


def type_references(raw: FileDescriptorProto) -> Iterator[tuple[Any, str]]:
    """Yield the owner and the attribute of every full name of a type, which starts with a dot."""
    for field, _ in all_fields(raw):
        if field.type_name:
            yield field, "type_name"
        if field.extendee:
            yield field, "extendee"
    for service in raw.service:
        for method in service.method:
            yield method, "input_type"
            yield method, "output_type"
