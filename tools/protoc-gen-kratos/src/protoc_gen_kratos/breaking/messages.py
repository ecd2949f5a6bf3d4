"""Messages, fields, enums and their values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
)

from protoc_gen_kratos.breaking.sides import (
    Sides,
    enums_by_name,
    messages_by_name,
    nearest_message,
)
from protoc_gen_kratos.elements import Path, SourceFile
from protoc_gen_kratos.findings import Finding
from protoc_gen_kratos.lint.enums import CODE, DEFAULT_CODE

__all__ = ["compare_enums", "compare_messages"]

_LABELS: Final = {1: "optional", 2: "required", 3: "repeated"}


def compare_messages(sides: Sides) -> Iterator[Finding]:
    """Yield what is lost of the messages of a definition."""
    new = messages_by_name(sides.new.raw)
    for name, (message, _) in messages_by_name(sides.old.raw).items():
        if name in new:
            yield from _compare_fields(sides, name, message, *new[name])
        else:
            where = nearest_message(name, sides.new)
            yield sides.finding(where, "MESSAGE_NO_DELETE", f"message {name} is gone; keep it")


def compare_enums(sides: Sides) -> Iterator[Finding]:
    """Yield what is lost of the enums of a definition."""
    new = enums_by_name(sides.new.raw)
    for name, (enum, _) in enums_by_name(sides.old.raw).items():
        if name in new:
            yield from _compare_values(sides, name, enum, *new[name])
            yield from _compare_codes(sides, enum, *new[name])
        else:
            where = nearest_message(name, sides.new)
            yield sides.finding(where, "ENUM_NO_DELETE", f"enum {name} is gone; keep it")


def _compare_fields(
    sides: Sides, name: str, old: DescriptorProto, new: DescriptorProto, path: Path
) -> Iterator[Finding]:
    numbers = {field.number: index for index, field in enumerate(new.field)}
    names = {field.name: field.number for field in new.field}
    for before in old.field:
        if before.number not in numbers:
            message = f"field {before.number} {before.name} of {name} is gone; keep it"
            if before.name in names:
                message = (
                    f"field {before.name} of {name} had the number {before.number}, and has "
                    f"{names[before.name]}; give it back"
                )
            yield sides.finding(path, "FIELD_NO_DELETE", message)
            continue
        index = numbers[before.number]
        place = (*path, new.FIELD_FIELD_NUMBER, index)
        for rule, was, now in _differences(old, before, new, new.field[index], sides):
            message = f"field {before.number} of {name} had {was}, and has {now}; change it back"
            yield sides.finding(place, rule, message)


def _differences(
    old: DescriptorProto,
    before: FieldDescriptorProto,
    new: DescriptorProto,
    after: FieldDescriptorProto,
    sides: Sides,
) -> Iterator[tuple[str, str, str]]:
    """Yield rules that a change of a field breaks, with what it had and what it has."""
    if before.name != after.name:
        yield "FIELD_SAME_NAME", f"the name {before.name}", after.name
    if before.json_name != after.json_name:
        yield "FIELD_SAME_JSON_NAME", f"the JSON name {before.json_name}", after.json_name
    if _kind(before) != _kind(after):
        yield "FIELD_SAME_TYPE", f"the type {_kind(before)}", _kind(after)
    was, now = _label(before, sides.old), _label(after, sides.new)
    if was != now:
        yield "FIELD_SAME_CARDINALITY", f"the label {was}", now
    if _oneof(old, before) != _oneof(new, after):
        yield "FIELD_SAME_ONEOF", _oneof(old, before), _oneof(new, after)


def _kind(field: FieldDescriptorProto) -> str:
    if field.type_name:
        return field.type_name[1:]
    return FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()


def _label(field: FieldDescriptorProto, file: SourceFile) -> str:
    if field.label != FieldDescriptorProto.LABEL_OPTIONAL or file.raw.syntax != "proto3":
        return _LABELS[field.label]
    present = field.HasField("oneof_index") or field.type == FieldDescriptorProto.TYPE_MESSAGE
    return "optional" if present else "none, which cannot tell empty from absent"


def _oneof(message: DescriptorProto, field: FieldDescriptorProto) -> str:
    if not field.HasField("oneof_index") or field.proto3_optional:
        return "no oneof"
    return f"the oneof {message.oneof_decl[field.oneof_index].name}"


def _compare_values(
    sides: Sides, name: str, old: EnumDescriptorProto, new: EnumDescriptorProto, path: Path
) -> Iterator[Finding]:
    by_number: dict[int, list[str]] = {}
    for value in new.value:
        by_number.setdefault(value.number, []).append(value.name)
    for value in old.value:
        names = by_number.get(value.number)
        if names is None:
            message = f"value {value.name} = {value.number} of {name} is gone; keep it"
            yield sides.finding(path, "ENUM_VALUE_NO_DELETE", message)
        elif value.name not in names:
            index = next(i for i, each in enumerate(new.value) if each.number == value.number)
            message = f"value {value.number} of {name} was {value.name}, and is {names[0]}"
            place = (*path, new.VALUE_FIELD_NUMBER, index)
            yield sides.finding(place, "ENUM_VALUE_SAME_NAME", f"{message}; change it back")


def _compare_codes(
    sides: Sides, old: EnumDescriptorProto, new: EnumDescriptorProto, path: Path
) -> Iterator[Finding]:
    default = sides.before.option(old.options, DEFAULT_CODE) or 0
    codes = {value.name: sides.before.option(value.options, CODE) or default for value in old.value}
    default = sides.after.option(new.options, DEFAULT_CODE) or 0
    for index, value in enumerate(new.value):
        now = sides.after.option(value.options, CODE) or default
        was = codes.get(value.name, now)
        if was and was != now:
            message = f"error {value.name} had the code {was}, and has {now}; change it back"
            yield sides.finding((*path, new.VALUE_FIELD_NUMBER, index), "ERROR_SAME_CODE", message)
