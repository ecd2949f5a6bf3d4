"""Form values into one field of a message: a function per field, made once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from kratos.encoding._codec import CodecError
from kratos.encoding._form_scalars import FILLERS, NULL, Fill, parser
from kratos.encoding.json import codec_error
from kratos_protojson import JsonError, ParseOptions, Parser
from kratos_protojson import descriptors as f

__all__ = ["Put", "PutEntry", "entry_putter", "has_text_form", "put_struct_entry", "putter"]

Put: TypeAlias = Callable[[Any, list[str]], None]
"""Puts all values of one key into a field of the message."""


class PutEntry(Protocol):
    """Puts an entry into a map of the message."""

    def __call__(self, message: Any, values: list[str], *, key: str) -> None:
        """Put the last of the values under the key."""
        ...


_PARSER: Final = Parser(ParseOptions(plain_objects=True))
_NULLABLE: Final = frozenset({f.TIMESTAMP, f.DURATION})
_JSON_TYPES: Final = frozenset({f.STRUCT, f.LIST_VALUE})


def putter(field: FieldDescriptor) -> Put:
    """Return the function that puts values into a field that is no map."""
    if field.message_type is None:
        return _scalar_list(field) if field.is_repeated else _scalar(field)
    fill = _filler(field.message_type)
    return _message_list(field, fill) if field.is_repeated else _message(field, fill)


def has_text_form(field: FieldDescriptor) -> bool:
    """Tell whether one value of the field can be written as text."""
    name = f.message_name(field)
    return not name or name in f.WRAPPERS or name in FILLERS


def entry_putter(field: FieldDescriptor) -> PutEntry:
    """Return the function that puts one entry into a map field."""
    key_field, value_field = f.map_fields(field)
    parse_key = parser(key_field)
    name = field.name
    put_value = _entry_value(value_field)

    def put(message: Any, values: list[str], *, key: str) -> None:
        try:
            parsed = parse_key(key)
        except ValueError as error:
            raise _failure("map key", field, error) from None
        try:
            # Like Go: of several values for one entry the last one stands.
            put_value(getattr(message, name), parsed, values[-1])
        except ValueError as error:
            raise _failure("map value", field, error) from None

    return put


def put_struct_entry(message: Any, values: list[str], *, key: str) -> None:
    """Put text under a key of a ``google.protobuf.Struct``."""
    message.fields[key].string_value = values[-1]


def _entry_value(field: FieldDescriptor) -> Callable[[Any, Any, str], None]:
    if field.message_type is not None:
        fill = _filler(field.message_type)

        def put_message(target: Any, key: Any, text: str) -> None:
            value = target[key]
            value.Clear()
            fill(value, text)

        return put_message
    parse = parser(field)

    def put_scalar(target: Any, key: Any, text: str) -> None:
        target[key] = parse(text)

    return put_scalar


def _scalar(field: FieldDescriptor) -> Put:
    name = field.name
    parse = parser(field)

    def put(message: Any, values: list[str]) -> None:
        value = _only(field, values)
        if value:
            try:
                setattr(message, name, parse(value))
            except ValueError as error:
                raise _failure("field", field, error) from None

    return put


def _scalar_list(field: FieldDescriptor) -> Put:
    name = field.name
    parse = parser(field)

    def put(message: Any, values: list[str]) -> None:
        try:
            getattr(message, name).extend([parse(value) for value in values])
        except ValueError as error:
            raise _failure("list", field, error) from None

    return put


def _message(field: FieldDescriptor, fill: Fill) -> Put:
    name = field.name
    nullable = f.message_name(field) in _NULLABLE

    def put(message: Any, values: list[str]) -> None:
        value = _only(field, values)
        if not value:
            return
        if value == NULL and nullable:
            message.ClearField(name)
            return
        inner = getattr(message, name)
        inner.Clear()
        try:
            fill(inner, value)
        except ValueError as error:
            raise _failure("field", field, error) from None
        inner.SetInParent()

    return put


def _message_list(field: FieldDescriptor, fill: Fill) -> Put:
    name = field.name
    nullable = f.message_name(field) in _NULLABLE

    def put(message: Any, values: list[str]) -> None:
        target = getattr(message, name)
        try:
            for value in values:
                if not (nullable and value == NULL):
                    fill(target.add(), value)
        except ValueError as error:
            raise _failure("list", field, error) from None

    return put


def _filler(descriptor: Descriptor) -> Fill:
    name = descriptor.full_name
    if name in f.WRAPPERS:
        parse = parser(descriptor.fields_by_name["value"])

        def fill_wrapper(message: Any, text: str) -> None:
            message.value = parse(text)

        return fill_wrapper
    if name in _JSON_TYPES:
        return _fill_from_json
    return FILLERS.get(name) or _refuse


def _fill_from_json(message: Message, text: str) -> None:
    message.CopyFrom(_PARSER.from_json(text, type(message)))


def _refuse(message: Any, _text: str) -> None:
    raise ValueError(f'unsupported message type: "{message.DESCRIPTOR.full_name}"')


def _only(field: FieldDescriptor, values: list[str]) -> str:
    if len(values) == 1:
        return values[0]
    given = ", ".join(value[:32] for value in values[:8])
    more = ", ..." if len(values) > 8 else ""
    raise CodecError(f'too many values for field "{field.name}": {given}{more}', field.name)


def _failure(what: str, field: FieldDescriptor, error: ValueError) -> CodecError:
    problem = codec_error(error).message if isinstance(error, JsonError) else str(error)
    return CodecError(f'parsing {what} "{field.name}": {problem}', field.name)
