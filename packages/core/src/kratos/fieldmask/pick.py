"""Parts of replies by mask (https://google.aip.dev/157)."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from kratos.fieldmask.copy import copy_entry, copy_field
from kratos.fieldmask.paths import EVERY, Tree, is_map, map_value, parse

__all__ = ["pick"]

M = TypeVar("M", bound=Message)


def pick(message: M, mask: FieldMask | None = None, /) -> M:
    """Return a copy with the fields that a mask names, and without the others.

    ``books.*.title`` names a field within every element of a list or map. Without a mask, with
    an empty one and with ``*`` all is copied.

    Args:
        message: Not changed.
        mask: Relative to the message.

    Raises:
        Error: 400 ``FIELD_MASK``: the mask names what is not there; its metadata has the
            ``path``.
    """
    copy = type(message)()
    paths = list(mask.paths) if mask is not None else []
    if paths in ([], ["*"]):
        copy.CopyFrom(message)
    else:
        _copy(copy, message, parse(cast("Descriptor", message.DESCRIPTOR), paths, every=True))
    return copy


def _copy(target: Any, source: Any, tree: Tree) -> None:
    fields = target.DESCRIPTOR.fields_by_name
    for name, inner in tree.items():
        field = fields[name]
        if inner is None:
            copy_field(target, source, field)
        elif is_map(field):
            _copy_entries(getattr(target, name), getattr(source, name), field, inner)
        elif field.is_repeated:
            _copy_elements(getattr(target, name), getattr(source, name), inner[EVERY])
        elif source.HasField(name):
            part = getattr(target, name)
            part.SetInParent()
            _copy(part, getattr(source, name), inner)


def _copy_elements(target: Any, source: Any, inner: Tree | None) -> None:
    if inner is None:
        target.MergeFrom(source)
        return
    for element in source:
        _copy(target.add(), element, inner)


def _copy_entries(target: Any, source: Any, field: FieldDescriptor, tree: Tree) -> None:
    every = tree.get(EVERY, {})
    for key in source:
        if every is None or tree.get(key, {}) is None:
            copy_entry(target, source, field, key)
            continue
        for inner in (every, tree.get(key)):
            if inner and map_value(field).message_type is not None:
                _copy(target[key], source[key], inner)
