"""Messages to JSON values, by plans compiled once per message type and option set.

A plan is a tuple of closures, one per field in the order of declaration, each of which
reads its field and puts it into the resulting ``dict`` (Go: ``encoding/protojson``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from kratos.encoding import _fields as f
from kratos.encoding._fault import Fault
from kratos.encoding._json_options import JsonOptions
from kratos.encoding._scalars import (
    camel_case,
    duration_text,
    encode_base64,
    shortest_float32,
    snake_case,
    timestamp_text,
)

__all__ = ["JsonWriter"]

Write: TypeAlias = Callable[[Any], Any]
Step: TypeAlias = Callable[[Any, dict[str, Any]], None]

ANY: Final = "google.protobuf.Any"
EMPTY: Final = "google.protobuf.Empty"


class JsonWriter:
    """Writes messages of any type under one set of options."""

    __slots__ = ("_options", "message")

    def __init__(self, options: JsonOptions) -> None:
        self._options = options
        self.message: f.PlanCache[Write] = f.PlanCache(self._plan)

    def field(self, field: FieldDescriptor) -> Write:
        """Return the function that writes the present value of a field."""
        if f.is_map(field):
            keys, values = f.map_fields(field)
            return _map_writer(keys, self._single(values))
        if not field.is_repeated:
            return self._single(field) or _same
        single = self._single(field)
        return list if single is None else lambda values: [single(value) for value in values]

    def _plan(self, descriptor: Descriptor) -> Write:
        special = self._special(descriptor)
        if special is not None:
            return special
        steps = tuple(self._step(field) for field in descriptor.fields)
        if descriptor.is_extendable:
            steps += (self._extensions,)

        def write(message: Any) -> dict[str, Any]:
            out: dict[str, Any] = {}
            try:
                for step in steps:
                    step(message, out)
            except ValueError as error:
                raise Fault.of(error).within(_culprit(descriptor, steps, message)) from None
            return out

        return write

    def _special(self, descriptor: Descriptor) -> Write | None:
        name = descriptor.full_name
        if name in f.WRAPPERS:
            single = self._single(descriptor.fields_by_name["value"])
            return _wrapped if single is None else lambda message: single(message.value)
        return self._any if name == ANY else _SPECIAL.get(name)

    def _single(self, field: FieldDescriptor) -> Write | None:
        """Return the writer of one element; ``None`` if JSON has the value as it is."""
        if field.message_type is not None:
            return self._late(field.message_type)
        kind = field.type
        if field.enum_type is not None:
            if f.is_null_value(field):
                return _null
            names = f.enum_names(field)
            return None if self._options.enum_numbers else lambda number: names.get(number, number)
        if kind in f.INTEGERS_64:
            return None if self._options.int64_numbers else str
        return _SCALARS.get(kind)

    def _late(self, descriptor: Descriptor) -> Write:
        """Look the plan up at the first use: message types may contain themselves."""
        plan: Write | None = None

        def write(message: Any) -> Any:
            nonlocal plan
            if plan is None:
                plan = self.message(descriptor)
            return plan(message)

        return write

    def _step(self, field: FieldDescriptor) -> Step:
        key = field.name if self._options.proto_names else field.json_name
        name = field.name
        emit = self._options.emit_unset
        if field.is_repeated:
            empty = dict if f.is_map(field) else list
            return _plural_step(name, key, self.field(field), empty=empty, emit=emit)
        single = self._single(field)
        if not field.has_presence:
            return _implicit_step(name, key, single, emit=emit)
        # Members of a oneof, which is also what `optional` makes, have no unset form. Nor has
        # a Value, where null is a value: Go prints it all the same, and its peer reads a value.
        emit = emit and field.containing_oneof is None and f.message_name(field) != f.VALUE
        return _explicit_step(name, key, single or _same, emit=emit)

    def _extensions(self, message: Message, out: dict[str, Any]) -> None:
        found = [pair for pair in message.ListFields() if pair[0].is_extension]
        for field, value in sorted(found, key=lambda pair: pair[0].full_name):
            out[f"[{field.full_name}]"] = self.field(field)(value)

    def _any(self, message: Any) -> dict[str, Any]:
        url: str = message.type_url
        if not url and not message.value:
            return {}
        name = url.rpartition("/")[2]
        try:
            descriptor = message.DESCRIPTOR.file.pool.FindMessageTypeByName(name)
            inner = message_factory.GetMessageClass(descriptor)()
            inner.MergeFromString(message.value)
        except KeyError:
            raise Fault(f"Any holds {name!r}: import its generated module") from None
        except DecodeError as error:
            raise Fault(f"Any holds bytes that are no {name}") from error
        written = self.message(descriptor)(inner)
        if name in (EMPTY, ANY) or self._special(descriptor) is not None:
            return {"@type": url, "value": written}
        return {"@type": url, **written}


def _culprit(descriptor: Descriptor, steps: tuple[Step, ...], message: Any) -> str:
    """Find the field that failed by trying one by one, so that the good case keeps no count."""
    for field, step in zip(descriptor.fields, steps, strict=False):
        try:
            step(message, {})
        except ValueError:
            return field.name
    return "extensions"


def _plural_step(
    name: str, key: str, write: Write, *, empty: Callable[[], Any], emit: bool
) -> Step:
    def step(message: Any, out: dict[str, Any]) -> None:
        values = getattr(message, name)
        if values:
            out[key] = write(values)
        elif emit:
            out[key] = empty()

    return step


def _explicit_step(name: str, key: str, write: Write, *, emit: bool) -> Step:
    def step(message: Any, out: dict[str, Any]) -> None:
        if message.HasField(name):
            out[key] = write(getattr(message, name))
        elif emit:
            out[key] = None

    return step


def _implicit_step(name: str, key: str, write: Write | None, *, emit: bool) -> Step:
    def step_as_it_is(message: Any, out: dict[str, Any]) -> None:
        out[key] = getattr(message, name)

    def step_always(message: Any, out: dict[str, Any]) -> None:
        out[key] = convert(getattr(message, name))

    def step_if_set(message: Any, out: dict[str, Any]) -> None:
        value = getattr(message, name)
        # Negative zero is a value, though it compares equal to the unset one.
        if value or str(value) == "-0.0":
            out[key] = convert(value)

    convert = write or _same
    if not emit:
        return step_if_set
    return step_as_it_is if write is None else step_always


def _map_writer(keys: FieldDescriptor, write: Write | None) -> Write:
    # Sorted, because the hash order of a map would give equal messages different bytes.
    text: Write = {FieldDescriptor.TYPE_STRING: _same, FieldDescriptor.TYPE_BOOL: _bool_text}.get(
        keys.type, str
    )
    convert = write or _same
    return lambda values: {text(key): convert(values[key]) for key in sorted(values)}


def _same(value: Any) -> Any:
    return value


def _null(_value: Any) -> None:
    return None


def _bool_text(value: Any) -> str:
    return "true" if value else "false"


def _wrapped(message: Any) -> Any:
    return message.value


def _double(value: float) -> float | int | str:
    if value - value != 0:
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if value.is_integer() and abs(value) < 1e21 and (value or str(value) == "0.0"):
        # As Go and JavaScript: 1, not 1.0, and no exponent below 1e21.
        return int(value) if abs(value) < 1e16 else int(Decimal(repr(value)))
    return value


def _float(value: float) -> float | int | str:
    return _double(value if value - value != 0 else shortest_float32(value))


def _timestamp(message: Any) -> str:
    return timestamp_text(message.seconds, message.nanos)


def _duration(message: Any) -> str:
    return duration_text(message.seconds, message.nanos)


def _field_mask(message: Any) -> str:
    for path in message.paths:
        if snake_case(camel_case(path)) != path:
            raise ValueError(f"field mask path {path!r} has no JSON form: use lower_snake_case")
    return ",".join(map(camel_case, message.paths))


def _struct(message: Any) -> dict[str, Any]:
    fields: Mapping[str, Any] = message.fields
    return {key: _value(fields[key]) for key in sorted(fields)}


def _list_value(message: Any) -> list[Any]:
    return [_value(value) for value in message.values]


def _value(message: Any) -> Any:
    kind = message.WhichOneof("kind")
    if kind is None or kind == "null_value":
        return None
    if kind == "struct_value":
        return _struct(message.struct_value)
    if kind == "list_value":
        return _list_value(message.list_value)
    value = getattr(message, kind)
    if kind == "number_value":
        value = _double(value)
        if isinstance(value, str):
            raise ValueError(f"google.protobuf.Value cannot hold {value} in JSON")
    return value


_SCALARS: Final[dict[int, Write]] = {
    FieldDescriptor.TYPE_DOUBLE: _double,
    FieldDescriptor.TYPE_FLOAT: _float,
    FieldDescriptor.TYPE_BYTES: encode_base64,
}
_SPECIAL: Final[dict[str, Write]] = {
    f.TIMESTAMP: _timestamp,
    f.DURATION: _duration,
    f.FIELD_MASK: _field_mask,
    f.STRUCT: _struct,
    f.LIST_VALUE: _list_value,
    f.VALUE: _value,
}
