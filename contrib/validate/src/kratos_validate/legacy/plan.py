"""The rules of messages, compiled from their definitions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, cast

from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from kratos_validate._reach import reached
from kratos_validate.legacy.fault import Fault, ValueCheck
from kratos_validate.legacy.fields import (
    Broken,
    FieldCheck,
    broken,
    first_broken,
    if_set,
    list_check,
    map_check,
    single_check,
)
from kratos_validate.legacy.names import field_name, message_name
from kratos_validate.legacy.schema import field_rules, is_left_out, is_required
from kratos_validate.legacy.values import (
    REQUIRED,
    plain_checks,
    size_checks,
    special_checks,
    wrapped_check,
)

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor, OneofDescriptor

__all__ = ["Plan", "Plans"]

_WRAPPERS: Final = {
    "double": "DoubleValue",
    "float": "FloatValue",
    "int64": "Int64Value",
    "uint64": "UInt64Value",
    "int32": "Int32Value",
    "uint32": "UInt32Value",
    "bool": "BoolValue",
    "string": "StringValue",
    "bytes": "BytesValue",
}
_SPECIAL: Final = {
    "any": "google.protobuf.Any",
    "duration": "google.protobuf.Duration",
    "timestamp": "google.protobuf.Timestamp",
}
_INNER: Final = "embedded message failed validation"


class Plan:
    """The checks of one type of messages, in Go's order."""

    def __init__(self) -> None:
        self.checks: tuple[FieldCheck, ...] = ()

    def first(self, message: Any) -> Broken | None:
        """Return the first rule that a message breaks; ``None`` if it breaks none."""
        return first_broken(self.checks, message)


class Plans:
    """The plans of all types that a type holds; a type may hold itself."""

    def __init__(self) -> None:
        self._plans: dict[Descriptor, Plan | None] = {}
        self._own: dict[Descriptor, bool] = {}

    def of(self, descriptor: Descriptor) -> Plan | None:
        """Return the plan of a type; ``None`` if there is nothing to check in it.

        Raises:
            ValueError: A rule cannot be compiled, or is for a field of another type.
        """
        if descriptor in self._plans:
            return self._plans[descriptor]
        if not any(map(self._has_rules, reached(descriptor))):
            self._plans[descriptor] = None
            return None
        plan = self._plans[descriptor] = Plan()
        try:
            if not is_left_out(descriptor.GetOptions()):
                plan.checks = tuple(self._checks(descriptor))
        except ValueError:
            self._plans.clear()  # what refers to this one is no better
            raise
        return plan

    def _has_rules(self, descriptor: Descriptor) -> bool:
        known = self._own.get(descriptor)
        if known is None:
            known = self._own[descriptor] = _has_rules(descriptor)
        return known

    def _checks(self, descriptor: Descriptor) -> Iterator[FieldCheck]:
        real = [each for each in descriptor.oneofs if not _is_synthetic(each)]
        for field in descriptor.fields:
            if field.containing_oneof is None:
                yield from self._of_field(field)
        for oneof in real:
            yield from self._of_oneof(oneof)
        for oneof in descriptor.oneofs:
            if oneof not in real:
                yield from map(if_set(oneof.fields[0].name), self._of_field(oneof.fields[0]))

    def _of_oneof(self, oneof: OneofDescriptor) -> Iterator[FieldCheck]:
        checks = {each.name: tuple(self._of_field(each)) for each in oneof.fields}
        absent = None
        if is_required(oneof.GetOptions()):
            owner = message_name(oneof.containing_type)
            absent = broken(owner, oneof.name, field_name(oneof.name), REQUIRED)
        name = oneof.name

        def check(message: Any) -> Broken | None:
            chosen = message.WhichOneof(name)
            if chosen is None:
                return absent
            return first_broken(checks[chosen], message)

        if absent is not None or any(checks.values()):
            yield check

    def _of_field(self, field: FieldDescriptor) -> Iterator[FieldCheck]:
        try:
            yield from self._compiled(field)
        except ValueError as error:
            raise ValueError(f"{field.full_name}: {error}") from error

    def _compiled(self, field: FieldDescriptor) -> Iterator[FieldCheck]:
        rules = field_rules(field.GetOptions())
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            yield from self._of_map(field, entry, rules)
        elif field.is_repeated:
            yield from self._of_list(field, rules)
        else:
            checks = tuple(self._of_value(field, rules, named=True))
            if checks:
                yield single_check(field, checks)

    def _of_list(self, field: FieldDescriptor, rules: Any) -> Iterator[FieldCheck]:
        own = _of_kind(rules, "repeated")
        sizes = tuple(size_checks(own, ("min_items", "max_items"), "item")) if own else ()
        items = tuple(self._of_value(field, own and own.items))
        unique = bool(own and own.unique)
        if unique and field.message_type is not None:
            raise ValueError("unique is for lists of plain values")
        if items or sizes or unique:
            skip = bool(own and own.ignore_empty)
            yield list_check(field, sizes, items, unique=unique, skip=skip)

    def _of_map(
        self, field: FieldDescriptor, entry: Descriptor, rules: Any
    ) -> Iterator[FieldCheck]:
        own = _of_kind(rules, "map")
        sizes = tuple(size_checks(own, ("min_pairs", "max_pairs"), "pair")) if own else ()
        keys = tuple(self._of_value(entry.fields_by_name["key"], own and own.keys))
        values = tuple(self._of_value(entry.fields_by_name["value"], own and own.values))
        if keys or values or sizes:
            yield map_check(field, sizes, keys, values, skip=bool(own and own.ignore_empty))

    def _of_value(
        self, field: FieldDescriptor, rules: Any, *, named: bool = False
    ) -> Iterator[ValueCheck]:
        """Yield the checks of one value; of a message, ``None`` is for one that is not there.

        Args:
            field: What the value is of.
            rules: The rules; ``None`` for none.
            named: Whether values of an enum are told by their names.
        """
        kind = _kind(rules)
        if field.message_type is None:
            if kind is not None:
                _require(kind == _type_of(field), kind)
                yield from plain_checks(kind, getattr(rules, kind), field, named=named)
            return
        whole = rules.message if rules is not None else None
        required = whole is not None and whole.required
        name = field.message_type.full_name
        if kind in _WRAPPERS:
            _require(name == f"google.protobuf.{_WRAPPERS[kind]}", kind)
            checks = tuple(plain_checks(kind, getattr(rules, kind), field, named=False))
            yield wrapped_check(checks, required=required)
        elif kind is not None:
            _require(name == _SPECIAL.get(kind), kind)
            yield from special_checks(kind, getattr(rules, kind))
        else:
            if required:
                yield lambda value: REQUIRED if value is None else None
            plan = None if whole is not None and whole.skip else self.of(field.message_type)
            if plan is not None:
                yield _nested(plan)


def _kind(rules: Any) -> str | None:
    """Return the kind of the rules of a field; ``None`` for those of messages alone."""
    if rules is None:
        return None
    return next((each.name for each, _ in rules.ListFields() if each.name != "message"), None)


def _of_kind(rules: Any, kind: str) -> Any:
    """Return the rules of a list or of a map; ``None`` if there are none."""
    found = _kind(rules)
    if found is None:
        return None
    _require(found == kind, found)
    return getattr(rules, kind)


def _require(fits: bool, kind: str) -> None:  # noqa: FBT001 - reads like assert
    if not fits:
        raise ValueError(f"rules for {kind}, on a field of another type")


def _type_of(field: FieldDescriptor) -> str:
    kind = cast("FieldDescriptorProto.Type.ValueType", field.type)
    return FieldDescriptorProto.Type.Name(kind).removeprefix("TYPE_").lower()


def _nested(plan: Plan) -> ValueCheck:
    def check(value: Any) -> Fault | None:
        found = None if value is None else plan.first(value)
        return found and Fault(_INNER, found.text, found.path, found.description)

    return check


def _has_rules(descriptor: Descriptor) -> bool:
    return any(field_rules(each.GetOptions()) is not None for each in descriptor.fields) or any(
        is_required(each.GetOptions()) for each in descriptor.oneofs
    )


def _is_synthetic(oneof: OneofDescriptor) -> bool:
    """Tell whether a oneof is but how an optional field of proto3 is defined."""
    return len(oneof.fields) == 1 and oneof.name == f"_{oneof.fields[0].name}"
