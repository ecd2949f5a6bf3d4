"""Messages to JSON values, by plans compiled once per message type and option set.

What is written and in which order follows Go's ``encoding/protojson``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message

from kratos_protojson import descriptors as f
from kratos_protojson._error import JsonError
from kratos_protojson._print_source import Convert, Field, compile_plan
from kratos_protojson._print_values import (
    SCALARS,
    SPECIAL,
    EnumNames,
    Write,
    mask_or_object,
    null,
)
from kratos_protojson.options import PrintOptions
from kratos_protojson.scalars import show
from kratos_protojson.text import dump_text

__all__ = ["PrintPlans"]

_KEY_TEXTS: Final[dict[int, Write | None]] = {
    FieldDescriptor.TYPE_STRING: None,
    FieldDescriptor.TYPE_BOOL: lambda key: "true" if key else "false",
}


class PrintPlans:
    """Writes messages of any type under one set of options."""

    __slots__ = ("_compiling", "_options", "message")

    def __init__(self, options: PrintOptions) -> None:
        self._options = options
        self._compiling: set[f.AnyDescriptor] = set()
        self.message: f.PlanCache[Write] = f.PlanCache(self._plan)

    def field(self, field: FieldDescriptor) -> Write:
        """Return what makes JSON of a field's present value."""
        convert = self._convert(field)
        if isinstance(convert, EnumNames):
            return convert.__getitem__
        if isinstance(convert, slice):
            return list
        return convert or _same

    def describe(self, field: FieldDescriptor) -> tuple[str, str | None]:
        """Return the name of a field as it is written, and its JSON if it is not set."""
        options = self._options
        unset = None
        if field.has_presence:
            unset = "null" if options.emit_unset and _has_unset_form(field) else None
        elif options.emit_unset or options.emit_defaults:
            empty: Any = {} if f.is_map(field) else [] if field.is_repeated else None
            value = empty if field.is_repeated else self.field(field)(field.default_value)
            unset = dump_text(value).decode()
        return field.name if options.proto_names else field.json_name, unset

    def _plan(self, descriptor: Descriptor) -> Write:
        special = self._special(descriptor)
        if special is not None:
            return special
        write = self._object(descriptor)
        return self._extended(write) if descriptor.is_extendable else write

    def _special(self, descriptor: Descriptor) -> Write | None:
        name = descriptor.full_name
        if name in f.WRAPPERS:
            single = self.field(descriptor.fields_by_name["value"])
            return _wrapped if single is _same else lambda message: single(message.value)
        if name == f.FIELD_MASK and self._options.plain_objects:
            return mask_or_object
        return self._any if name == f.ANY else SPECIAL.get(name)

    def _convert(self, field: FieldDescriptor) -> Convert:
        if f.is_map(field):
            keys, values = f.map_fields(field)
            return _map_writer(_KEY_TEXTS.get(keys.type, str), self._single(values))
        single = self._single(field)
        return _list_writer(single) if field.is_repeated else single

    def _single(self, field: FieldDescriptor) -> Write | EnumNames | None:
        """Return the writer of one element; ``None`` if JSON has the value as it is."""
        if field.message_type is not None:
            return self._inner(field.message_type)
        if field.enum_type is not None:
            if f.is_null_value(field):
                return null
            return None if self._options.enum_numbers else EnumNames(f.json_enum_names(field))
        if field.type in f.INTEGERS_64:
            return None if self._options.int64_numbers else str
        return SCALARS.get(field.type)

    def _inner(self, descriptor: Descriptor) -> Write:
        """Return the plan of a field's type; types that contain themselves look it up later."""
        if descriptor not in self._compiling:
            return self.message(descriptor)
        plan: Write | None = None

        def write(message: Any) -> Any:
            nonlocal plan
            if plan is None:
                plan = self.message(descriptor)
            return plan(message)

        return write

    def _object(self, descriptor: Descriptor) -> Write:
        options = self._options
        self._compiling.add(descriptor)
        try:
            return compile_plan(
                [
                    Field(
                        name=field.name,
                        key=field.name if options.proto_names else field.json_name,
                        convert=self._convert(field),
                        explicit=field.has_presence,
                        null=options.emit_unset and _has_unset_form(field),
                        implicit_zero=options.emit_unset or options.emit_defaults,
                    )
                    for field in descriptor.fields
                ]
            )
        finally:
            self._compiling.discard(descriptor)

    def _extended(self, write: Write) -> Write:
        def write_all(message: Message) -> dict[str, Any]:
            out: dict[str, Any] = write(message)
            found = [pair for pair in message.ListFields() if pair[0].is_extension]
            for field, value in sorted(found, key=lambda pair: pair[0].full_name):
                key = f"[{field.full_name}]"
                try:
                    out[key] = self.field(field)(value)
                except ValueError as error:
                    raise JsonError.of(error).within(key) from None
            return out

        return write_all

    def _any(self, message: Any) -> dict[str, Any]:
        url: str = message.type_url
        if not url and not message.value:
            return {}
        name = url.rpartition("/")[2]
        pool: DescriptorPool = self._options.pool or message.DESCRIPTOR.file.pool
        try:
            descriptor = pool.FindMessageTypeByName(name)
            inner = message_factory.GetMessageClass(descriptor).FromString(message.value)
        except KeyError:
            raise JsonError(f"Any holds {show(name)}: import its generated module") from None
        except DecodeError:
            raise JsonError(f"Any holds bytes that are no {name}") from None
        written = self.message(descriptor)(inner)
        if name in (f.EMPTY, f.ANY) or self._special(descriptor) is not None:
            return {"@type": url, "value": written}
        return {"@type": url, **written}


def _has_unset_form(field: FieldDescriptor) -> bool:
    # Members of a oneof, which is also what `optional` makes, have no unset form. Nor has
    # a Value, where null is a value: Go prints it all the same, and its peer reads a value.
    return field.containing_oneof is None and f.message_name(field) != f.VALUE


def _list_writer(convert: Write | EnumNames | None) -> Write | slice:
    if convert is None:
        return slice(None)
    single = convert.__getitem__ if isinstance(convert, EnumNames) else convert

    def write(values: Iterable[Any]) -> list[Any]:
        out: list[Any] = []
        try:
            for value in values:
                out.append(single(value))  # noqa: PERF401  # its length is the place of a failure
        except ValueError as error:
            raise JsonError.of(error).within(f"[{len(out)}]") from None
        return out

    return write


def _map_writer(text: Write | None, convert: Write | EnumNames | None) -> Write:
    write_value = convert.__getitem__ if isinstance(convert, EnumNames) else convert

    def write(values: Any) -> dict[str, Any]:
        out: dict[str, Any] = {}
        key: Any = None
        try:
            # Sorted, because the hash order of a map would give equal messages different bytes.
            for key in sorted(values):
                value = values[key]
                out[key if text is None else text(key)] = (
                    value if write_value is None else write_value(value)
                )
        except ValueError as error:
            raise JsonError.of(error).within(f"[{show(str(key))}]") from None
        except TypeError:  # protobuf hands out bytes for text that is none, which have no order
            raise JsonError("the text is not UTF-8") from None
        return out

    return write


def _same(value: Any) -> Any:
    return value


def _wrapped(message: Any) -> Any:
    return message.value
