"""The descriptor that a module registers: what protoc's own Python output registers.

Comments and options of source retention are left out, and so are JSON names that only repeat
the rule. Imports that serve nothing but options go when no module can stand for them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FieldOptions, FileDescriptorProto
from google.protobuf.message import Message

from protoc_gen_kratos._walk import all_fields, owners_of_options, type_references
from protoc_gen_kratos.elements import Path, SourceFile
from protoc_gen_kratos.modules import Modules, Provider
from protoc_gen_kratos.schema import Schema

__all__ = ["keep_imports", "needed_imports", "registered"]


def registered(file: SourceFile, schema: Schema, imports: Collection[str]) -> FileDescriptorProto:
    """Return what the module of ``file`` puts into the descriptor pool.

    Args:
        file: The definition.
        schema: Knows the options that the definition uses.
        imports: The imports to keep.
    """
    raw = type(file.raw)()
    raw.CopyFrom(file.raw)
    raw.ClearField("source_code_info")
    for field, path in all_fields(raw):
        if field.extendee or _repeats_the_rule(field, file, path):
            field.ClearField("json_name")
    for owner in owners_of_options(raw):
        _drop_source_retention(owner, schema)
    keep_imports(raw, imports)
    return raw


def needed_imports(file: SourceFile, schema: Schema, modules: Modules) -> list[str]:
    """Return the imports of ``file`` that its module must have loaded."""
    raw = file.raw
    used = (getattr(owner, attribute)[1:] for owner, attribute in type_references(raw))
    suppliers = {schema.file_of_type(name) for name in used}
    public = {raw.dependency[index] for index in raw.public_dependency}
    loadable = (Provider.RUN, Provider.PROTOBUF, Provider.INSTALLED)
    return [
        name
        for name in raw.dependency
        if modules.of(name).provider in loadable
        or name in public
        or suppliers & schema.public_closure(name)
    ]


def keep_imports(raw: FileDescriptorProto, kept: Collection[str]) -> None:
    """Drop the imports of ``raw`` that are not in ``kept``."""
    old = list(raw.dependency)
    new = [name for name in old if name in kept]
    public = [old[index] for index in raw.public_dependency]
    weak = [old[index] for index in raw.weak_dependency]
    raw.dependency[:] = new
    raw.public_dependency[:] = [new.index(name) for name in public if name in kept]
    raw.weak_dependency[:] = [new.index(name) for name in weak if name in kept]


def _repeats_the_rule(field: FieldDescriptorProto, file: SourceFile, path: Path) -> bool:
    """Whether compilers made up the JSON name, as they do for plug-ins."""
    first, *rest = field.name.split("_")
    derived = first + "".join(part[:1].upper() + part[1:] for part in rest)
    spelled = file.spells((*path, field.JSON_NAME_FIELD_NUMBER))
    return field.json_name == derived and not spelled


def _drop_source_retention(owner: Any, schema: Schema) -> None:
    """Do what compilers do for plug-ins, because not all of them do it everywhere."""
    options: Message = owner.options
    known_class = schema.message_class(options.DESCRIPTOR.full_name) or type(options)
    known = known_class.FromString(options.SerializeToString())
    if not _drop_fields(known):
        return
    kept = known.SerializeToString()
    if kept:
        options.ParseFromString(kept)
    else:
        owner.ClearField("options")


def _drop_fields(message: Message) -> bool:
    dropped = False
    for field, value in message.ListFields():
        if field.GetOptions().retention == FieldOptions.RETENTION_SOURCE:
            _clear(message, field)
            dropped = True
        elif field.message_type is not None:
            for nested in _nested(field, value):
                dropped |= _drop_fields(nested)
    return dropped


def _clear(message: Any, field: FieldDescriptor) -> None:
    if field.is_extension:
        message.ClearExtension(field)
    else:
        message.ClearField(field.name)


def _nested(field: FieldDescriptor, value: Any) -> Iterable[Message]:
    entry = field.message_type
    if entry is None or not field.is_repeated:
        return (value,)
    if not entry.GetOptions().map_entry:
        return tuple(value)
    is_message = entry.fields_by_name["value"].message_type is not None
    return tuple(value.values()) if is_message else ()
