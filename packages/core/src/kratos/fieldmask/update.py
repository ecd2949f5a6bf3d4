"""Updates by mask (https://google.aip.dev/134)."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from kratos.errors import ConfigError, Error
from kratos.fieldmask.copy import copy_entry, copy_field
from kratos.fieldmask.paths import Tree, all_of, is_map, message_of, parse

__all__ = ["update"]

M = TypeVar("M", bound=Message)

# Half a point in time, half an amount, is another one: these are values, not structures.
_VALUES: Final = ("google.protobuf", "google.type")


def update(
    target: M, source: M, mask: FieldMask | None = None, /, *, keep: Collection[str] = ()
) -> None:
    """Change the fields of a message that a mask names to what they are in another one.

    A field that the mask names is *replaced*, and unset if the source has it not: messages,
    lists and maps too. ``price.cents`` names a field within, ``labels.colour`` an entry of a
    map, which goes if the source has none, and ``*`` all fields. Without a mask, or with an
    empty one, the fields that are set in the source are changed, those within messages one by
    one, and entries of maps are added: nothing is unset. Extensions stay as they are.

    Unlike ``FieldMask.MergeMessage`` it neither appends to lists nor merges into messages that
    are named as a whole, so that reading by a mask gives what was written by it, and it leaves
    the target as it was when the mask is wrong.

    Args:
        target: Changed in place.
        source: Of the same type; not changed.
        mask: Relative to the messages.
        keep: Paths that stay as they are whatever the mask says: what only the service sets
            (OUTPUT_ONLY in https://google.aip.dev/203).

    Raises:
        Error: 400 ``FIELD_MASK``: the mask names what is not there; its metadata has the
            ``path``.
        ConfigError: ``keep`` does.
        TypeError: The messages differ in type.
    """
    descriptor = cast("Descriptor", target.DESCRIPTOR)
    if source.DESCRIPTOR is not descriptor:
        raise TypeError(f"{source.DESCRIPTOR.full_name} cannot update {descriptor.full_name}")
    paths = () if mask is None else mask.paths
    tree = parse(descriptor, paths) if paths else _set_in(source)
    if keep:
        _subtract(tree, _kept(descriptor, tuple(keep)), descriptor)
    if target is not source:
        _apply(target, source, tree)


def _apply(target: Any, source: Any, tree: Tree) -> None:
    fields = target.DESCRIPTOR.fields_by_name
    for name, inner in tree.items():
        if inner is None:
            copy_field(target, source, fields[name])
        elif is_map(fields[name]):
            _apply_entries(getattr(target, name), getattr(source, name), fields[name], inner)
        elif source.HasField(name) or target.HasField(name):
            part = getattr(target, name)
            if source.HasField(name):
                part.SetInParent()
            _apply(part, getattr(source, name), inner)


def _apply_entries(target: Any, source: Any, field: FieldDescriptor, tree: Tree) -> None:
    for key, inner in tree.items():
        if inner is None:
            copy_entry(target, source, field, key)
        elif key in source or key in target:
            part = target[key]
            # Asking a map for a key makes an entry, and the source is not ours.
            _apply(part, source[key] if key in source else type(part)(), inner)


def _set_in(source: Message) -> Tree:
    """Return what is set in a message."""
    tree: Tree = {}
    for field, value in source.ListFields():
        if field.is_extension:
            continue
        if is_map(field):
            tree[field.name] = dict.fromkeys(value)
        elif field.message_type is None or field.is_repeated or _is_value(field.message_type):
            tree[field.name] = None
        else:
            tree[field.name] = _set_in(value)
    return tree


def _is_value(descriptor: Descriptor) -> bool:
    return descriptor.file.package in _VALUES


@lru_cache(maxsize=256)  # a program has few, and each goes with every update
def _kept(descriptor: Descriptor, keep: tuple[str, ...]) -> Tree:
    try:
        return parse(descriptor, keep)
    except Error as error:
        raise ConfigError(f"keep: {error.message}") from error


def _subtract(tree: Tree, kept: Tree, descriptor: Descriptor) -> None:
    """Take from a tree what is kept."""
    for name, inner in kept.items():
        if name not in tree:
            continue
        if inner is None:
            del tree[name]
            continue
        field = descriptor.fields_by_name[name]
        if is_map(field):
            raise ConfigError(f"keep: {name!r} is a map and can only be kept as a whole")
        part = tree[name]
        if part is None:
            part = tree[name] = all_of(message_of(field))
        _subtract(part, inner, message_of(field))
