"""Elements of a definition file, each with its descriptor, options, comment and line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Generic, TypeAlias, TypeVar

from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    EnumValueDescriptor,
    FieldDescriptor,
    FileDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    EnumValueDescriptorProto,
    FieldDescriptorProto,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

from protoc_gen_kratos._raw import FileDescriptorProto

__all__ = [
    "Element",
    "EnumElement",
    "EnumValueElement",
    "FieldElement",
    "MessageElement",
    "MethodElement",
    "Path",
    "ServiceElement",
    "SourceFile",
    "Span",
    "enum_values",
    "extensions",
    "fields",
    "messages",
    "methods",
    "nested_enums",
    "nested_extensions",
    "nested_messages",
    "services",
    "top_enums",
]

Path: TypeAlias = tuple[int, ...]

Span: TypeAlias = tuple[int, int, int, int]
"""First line and column, last line and the column behind it, from 1; line 0 for unknown."""

DescriptorT = TypeVar("DescriptorT")
RawT = TypeVar(
    "RawT",
    DescriptorProto,
    EnumDescriptorProto,
    EnumValueDescriptorProto,
    FieldDescriptorProto,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

# Field numbers of descriptor.proto, which make the paths of source locations.
_MESSAGE: Final = FileDescriptorProto.MESSAGE_TYPE_FIELD_NUMBER
_ENUM: Final = FileDescriptorProto.ENUM_TYPE_FIELD_NUMBER
_SERVICE: Final = FileDescriptorProto.SERVICE_FIELD_NUMBER
_EXTENSION: Final = FileDescriptorProto.EXTENSION_FIELD_NUMBER
_FIELD: Final = DescriptorProto.FIELD_FIELD_NUMBER
_NESTED: Final = DescriptorProto.NESTED_TYPE_FIELD_NUMBER
_NESTED_ENUM: Final = DescriptorProto.ENUM_TYPE_FIELD_NUMBER
_NESTED_EXTENSION: Final = DescriptorProto.EXTENSION_FIELD_NUMBER
_VALUE: Final = EnumDescriptorProto.VALUE_FIELD_NUMBER
_METHOD: Final = ServiceDescriptorProto.METHOD_FIELD_NUMBER
_NOWHERE: Final = (0, 0, 0, 0)


class SourceFile:
    """One definition file.

    Args:
        raw: Its descriptor as it came, custom options as bytes.
        descriptor: The same, linked: types resolved, features of editions inherited.
    """

    def __init__(self, raw: FileDescriptorProto, descriptor: FileDescriptor) -> None:
        self.raw = raw
        self.descriptor = descriptor

    @property
    def name(self) -> str:
        """Name as imports spell it, for example ``shop/v1/order.proto``."""
        return self.raw.name

    def line(self, path: Path) -> int:
        """Return the line of what lies at ``path``, or of the nearest around it; 0 if unknown."""
        for length in range(len(path), -1, -1):
            found = self._locations.get(path[:length])
            if found is not None:
                return found[0][0]
        return 0

    def span(self, path: Path) -> Span:
        """Return where what lies at ``path``, or the nearest around it, begins and ends."""
        for length in range(len(path), 0, -1):
            found = self._locations.get(path[:length])
            if found is not None:
                return found[0]
        return _NOWHERE

    def span_at(self, line: int) -> Span:
        """Return the span of the innermost of what begins on a line."""
        found = [span for span, _ in self._locations.values() if span[0] == line]
        return found[-1] if found else (line, 1, line, 1)

    def comment(self, path: Path) -> str:
        """Return the comment in front of what lies at ``path``, else the one behind it."""
        found = self._locations.get(path)
        return found[1] if found is not None else ""

    def comments(self) -> Iterator[tuple[Span, str]]:
        """Yield what has a comment: where it begins and ends, and the comment."""
        return ((span, comment) for span, comment in self._locations.values() if comment)

    def spells(self, path: Path) -> bool:
        """Whether the definition writes out what lies at ``path``."""
        return path in self._locations

    @cached_property
    def _locations(self) -> dict[Path, tuple[Span, str]]:
        return {
            tuple(location.path): (
                _span(location.span),
                location.leading_comments or location.trailing_comments,
            )
            for location in self.raw.source_code_info.location
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Element(Generic[DescriptorT, RawT]):
    """One element of a file.

    Attributes:
        file: Where it is defined.
        path: Where in the file, in the terms of ``SourceCodeInfo``.
        raw: Its descriptor as it came, custom options as bytes.
        descriptor: The same, linked.
    """

    file: SourceFile
    path: Path
    raw: RawT
    descriptor: DescriptorT

    @property
    def line(self) -> int:
        """Line in the file; 0 if unknown."""
        return self.file.line(self.path)

    @property
    def comment(self) -> str:
        """What the definition says about it, and that it is deprecated if so."""
        text = self.file.comment(self.path)
        if not self.raw.options.deprecated:
            return text
        return f"{text.rstrip()}\n\nDeprecated.\n".lstrip("\n")


MessageElement: TypeAlias = Element[Descriptor, DescriptorProto]
EnumElement: TypeAlias = Element[EnumDescriptor, EnumDescriptorProto]
EnumValueElement: TypeAlias = Element[EnumValueDescriptor, EnumValueDescriptorProto]
FieldElement: TypeAlias = Element[FieldDescriptor, FieldDescriptorProto]
ServiceElement: TypeAlias = Element[ServiceDescriptor, ServiceDescriptorProto]
MethodElement: TypeAlias = Element[MethodDescriptor, MethodDescriptorProto]


def messages(file: SourceFile) -> Iterator[MessageElement]:
    """Yield the messages of the top level, in order."""
    linked = file.descriptor.message_types_by_name
    return _elements(file, (), _MESSAGE, file.raw.message_type, linked)


def top_enums(file: SourceFile) -> Iterator[EnumElement]:
    """Yield the enums of the top level, in order."""
    return _elements(file, (), _ENUM, file.raw.enum_type, file.descriptor.enum_types_by_name)


def services(file: SourceFile) -> Iterator[ServiceElement]:
    """Yield the services, in order."""
    return _elements(file, (), _SERVICE, file.raw.service, file.descriptor.services_by_name)


def extensions(file: SourceFile) -> Iterator[FieldElement]:
    """Yield the extensions of the top level, in order."""
    return _elements(file, (), _EXTENSION, file.raw.extension, file.descriptor.extensions_by_name)


def nested_messages(outer: MessageElement) -> Iterator[MessageElement]:
    """Yield the messages inside a message, in order, with the entries of its maps."""
    linked = outer.descriptor.nested_types_by_name
    return _elements(outer.file, outer.path, _NESTED, outer.raw.nested_type, linked)


def nested_enums(outer: MessageElement) -> Iterator[EnumElement]:
    """Yield the enums inside a message, in order."""
    linked = outer.descriptor.enum_types_by_name
    return _elements(outer.file, outer.path, _NESTED_ENUM, outer.raw.enum_type, linked)


def nested_extensions(outer: MessageElement) -> Iterator[FieldElement]:
    """Yield the extensions inside a message, in order."""
    linked = outer.descriptor.extensions_by_name
    return _elements(outer.file, outer.path, _NESTED_EXTENSION, outer.raw.extension, linked)


def fields(message: MessageElement) -> Iterator[FieldElement]:
    """Yield the fields of a message, in order."""
    linked = message.descriptor.fields_by_name
    return _elements(message.file, message.path, _FIELD, message.raw.field, linked)


def enum_values(enum: EnumElement) -> Iterator[EnumValueElement]:
    """Yield the values of an enum, in order, with aliases."""
    return _elements(enum.file, enum.path, _VALUE, enum.raw.value, enum.descriptor.values_by_name)


def methods(service: ServiceElement) -> Iterator[MethodElement]:
    """Yield the methods of a service, in order."""
    linked = service.descriptor.methods_by_name
    return _elements(service.file, service.path, _METHOD, service.raw.method, linked)


def _elements(
    file: SourceFile,
    outer: Path,
    number: int,
    raws: Iterable[RawT],
    linked: Mapping[str, DescriptorT],
) -> Iterator[Element[DescriptorT, RawT]]:
    for index, raw in enumerate(raws):
        path = (*outer, number, index)
        yield Element(file=file, path=path, raw=raw, descriptor=linked[raw.name])


def _span(raw: Sequence[int]) -> Span:
    """Return a span as people count; raw ones that end where they begin leave the line out."""
    first, column, *middle, end = raw
    return (first + 1, column + 1, (middle[0] if middle else first) + 1, end + 1)
