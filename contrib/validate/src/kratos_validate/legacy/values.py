"""Checks of values, by the kinds of their rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from kratos_validate.legacy.fault import Fault, ValueCheck, first_fault, listed
from kratos_validate.legacy.numbers import constant, membership, number_checks
from kratos_validate.legacy.texts import bytes_checks, text_checks
from kratos_validate.legacy.times import duration_checks, timestamp_checks

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor

__all__ = ["REQUIRED", "plain_checks", "size_checks", "special_checks", "wrapped_check"]

REQUIRED: Final = Fault("value is required")


def plain_checks(
    kind: str, rules: Any, field: FieldDescriptor, *, named: bool
) -> Iterator[ValueCheck]:
    """Yield the checks of a value that is no message.

    Args:
        kind: Of the rules.
        rules: Those of the kind.
        field: What the value is of.
        named: Whether values of an enum are told by their names.
    """
    if kind == "bool":
        checks = tuple(constant(rules, lambda value: str(value).lower()))
    elif kind == "enum":
        checks = tuple(_enum_checks(rules, field, named=named))
    elif kind == "string":
        checks = tuple(text_checks(rules))
    elif kind == "bytes":
        checks = tuple(bytes_checks(rules))
    else:
        checks = tuple(number_checks(rules, kind))
    if checks and kind not in ("bool", "enum") and rules.ignore_empty:
        yield lambda value: first_fault(checks, value) if value else None
    else:
        yield from checks


def _enum_checks(rules: Any, field: FieldDescriptor, *, named: bool) -> Iterator[ValueCheck]:
    values = field.enum_type.values if field.enum_type is not None else ()
    # The first of several names of a number.
    names = {each.number: each.name for each in reversed(values)}

    def show(value: int) -> str:
        return names.get(value, "") if named else str(value)

    yield from constant(rules, show)
    yield from membership(rules, show)
    if rules.defined_only:
        unknown = Fault("value must be one of the defined enum values")
        yield lambda value: None if value in names else unknown


def special_checks(kind: str, rules: Any) -> Iterator[ValueCheck]:
    """Yield the checks of an ``Any``, a duration or a point in time."""
    if rules.required:
        yield lambda value: REQUIRED if value is None else None
    if kind == "any":
        checks = tuple(_any_checks(rules))
    else:
        checks = tuple(duration_checks(rules) if kind == "duration" else timestamp_checks(rules))
    if checks:
        yield lambda value: None if value is None else first_fault(checks, value)


def _any_checks(rules: Any) -> Iterator[ValueCheck]:
    allowed, refused = list(getattr(rules, "in")), list(rules.not_in)
    if allowed:
        within = Fault(f"type URL must be in list {listed(allowed)}")
        yield lambda value: None if value.type_url in allowed else within
    elif refused:
        without = Fault(f"type URL must not be in list {listed(refused)}")
        yield lambda value: without if value.type_url in refused else None


def wrapped_check(checks: tuple[ValueCheck, ...], *, required: bool) -> ValueCheck:
    """Make the check of a value in a message such as ``google.protobuf.StringValue``."""
    absent = Fault("value is required and must not be nil.") if required else None
    return lambda value: absent if value is None else first_fault(checks, value.value)


def size_checks(rules: Any, names: tuple[str, str], unit: str) -> Iterator[ValueCheck]:
    """Yield the check of the size of a list or a map, if there are rules for it."""
    least, most = (getattr(rules, name) for name in names)
    bounded = rules.HasField(names[1])
    if least and least == most:
        exact = Fault(f"value must contain exactly {least} {unit}(s)")
        yield lambda value: None if len(value) == least else exact
    elif least and bounded:
        between = Fault(f"value must contain between {least} and {most} {unit}s, inclusive")
        yield lambda value: None if least <= len(value) <= most else between
    elif least:
        few = Fault(f"value must contain at least {least} {unit}(s)")
        yield lambda value: None if len(value) >= least else few
    elif bounded:
        many = Fault(f"value must contain no more than {most} {unit}(s)")
        yield lambda value: None if len(value) <= most else many
