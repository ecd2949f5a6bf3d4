"""One definition before and after a change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto

from protoc_gen_kratos.elements import Path, SourceFile
from protoc_gen_kratos.findings import Finding, found_at
from protoc_gen_kratos.schema import Schema

__all__ = ["Sides", "enums_by_name", "messages_by_name", "nearest_message"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Both states.

    Attributes:
        old: The definition as it was.
        new: The definition as it is.
        before: All definitions as they were.
        after: All definitions as they are.
    """

    old: SourceFile
    new: SourceFile
    before: Schema
    after: Schema

    def finding(self, path: Path, rule: str, message: str) -> Finding:
        """Return a finding about what lies at a path in the new state."""
        return found_at(self.new, path, rule, message)


def messages_by_name(raw: FileDescriptorProto) -> Mapping[str, tuple[DescriptorProto, Path]]:
    """Return messages at any depth by their names within the package, without map entries."""
    found: dict[str, tuple[DescriptorProto, Path]] = {}
    stack: list[tuple[str, DescriptorProto, Path]] = [
        (message.name, message, (raw.MESSAGE_TYPE_FIELD_NUMBER, index))
        for index, message in enumerate(raw.message_type)
    ]
    while stack:
        name, message, path = stack.pop()
        if message.options.map_entry:
            continue
        found[name] = (message, path)
        stack += [
            (f"{name}.{nested.name}", nested, (*path, message.NESTED_TYPE_FIELD_NUMBER, index))
            for index, nested in enumerate(message.nested_type)
        ]
    return found


def enums_by_name(raw: FileDescriptorProto) -> Mapping[str, tuple[EnumDescriptorProto, Path]]:
    """Return enums at any depth by their names within the package."""
    return dict(_enums(raw))


def nearest_message(name: str, file: SourceFile) -> Path:
    """Return where the message lies that held what is called so; else the file."""
    known = messages_by_name(file.raw)
    while "." in name:
        name = name.rpartition(".")[0]
        if name in known:
            return known[name][1]
    return ()


def _enums(raw: FileDescriptorProto) -> Iterator[tuple[str, tuple[EnumDescriptorProto, Path]]]:
    for index, enum in enumerate(raw.enum_type):
        yield enum.name, (enum, (raw.ENUM_TYPE_FIELD_NUMBER, index))
    for name, (message, path) in messages_by_name(raw).items():
        for index, enum in enumerate(message.enum_type):
            place = (*path, message.ENUM_TYPE_FIELD_NUMBER, index)
            yield f"{name}.{enum.name}", (enum, place)
