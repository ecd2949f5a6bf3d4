"""Members of one object that contradict each other: found by their names alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from kratos_protojson import descriptors as f
from kratos_protojson._error import JsonError

__all__ = ["conflicts"]

Check = Callable[[Mapping[str, Any]], None]


def conflicts(descriptor: Descriptor) -> Check | None:
    """Return what refuses fields under two spellings, and two members of a oneof.

    ``None`` if the names of the type leave room for neither.
    """
    spellings = {field.name: field.json_name for field in descriptor.fields}
    spellings = {name: json for name, json in spellings.items() if name != json}
    choices: dict[str, FieldDescriptor] = {}
    for oneof in descriptor.oneofs:
        if len(oneof.fields) > 1:
            for field in oneof.fields:
                choices[field.json_name] = choices[field.name] = field
    if not spellings and not choices:
        return None
    spelled, chosen = spellings.keys(), choices.keys()

    def check(value: Mapping[str, Any]) -> None:
        if not spelled.isdisjoint(value):
            for name in spelled & value.keys():
                if spellings[name] in value:
                    raise JsonError("given twice, under two spellings").within(name)
        if not chosen.isdisjoint(value):
            _check_choices(choices, value)

    return check


def _check_choices(choices: Mapping[str, FieldDescriptor], value: Mapping[str, Any]) -> None:
    taken: dict[str, FieldDescriptor] = {}
    for key, item in value.items():
        field = choices.get(key)
        if field is None or (item is None and not _null_counts(field)):
            continue
        oneof: Any = field.containing_oneof
        if taken.setdefault(oneof.name, field) is not field:
            raise JsonError(f"another member of oneof {oneof.name} is given too").within(key)


def _null_counts(field: FieldDescriptor) -> bool:
    return f.is_null_value(field) or f.message_name(field) == f.VALUE
