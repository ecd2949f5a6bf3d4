"""Rules of names and places."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto

from protoc_gen_kratos._walk import all_messages
from protoc_gen_kratos.elements import Path, SourceFile
from protoc_gen_kratos.findings import Finding, found_at
from protoc_gen_kratos.lint.enums import all_enums, is_error_enum
from protoc_gen_kratos.naming import snake
from protoc_gen_kratos.schema import Schema

__all__ = ["check_style"]

_PASCAL: Final = re.compile(r"[A-Z][A-Za-z0-9]*", re.ASCII)
_LOWER: Final = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*", re.ASCII)
_UPPER: Final = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*", re.ASCII)
_VERSION: Final = re.compile(r"v[1-9]\d*(?:(?:p\d+)?(?:alpha|beta)\d*|test\w*)?", re.ASCII)
_NAME: Final = 1  # field of every kind of descriptor


def check_style(file: SourceFile, schema: Schema) -> Iterator[Finding]:
    """Yield what a definition does against rules of style."""
    yield from _package(file)
    for message, path in all_messages(file.raw):
        if not message.options.map_entry:
            yield from _message(file, message, path)
    for enum, path in all_enums(file.raw):
        yield from _enum(file, enum, path, errors=is_error_enum(enum, schema))
    for index, service in enumerate(file.raw.service):
        path = (file.raw.SERVICE_FIELD_NUMBER, index)
        yield from _named(file, service.name, path, _PASCAL, "SERVICE_PASCAL_CASE", "a service")
        for number, method in enumerate(service.method):
            inner = (*path, service.METHOD_FIELD_NUMBER, number)
            yield from _named(file, method.name, inner, _PASCAL, "RPC_PASCAL_CASE", "a method")


def _package(file: SourceFile) -> Iterator[Finding]:
    *folders, name = file.name.split("/")
    package, path = file.raw.package, (file.raw.PACKAGE_FIELD_NUMBER,)
    stem = name.removesuffix(".proto")
    if not _LOWER.fullmatch(stem):
        message = f"the file is called {name}; write lower_snake_case.proto"
        yield found_at(file, (), "FILE_LOWER_SNAKE_CASE", message)
    if not package:
        message = "it has no package; begin it with package folder.folder.v1;"
        yield found_at(file, (), "PACKAGE_DEFINED", message)
        return
    parts = package.split(".")
    if parts != folders:
        place = "/".join(folders) or "no folder"
        message = f"package {package} lies in {place}; move it to {'/'.join(parts)}"
        yield found_at(file, path, "PACKAGE_DIRECTORY_MATCH", message)
    if not all(_LOWER.fullmatch(part) for part in parts):
        message = f"package {package} is not in lower_snake.case; rename it"
        yield found_at(file, path, "PACKAGE_LOWER_SNAKE_CASE", message)
    if not _VERSION.fullmatch(parts[-1]) or len(parts) == 1:
        message = f"package {package} does not end in a version; write {package}.v1"
        yield found_at(file, path, "PACKAGE_VERSION_SUFFIX", message)


def _message(file: SourceFile, message: DescriptorProto, path: Path) -> Iterator[Finding]:
    yield from _named(file, message.name, path, _PASCAL, "MESSAGE_PASCAL_CASE", "a message")
    for index, field in enumerate(message.field):
        inner = (*path, message.FIELD_FIELD_NUMBER, index)
        yield from _named(file, field.name, inner, _LOWER, "FIELD_LOWER_SNAKE_CASE", "a field")
    artificial = {field.oneof_index for field in message.field if field.proto3_optional}
    for index, oneof in enumerate(message.oneof_decl):
        if index not in artificial:
            inner = (*path, message.ONEOF_DECL_FIELD_NUMBER, index)
            yield from _named(file, oneof.name, inner, _LOWER, "ONEOF_LOWER_SNAKE_CASE", "a oneof")


def _enum(
    file: SourceFile, enum: EnumDescriptorProto, path: Path, *, errors: bool
) -> Iterator[Finding]:
    yield from _named(file, enum.name, path, _PASCAL, "ENUM_PASCAL_CASE", "an enum")
    if enum.options.allow_alias:
        where = (*path, enum.OPTIONS_FIELD_NUMBER, enum.options.ALLOW_ALIAS_FIELD_NUMBER)
        message = f"{enum.name} allows two names for one number; give each its own"
        yield found_at(file, where, "ENUM_NO_ALLOW_ALIAS", message)
    prefix = f"{snake(enum.name).upper()}_"
    for index, value in enumerate(enum.value):
        inner = (*path, enum.VALUE_FIELD_NUMBER, index)
        rule = "ENUM_VALUE_UPPER_SNAKE_CASE"
        yield from _named(file, value.name, inner, _UPPER, rule, "a value of an enum")
        if errors:
            continue  # a reason is a name on the wire, and its number is not
        where = (*inner, _NAME)
        if not value.name.startswith(prefix):
            message = f"{value.name} does not begin with {prefix}; rename it {prefix}{value.name}"
            yield found_at(file, where, "ENUM_VALUE_PREFIX", message)
        if value.number == 0 and not value.name.endswith("_UNSPECIFIED"):
            message = f"{value.name} is 0, and means nothing was said; end it in _UNSPECIFIED"
            yield found_at(file, where, "ENUM_ZERO_VALUE_SUFFIX", message)
    if enum.value and enum.value[0].number:
        where = (*path, enum.VALUE_FIELD_NUMBER, 0, enum.value[0].NUMBER_FIELD_NUMBER)
        message = f"the first value of {enum.name} is {enum.value[0].number}; begin with 0"
        yield found_at(file, where, "ENUM_FIRST_VALUE_ZERO", message)


def _named(
    file: SourceFile, name: str, path: Path, pattern: re.Pattern[str], rule: str, what: str
) -> Iterator[Finding]:
    if pattern.fullmatch(name):
        return
    style = {_PASCAL: "PascalCase", _LOWER: "lower_snake_case", _UPPER: "UPPER_SNAKE_CASE"}[pattern]
    yield found_at(file, (*path, _NAME), rule, f"{name}: {what} is called in {style}; rename it")
