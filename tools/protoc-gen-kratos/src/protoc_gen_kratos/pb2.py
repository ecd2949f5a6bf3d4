"""Writes ``x_pb2.py``: registers the descriptor and makes its classes.

protoc's Python output does the same; three things differ. Imports of siblings are relative to
the package, the version guard asks for the oldest supported runtime, and names that are Python
keywords get an alias with a trailing underscore.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.message import Message

from protoc_gen_kratos.elements import SourceFile
from protoc_gen_kratos.modules import Modules
from protoc_gen_kratos.naming import class_name
from protoc_gen_kratos.source import WIDTH, Source, byte_literals, literal

__all__ = ["RUNTIME_FLOOR", "write_pb2"]

# Generated modules refuse older protobuf runtimes.
RUNTIME_FLOOR: Final = (6, 31, 0)

_HEADER: Final = """\
# pyright: basic, reportArgumentType=false
# mypy: ignore-errors
# ruff: noqa
"""

_IMPORTS: Final = """\
from google.protobuf import descriptor as _descriptor
from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf import runtime_version as _runtime_version
from google.protobuf.internal import builder as _builder
"""


def write_pb2(
    file: SourceFile, raw: FileDescriptorProto, imports: Sequence[str], modules: Modules
) -> str:
    """Return the module of one definition.

    Args:
        file: The definition.
        raw: What the module registers.
        imports: Definitions whose modules must be loaded first, by name.
        modules: Finds their modules.
    """
    source = Source()
    source.generated(file.name)
    _add(source, _HEADER)
    source.docstring(f"Messages of {file.name}.")
    source.gap()
    _add(source, _IMPORTS)
    source.gap()
    _write_guard(source, raw.name)
    source.gap()
    _write_imports(source, file, imports, modules)
    source.gap()
    data = raw.SerializeToString()
    source.line("DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(")
    with source.indented():
        for text in byte_literals(data, WIDTH - 4):
            source.line(text)
    source.line(")")
    source.gap()
    source.line("_globals = globals()")
    source.line("_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, _globals)")
    source.line("_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, _globals)")
    source.line("if not _descriptor._USE_C_DESCRIPTORS:")
    with source.indented():
        for line in _patches(raw, data):
            source.line(line)
    if raw.options.py_generic_services:
        source.line("_builder.BuildServices(DESCRIPTOR, __name__, _globals)")
    for line in _aliases(raw):
        source.line(line)
    return source.text()


def _add(source: Source, text: str) -> None:
    for line in text.splitlines():
        source.line(line)


def _write_guard(source: Source, name: str) -> None:
    major, minor, patch = RUNTIME_FLOOR
    source.line("_runtime_version.ValidateProtobufRuntimeVersion(")
    with source.indented():
        source.line(
            f'_runtime_version.Domain.PUBLIC, {major}, {minor}, {patch}, "", {literal(name)}'
        )
    source.line(")")


def _write_imports(
    source: Source, file: SourceFile, imports: Sequence[str], modules: Modules
) -> None:
    own = modules.of(file.name)
    public = {file.raw.dependency[index] for index in file.raw.public_dependency}
    for index, name in enumerate(imports):
        imported = modules.imported(name, own.package)
        source.line(imported.statement(f"_import_{index}"))
        if name in public:
            source.line(f"from {imported.module} import *")


def _aliases(raw: FileDescriptorProto) -> Iterator[str]:
    """Yield assignments for what Python cannot spell."""
    for names in _hidden_names(raw):
        *outer, name = names
        if not outer:
            yield f'{class_name(name)} = _globals["{name}"]'
            continue
        inner = "".join(f".{class_name(part)}" for part in outer[1:])
        owner = f'_globals["{outer[0]}"]{inner}'
        yield f'{owner}.{class_name(name)} = getattr({owner}, "{name}")'


def _hidden_names(raw: FileDescriptorProto) -> Iterator[tuple[str, ...]]:
    """Yield the paths of messages, enums and values whose last name is a keyword."""
    for enum in raw.enum_type:
        yield from _hidden_of_enum(enum, ())
    for extension in raw.extension:
        if class_name(extension.name) != extension.name:
            yield (extension.name,)
    for message in raw.message_type:
        yield from _hidden_of_message(message, ())


def _hidden_of_message(
    message: DescriptorProto, outer: tuple[str, ...]
) -> Iterator[tuple[str, ...]]:
    path = (*outer, message.name)
    if class_name(message.name) != message.name:
        yield path
    for enum in message.enum_type:
        yield from _hidden_of_enum(enum, path)
    for extension in message.extension:
        if class_name(extension.name) != extension.name:
            yield (*path, extension.name)
    for nested in message.nested_type:
        yield from _hidden_of_message(nested, path)


def _hidden_of_enum(enum: EnumDescriptorProto, outer: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name in (enum.name, *(value.name for value in enum.value)):
        if class_name(name) != name:
            yield (*outer, name)


def _patches(raw: FileDescriptorProto, data: bytes) -> Iterator[str]:
    """Yield what the pure Python runtime needs: options to parse late, and byte ranges."""
    yield '_globals["DESCRIPTOR"]._loaded_options = None'
    if raw.HasField("options"):
        yield f'_globals["DESCRIPTOR"]._serialized_options = {_one_literal(raw.options)}'
    for extension in raw.extension:
        yield from _options(f'_globals["{extension.name}"]', extension)
    for message in raw.message_type:
        yield from _message_patches(message, "", data)
    for enum in raw.enum_type:
        yield from _enum_patches(enum, "", data)
    for service in raw.service:
        name = f'_globals["_{service.name.upper()}"]'
        yield from _options(name, service)
        for method in service.method:
            yield from _options(f'{name}.methods_by_name["{method.name}"]', method)
        yield from _range(name, service, data)


def _message_patches(message: DescriptorProto, prefix: str, data: bytes) -> Iterator[str]:
    path = f"{prefix}_{message.name.upper()}"
    name = f'_globals["{path}"]'
    yield from _options(name, message)
    for kind, members in (
        ("fields_by_name", message.field),
        ("oneofs_by_name", message.oneof_decl),
        ("extensions_by_name", message.extension),
    ):
        for member in members:
            yield from _options(f'{name}.{kind}["{member.name}"]', member)
    yield from _range(name, message, data)
    for nested in message.nested_type:
        yield from _message_patches(nested, path, data)
    for enum in message.enum_type:
        yield from _enum_patches(enum, path, data)


def _enum_patches(enum: EnumDescriptorProto, prefix: str, data: bytes) -> Iterator[str]:
    name = f'_globals["{prefix}_{enum.name.upper()}"]'
    yield from _options(name, enum)
    for value in enum.value:
        yield from _options(f'{name}.values_by_name["{value.name}"]', value)
    yield from _range(name, enum, data)


def _options(name: str, owner: Any) -> Iterator[str]:
    if owner.options.ByteSize():
        yield f"{name}._loaded_options = None"
        yield f"{name}._serialized_options = {_one_literal(owner.options)}"


def _one_literal(message: Message) -> str:
    return next(byte_literals(message.SerializeToString(), sys.maxsize))


def _range(name: str, part: Message, data: bytes) -> Iterator[str]:
    encoded = part.SerializeToString()
    start = data.find(encoded)
    yield f"{name}._serialized_start = {start}"
    yield f"{name}._serialized_end = {start + len(encoded)}"
