"""Enums at any depth, and which of them declare errors."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from google.protobuf.descriptor_pb2 import EnumDescriptorProto, FileDescriptorProto

from protoc_gen_kratos._walk import all_messages
from protoc_gen_kratos.elements import Path
from protoc_gen_kratos.findings import Finding
from protoc_gen_kratos.problems import Problems
from protoc_gen_kratos.schema import Schema

__all__ = ["CODE", "DEFAULT_CODE", "all_enums", "is_error_enum", "outside_error_enums"]

CODE: Final = "errors.code"
DEFAULT_CODE: Final = "errors.default_code"


def all_enums(raw: FileDescriptorProto) -> Iterator[tuple[EnumDescriptorProto, Path]]:
    """Yield enums at any depth, with where they lie."""
    for index, enum in enumerate(raw.enum_type):
        yield enum, (raw.ENUM_TYPE_FIELD_NUMBER, index)
    for message, path in all_messages(raw):
        for index, enum in enumerate(message.enum_type):
            yield enum, (*path, message.ENUM_TYPE_FIELD_NUMBER, index)


def is_error_enum(enum: EnumDescriptorProto, schema: Schema) -> bool:
    """Whether an enum has a code, or one of its values has."""
    return bool(schema.option(enum.options, DEFAULT_CODE)) or any(
        schema.option(value.options, CODE) for value in enum.value
    )


def outside_error_enums(
    findings: Iterable[Finding], descriptor_set: bytes, rules: Collection[str]
) -> Iterator[Finding]:
    """Yield findings but those of some rules that lie in enums that declare errors.

    Args:
        findings: What was found, by whomever.
        descriptor_set: The definitions that it was found in.
        rules: Names of the rules that such enums need not keep.
    """
    schema = Schema(descriptor_set, Problems())
    spans = {
        (file.name, file.span(path))
        for file in schema.files.values()
        for enum, path in all_enums(file.raw)
        if is_error_enum(enum, schema)
    }
    for finding in findings:
        place = (finding.line, finding.column)
        excused = finding.rule in rules and any(
            file == finding.file and span[:2] <= place <= span[2:] for file, span in spans
        )
        if not excused:
            yield finding
