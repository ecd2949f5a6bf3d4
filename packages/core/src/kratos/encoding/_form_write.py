"""Messages to form pairs and to the URLs of clients (Go: encoding/form/proto_encode.go)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final, TypeAlias, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from kratos.encoding._codec import CodecError
from kratos.encoding._form_scalars import PRINTERS, printer
from kratos.encoding.json import codec_error
from kratos_protojson import JsonError, Printer
from kratos_protojson import descriptors as f

__all__ = ["field_mask_pair", "pairs", "text_of"]

Pairs: TypeAlias = list[tuple[str, str]]
Step: TypeAlias = Callable[[Any, str, Pairs], None]
"""Appends the pairs of one field; the text is the key of its message with a dot, or empty."""

_PRINTER: Final = Printer()
_JSON_TYPES: Final = frozenset({f.STRUCT, f.LIST_VALUE})


def pairs(message: Message, *, omit: Collection[str] = ()) -> Pairs:
    """Return the pairs of all populated fields, in the order of their definition.

    Args:
        message: What to print.
        omit: Proto names of its fields to leave out, whether or not they could be printed.

    Raises:
        CodecError: A field cannot be expressed: a list of messages, a timestamp in year 10000.
    """
    found: Pairs = []
    _append(message, "", found, omit)
    return found


def text_of(field: FieldDescriptor) -> Callable[[Any], str]:
    """Return the function that prints one element of the field.

    Raises:
        ValueError: Elements of that type have no text.
    """
    message_type = field.message_type
    if message_type is None:
        return printer(field)
    name = message_type.full_name
    if name in PRINTERS:
        return PRINTERS[name]
    if name in f.WRAPPERS:
        inner = printer(message_type.fields_by_name["value"])
        return lambda message: inner(message.value)
    if name in _JSON_TYPES:
        return _json_text
    raise ValueError(f'unsupported message type: "{name}"')


def field_mask_pair(message: Message) -> tuple[str, str] | None:
    """Return key and value of the first field mask that is set, in order of definition.

    Raises:
        CodecError: A path of it has no text form.
    """
    descriptor = cast("Descriptor", message.DESCRIPTOR)
    for field in descriptor.fields:
        if f.message_name(field) != f.FIELD_MASK or field.is_repeated:
            continue
        if message.HasField(field.name):
            try:
                return field.json_name, PRINTERS[f.FIELD_MASK](getattr(message, field.name))
            except ValueError as error:
                raise CodecError(f'encoding field "{field.name}": {error}', field.name) from None
    return None


def _append(message: Message, prefix: str, found: Pairs, omit: Collection[str] = ()) -> None:
    for field, step in _PLANS(message.DESCRIPTOR):
        if field in omit:
            continue
        try:
            step(message, prefix, found)
        except CodecError:
            raise
        except RecursionError:
            raise CodecError("the message is nested too deeply") from None
        except ValueError as error:
            problem = codec_error(error).message if isinstance(error, JsonError) else str(error)
            key = prefix + field
            raise CodecError(f'encoding field "{key}": {problem}', key) from None


def _plan(descriptor: Descriptor) -> tuple[tuple[str, Step], ...]:
    return tuple((field.name, _step(field)) for field in descriptor.fields)


def _step(field: FieldDescriptor) -> Step:
    if f.is_map(field):
        return _map(field)
    try:
        text = text_of(field)
    except ValueError as error:
        return _refusal(field, str(error)) if field.is_repeated else _nested(field)
    if field.is_repeated:
        return _list(field, text)
    return _explicit(field, text) if field.has_presence else _implicit(field, text)


def _implicit(field: FieldDescriptor, text: Callable[[Any], str]) -> Step:
    name, key = field.name, field.json_name

    def step(message: Any, prefix: str, found: Pairs) -> None:
        value = getattr(message, name)
        # Negative zero is a value, though it compares equal to the unset one.
        if value or str(value) == "-0.0":
            found.append((prefix + key, text(value)))

    return step


def _explicit(field: FieldDescriptor, text: Callable[[Any], str]) -> Step:
    name, key = field.name, field.json_name

    def step(message: Any, prefix: str, found: Pairs) -> None:
        if message.HasField(name):
            found.append((prefix + key, text(getattr(message, name))))

    return step


def _list(field: FieldDescriptor, text: Callable[[Any], str]) -> Step:
    name, key = field.name, field.json_name

    def step(message: Any, prefix: str, found: Pairs) -> None:
        found.extend((prefix + key, text(value)) for value in getattr(message, name))

    return step


def _map(field: FieldDescriptor) -> Step:
    name, key = field.name, field.json_name
    key_field, value_field = f.map_fields(field)
    key_text = printer(key_field)
    try:
        value_text = text_of(value_field)
    except ValueError as error:
        return _refusal(field, str(error))

    def step(message: Any, prefix: str, found: Pairs) -> None:
        entries = getattr(message, name)
        found.extend(
            (f"{prefix}{key}[{key_text(entry)}]", value_text(entries[entry])) for entry in entries
        )

    return step


def _nested(field: FieldDescriptor) -> Step:
    name, key = field.name, field.json_name

    def step(message: Any, prefix: str, found: Pairs) -> None:
        if message.HasField(name):
            _append(getattr(message, name), f"{prefix}{key}.", found)

    return step


def _refusal(field: FieldDescriptor, problem: str) -> Step:
    name = field.name

    def step(message: Any, _prefix: str, _found: Pairs) -> None:
        if getattr(message, name):
            raise ValueError(problem)

    return step


def _json_text(message: Any) -> str:
    return _PRINTER.to_json(message).decode()


_PLANS: Final = f.PlanCache(_plan)
