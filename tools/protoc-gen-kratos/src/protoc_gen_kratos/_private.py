"""A private copy of a descriptor: names that no other copy has, and no custom options.

The default pool refuses a second file of one name with other content, a second type of one name
and a second extension of one number. So file names and packages get a prefix, and extensions of
the options of descriptors are left out together with their values: generated code has read them.
"""

from __future__ import annotations

from collections.abc import Collection, MutableSequence

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

from protoc_gen_kratos._registered import keep_imports
from protoc_gen_kratos._walk import all_messages, owners_of_options, type_references
from protoc_gen_kratos.schema import Schema

__all__ = ["extends_options", "privatise"]


def extends_options(extendee: str) -> bool:
    """Whether a type, by full name without a dot in front, holds the options of an element."""
    return extendee == "google.protobuf.FeatureSet" or (
        extendee.startswith("google.protobuf.") and extendee.endswith("Options")
    )


def privatise(
    raw: FileDescriptorProto, prefix: str, targets: Collection[str], schema: Schema
) -> list[str]:
    """Rename ``raw``, and what it says about other files of the run.

    Returns the imports that are still needed, by the names that they had.

    Args:
        raw: Changed in place.
        prefix: Dotted; goes in front of packages, and as folders in front of file names.
        targets: Names of the files that get the same prefix.
        schema: Knows which file defines which type.
    """
    _drop_option_extensions(raw.extension)
    for message, _ in all_messages(raw):
        _drop_option_extensions(message.extension)
    for owner in owners_of_options(raw):
        owner.options.DiscardUnknownFields()
        if not owner.options.ListFields():
            owner.ClearField("options")
    used: set[str] = set()
    for owner, attribute in type_references(raw):
        name: str = getattr(owner, attribute)
        file = schema.file_of_type(name[1:])
        used.add(file)
        if file in targets:
            setattr(owner, attribute, f".{prefix}{name}")
    public = {raw.dependency[index] for index in raw.public_dependency}
    keep_imports(
        raw,
        {name for name in raw.dependency if name in public or used & schema.public_closure(name)},
    )
    kept = list(raw.dependency)
    folder = prefix.replace(".", "/")
    raw.dependency[:] = [f"{folder}/{name}" if name in targets else name for name in kept]
    raw.name = f"{folder}/{raw.name}"
    raw.package = f"{prefix}.{raw.package}" if raw.package else prefix
    return kept


def _drop_option_extensions(declared: MutableSequence[FieldDescriptorProto]) -> None:
    for index in range(len(declared) - 1, -1, -1):
        if extends_options(declared[index].extendee[1:]):
            del declared[index]
