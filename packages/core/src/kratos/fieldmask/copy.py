"""Parts of one message into another of the same type."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from kratos.fieldmask.paths import map_value

__all__ = ["copy_entry", "copy_field"]


def copy_field(target: Any, source: Any, field: FieldDescriptor) -> None:
    """Make a field what it is in the source; unset if it is unset there."""
    name = field.name
    if field.is_repeated:
        target.ClearField(name)
        getattr(target, name).MergeFrom(getattr(source, name))
    elif field.has_presence and not source.HasField(name):
        target.ClearField(name)
    elif field.message_type is not None:
        getattr(target, name).CopyFrom(getattr(source, name))
    else:
        setattr(target, name, getattr(source, name))


def copy_entry(target: Any, source: Any, field: FieldDescriptor, key: Any) -> None:
    """Make an entry of a map what it is in the source; remove it if it is not there.

    Args:
        target: The map to change.
        source: The map to read.
        field: What describes them.
        key: Which entry.
    """
    if key not in source:
        target.pop(key, None)
    elif map_value(field).message_type is not None:
        target[key].CopyFrom(source[key])
    else:
        target[key] = source[key]
