"""Comments of definitions, out of a descriptor set that was compiled with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from google.protobuf.message import DecodeError

from kratos.errors import ConfigError

__all__ = ["comments_of"]

_Path: TypeAlias = tuple[int, ...]


def comments_of(descriptors: bytes) -> Mapping[str, str]:
    """Return the comments of messages, fields, enums, values, services and methods by full name.

    Values of enums go under their enum: ``package.Enum.VALUE``.

    Args:
        descriptors: A serialized ``FileDescriptorSet``, compiled with ``--include_source_info``;
            without that it has no comments. May be empty.

    Raises:
        ConfigError: It is no descriptor set.
    """
    try:
        files = FileDescriptorSet.FromString(descriptors).file
    except DecodeError as error:
        raise ConfigError(
            "descriptors must be what protoc --include_source_info --descriptor_set_out writes"
        ) from error
    return {name: text for file in files for name, text in _of_file(file)}


def _of_file(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    texts = {
        tuple(place.path): place.leading_comments or place.trailing_comments
        for place in file.source_code_info.location
    }
    for path, name in _elements(file, (), file.package):
        text = _tidy(texts.get(path, ""))
        if text:
            yield name, text


def _tidy(comment: str) -> str:
    return "\n".join(line.removeprefix(" ").rstrip() for line in comment.splitlines()).strip()


def _elements(owner: Any, path: _Path, scope: str) -> Iterator[tuple[_Path, str]]:
    """Yield what an element holds, at any depth, by its place in the source and full name."""
    for number, parts in _parts(owner):
        for index, part in enumerate(parts):
            place = (*path, number, index)
            name = f"{scope}.{part.name}" if scope else part.name
            yield place, name
            yield from _elements(part, place, name)


def _parts(owner: Any) -> Iterator[tuple[int, Any]]:
    if isinstance(owner, FileDescriptorProto):
        yield owner.MESSAGE_TYPE_FIELD_NUMBER, owner.message_type
        yield owner.ENUM_TYPE_FIELD_NUMBER, owner.enum_type
        yield owner.SERVICE_FIELD_NUMBER, owner.service
    elif isinstance(owner, DescriptorProto):
        yield owner.FIELD_FIELD_NUMBER, owner.field
        yield owner.NESTED_TYPE_FIELD_NUMBER, owner.nested_type
        yield owner.ENUM_TYPE_FIELD_NUMBER, owner.enum_type
    elif isinstance(owner, EnumDescriptorProto):
        yield owner.VALUE_FIELD_NUMBER, owner.value
    elif isinstance(owner, ServiceDescriptorProto):
        yield owner.METHOD_FIELD_NUMBER, owner.method
