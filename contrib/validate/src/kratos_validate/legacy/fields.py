"""Checks of fields: of one value, of a list, of a map."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from kratos_validate._text import cut
from kratos_validate.legacy.fault import Fault, ValueCheck, first_fault
from kratos_validate.legacy.names import field_name, message_name

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

__all__ = [
    "Broken",
    "FieldCheck",
    "broken",
    "first_broken",
    "if_set",
    "list_check",
    "map_check",
    "single_check",
]


class Broken(NamedTuple):
    """The first rule that a message breaks.

    Attributes:
        text: Go's text.
        path: Of the value, by the names of the definition.
        description: What is wrong with it.
    """

    text: str
    path: str
    description: str


FieldCheck: TypeAlias = Callable[[Any], "Broken | None"]
"""A check of one field of a message."""


def first_broken(checks: Iterable[FieldCheck], message: Any) -> Broken | None:
    """Return what the first check finds that finds something."""
    for check in checks:
        found = check(message)
        if found is not None:
            return found
    return None


def broken(owner: str, path: str, go_path: str, fault: Fault) -> Broken:
    """Return what is wrong with a field, in Go's words."""
    cause = f" | caused by: {fault.cause}" if fault.cause else ""
    text = f"invalid {owner}.{go_path}: {fault.reason}"
    inner = f"{path}.{fault.path}" if fault.path else path
    return Broken(f"{text}{cause}", inner, fault.description or fault.reason)


def single_check(field: FieldDescriptor, checks: tuple[ValueCheck, ...]) -> FieldCheck:
    """Make the check of a field with one value."""
    name, go_name = field.name, field_name(field.name)
    owner = _owner(field)
    is_message = field.message_type is not None

    def check(message: Any) -> Broken | None:
        value = None if is_message and not message.HasField(name) else getattr(message, name)
        fault = first_fault(checks, value)
        return fault and broken(owner, name, go_name, fault)

    return check


def list_check(
    field: FieldDescriptor,
    sizes: tuple[ValueCheck, ...],
    items: tuple[ValueCheck, ...],
    *,
    unique: bool,
    skip: bool,
) -> FieldCheck:
    """Make the check of a list: its size, then each item."""
    name, go_name = field.name, field_name(field.name)
    owner = _owner(field)
    twice = Fault("repeated value must contain unique items")

    def check(message: Any) -> Broken | None:
        values = getattr(message, name)
        if skip and not values:
            return None
        if (fault := first_fault(sizes, values)) is not None:
            return broken(owner, name, go_name, fault)
        seen: set[object] = set()
        for index, value in enumerate(values if items or unique else ()):
            fault = twice if unique and value in seen else first_fault(items, value)
            if fault is not None:
                return broken(owner, f"{name}[{index}]", f"{go_name}[{index}]", fault)
            if unique:
                seen.add(value)
        return None

    return check


def map_check(
    field: FieldDescriptor,
    sizes: tuple[ValueCheck, ...],
    keys: tuple[ValueCheck, ...],
    values: tuple[ValueCheck, ...],
    *,
    skip: bool,
) -> FieldCheck:
    """Make the check of a map: its size, then keys and values in the order of the keys."""
    name, go_name = field.name, field_name(field.name)
    owner = _owner(field)

    def check(message: Any) -> Broken | None:
        pairs = getattr(message, name)
        if skip and not pairs:
            return None
        if (fault := first_fault(sizes, pairs)) is not None:
            return broken(owner, name, go_name, fault)
        for key in sorted(pairs) if keys or values else ():
            shown = str(key).lower() if isinstance(key, bool) else cut(str(key))
            if (fault := first_fault(keys, key)) is not None:
                return broken(owner, f"{name}[{shown}]", f"{go_name}[{shown}]", fault)
            if (fault := first_fault(values, pairs[key])) is not None:
                return broken(owner, f"{name}[{shown}]", f"{go_name}[{shown}]", fault)
        return None

    return check


def if_set(name: str) -> Callable[[FieldCheck], FieldCheck]:
    """Return what makes a check look only where a field is set."""
    return lambda check: lambda message: check(message) if message.HasField(name) else None


def _owner(field: FieldDescriptor) -> str:
    return message_name(cast("Descriptor", field.containing_type))
