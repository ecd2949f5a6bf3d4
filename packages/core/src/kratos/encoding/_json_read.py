"""JSON values to messages, by plans compiled once per message type.

Both dialects are understood at once: protobuf JSON (Go: ``encoding/protojson``), and the
plain JSON of Go Kratos v3, where enums and 64-bit integers are numbers and well-known
types are objects of their fields. Nothing is valid in both with two meanings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from kratos.encoding import _fields as f
from kratos.encoding._fault import Fault
from kratos.encoding._json_scalars import (
    Convert,
    key_converter,
    listed,
    members,
    scalar_converter,
)
from kratos.encoding._json_wellknown import NATIVE, TEXTS, Read, wrapper
from kratos.encoding._scalars import show

__all__ = ["JsonReader"]

ANY: Final = "google.protobuf.Any"


class JsonReader:
    """Reads messages of any type.

    Args:
        discard_unknown: Ignore unknown fields and unknown names of enum values.
    """

    __slots__ = ("_discard", "message")

    def __init__(self, *, discard_unknown: bool) -> None:
        self._discard = discard_unknown
        self.message: f.PlanCache[Read] = f.PlanCache(self._plan)

    def field(self, field: FieldDescriptor) -> Read:
        """Return the function that reads the value of a field into its message."""
        if f.is_map(field):
            return self._map(field)
        if field.message_type is not None:
            plan = self._late(field.message_type)
            return (_message_list if field.is_repeated else _message)(field.name, plan)
        convert = scalar_converter(field, discard_unknown=self._discard)
        return (_scalar_list if field.is_repeated else _scalar)(field.name, convert)

    def _plan(self, descriptor: Descriptor) -> Read:
        name = descriptor.full_name
        if name in NATIVE:
            return NATIVE[name]
        read = self._object(descriptor)
        if name == ANY:
            return self._any(read)
        if name in TEXTS:
            return TEXTS[name](read)
        if name in f.WRAPPERS:
            return wrapper(self.field(descriptor.fields_by_name["value"]), read)
        return read

    def _late(self, descriptor: Descriptor) -> Read:
        """Look the plan up at the first use: message types may contain themselves."""
        plan: Read | None = None

        def read(message: Any, value: Any, depth: int) -> None:
            nonlocal plan
            if plan is None:
                plan = self.message(descriptor)
            plan(message, value, depth)

        return read

    def _object(self, descriptor: Descriptor) -> Read:
        fields = self._fields(descriptor)
        unknown = self._unknown(descriptor)

        def read(message: Any, value: Any, depth: int) -> None:
            if depth > f.MAX_DEPTH:
                raise Fault(f"nested deeper than {f.MAX_DEPTH} messages")
            seen: set[int | str] = set()
            key = ""
            try:
                for key, item in members(value):
                    field = fields.get(key)
                    if field is None:
                        unknown(message, key, item)
                        continue
                    number, oneof, nullable, read_field = field
                    if number in seen:
                        raise Fault("given twice, under two spellings")
                    seen.add(number)
                    if item is None and not nullable:
                        continue
                    if oneof and oneof in seen:
                        raise Fault(f"another member of oneof {oneof} is given too")
                    seen.add(oneof)
                    read_field(message, item, depth)
            except (ValueError, TypeError) as error:
                raise Fault.of(error).within(key) from None

        return read

    def _fields(self, descriptor: Descriptor) -> dict[str, tuple[int, str, bool, Read]]:
        fields: dict[str, tuple[int, str, bool, Read]] = {}
        for field in descriptor.fields:
            oneof = field.containing_oneof.name if field.containing_oneof is not None else ""
            fields[field.json_name] = (field.number, oneof, _nullable(field), self.field(field))
        for field in descriptor.fields:
            fields.setdefault(field.name, fields[field.json_name])
        return fields

    def _unknown(self, descriptor: Descriptor) -> Callable[[Any, str, Any], None]:
        def unknown(message: Any, key: str, item: Any) -> None:
            if key.startswith("[") and descriptor.is_extendable:
                _read_extension(message, key, item)
            elif not self._discard:
                raise Fault(f"{descriptor.full_name} has no such field")

        return unknown

    def _map(self, field: FieldDescriptor) -> Read:
        key_field, value_field = f.map_fields(field)
        convert_key = key_converter(key_field)
        if value_field.message_type is not None:
            return _message_map(field.name, convert_key, self._late(value_field.message_type))
        convert = scalar_converter(value_field, discard_unknown=self._discard)
        return _scalar_map(field.name, convert_key, convert)

    def _any(self, read_object: Read) -> Read:
        def read(message: Any, value: Any, depth: int) -> None:
            if depth > f.MAX_DEPTH:
                raise Fault(f"nested deeper than {f.MAX_DEPTH} messages")
            found = dict(members(value))
            if "@type" not in found:
                if found and not {"type_url", "typeUrl"} & found.keys():
                    raise Fault("an Any needs a member @type")
                read_object(message, value, depth)
                return
            url = found["@type"]
            if not isinstance(url, str):
                raise Fault(f"@type must be a string, got {show(url)}")
            name = url.rpartition("/")[2]
            try:
                descriptor = message.DESCRIPTOR.file.pool.FindMessageTypeByName(name)
            except KeyError:
                raise Fault(f"@type {show(url)} is not known here") from None
            inner = message_factory.GetMessageClass(descriptor)()
            self.message(descriptor)(inner, _any_content(name, found), depth + 1)
            message.type_url = url
            message.value = inner.SerializePartialToString()

        return read


def _any_content(name: str, value: dict[str, Any]) -> Any:
    if name in NATIVE or name in TEXTS or name in f.WRAPPERS or name == ANY:
        if "value" not in value:
            raise Fault(f"an Any of {name} needs a member value")
        return value["value"]
    # Go writes an Empty with a value, json_format without.
    drop = ("@type", "value") if name == "google.protobuf.Empty" else ("@type",)
    return {key: item for key, item in value.items() if key not in drop}


def _nullable(field: FieldDescriptor) -> bool:
    """Tell whether ``null`` is a value of the field rather than its absence."""
    if field.is_repeated:
        return False
    return f.is_null_value(field) or f.message_name(field) == f.VALUE


def _read_extension(message: Message, key: str, item: Any) -> None:
    from google.protobuf import json_format  # rare, and slow to import

    pool: Any = message.DESCRIPTOR.file.pool
    try:
        json_format.ParseDict(
            {key: item}, message, ignore_unknown_fields=True, descriptor_pool=pool
        )
    except json_format.ParseError as error:
        raise Fault(str(error)) from None


def _scalar(name: str, convert: Convert) -> Read:
    def read(message: Any, value: Any, _depth: int) -> None:
        converted = convert(value)
        if converted is not None:
            setattr(message, name, converted)

    return read


def _scalar_list(name: str, convert: Convert) -> Read:
    def read(message: Any, value: Any, _depth: int) -> None:
        append = getattr(message, name).append
        for index, item in enumerate(listed(value)):
            try:
                converted = convert(item)
                if converted is not None:
                    append(converted)
            except (ValueError, TypeError) as error:
                raise Fault.of(error).within(f"[{index}]") from None

    return read


def _message(name: str, plan: Read) -> Read:
    def read(message: Any, value: Any, depth: int) -> None:
        inner = getattr(message, name)
        inner.SetInParent()
        plan(inner, value, depth + 1)

    return read


def _message_list(name: str, plan: Read) -> Read:
    def read(message: Any, value: Any, depth: int) -> None:
        add = getattr(message, name).add
        for index, item in enumerate(listed(value)):
            try:
                plan(add(), item, depth + 1)
            except (ValueError, TypeError) as error:
                raise Fault.of(error).within(f"[{index}]") from None

    return read


def _scalar_map(name: str, convert_key: Convert, convert: Convert) -> Read:
    def read(message: Any, value: Any, _depth: int) -> None:
        target = getattr(message, name)
        for key, item in members(value):
            try:
                converted = convert(item)
                if converted is not None:
                    target[convert_key(key)] = converted
            except (ValueError, TypeError) as error:
                raise Fault.of(error).within(f"[{show(key)}]") from None

    return read


def _message_map(name: str, convert_key: Convert, plan: Read) -> Read:
    def read(message: Any, value: Any, depth: int) -> None:
        target = getattr(message, name)
        for key, item in members(value):
            try:
                # An entry is a message of its own on the wire, hence two levels.
                plan(target[convert_key(key)], item, depth + 2)
            except (ValueError, TypeError) as error:
                raise Fault.of(error).within(f"[{show(key)}]") from None

    return read
