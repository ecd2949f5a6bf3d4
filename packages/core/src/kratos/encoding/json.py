"""Codecs ``json`` and ``protojson``: protobuf JSON out, both Kratos dialects in."""

from __future__ import annotations

from typing import Any, Final, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from kratos.encoding._codec import CodecError, FieldCodec, M
from kratos.encoding._fault import Fault
from kratos.encoding._json_options import JsonOptions
from kratos.encoding._json_read import JsonReader
from kratos.encoding._json_text import dump_text, load_text
from kratos.encoding._json_write import JsonWriter

__all__ = ["JSON", "PROTOJSON", "JsonCodec", "JsonOptions"]


class JsonCodec(FieldCodec):
    """JSON of messages.

    Writes protobuf JSON: compact UTF-8, fields in the order of their definition, 64-bit
    integers and bytes as text, enums by name. Reads that and the plain JSON of Go Kratos
    v3. Members given twice, trailing data, ``NaN`` literals, and values of a wrong type
    are refused with the path of the field.

    Args:
        name: Subtype of its content type.
        options: How messages are written, and how strictly they are read.
    """

    __slots__ = ("_name", "_reader", "_writer", "options")

    def __init__(self, *, name: str = "json", options: JsonOptions | None = None) -> None:
        self._name = name
        self.options = options or JsonOptions()
        self._reader = JsonReader(discard_unknown=self.options.discard_unknown)
        self._writer = JsonWriter(self.options)

    @property
    def name(self) -> str:
        """Name in content types."""
        return self._name

    def encode(self, message: Message, /) -> bytes:
        """Return a message as JSON.

        Raises:
            CodecError: JSON has no form for a value, such as a timestamp in year 10000.
        """
        return dump_text(self.to_value(message))

    def decode(self, data: bytes, message_type: type[M], /) -> M:
        """Return a new message; empty data makes an empty one.

        Raises:
            CodecError: The data is no JSON, or does not fit the message type.
        """
        return self.from_value(load_text(data), message_type) if data else message_type()

    def to_value(self, message: Message, /) -> Any:
        """Return a message as the dictionaries, lists and scalars of its JSON.

        Raises:
            CodecError: JSON has no form for a value.
        """
        try:
            return self._writer.message(message.DESCRIPTOR)(message)
        except Fault as fault:
            raise fault.error() from None
        except RecursionError:
            raise CodecError("the message is nested too deeply") from None

    def from_value(self, value: Any, message_type: type[M], /) -> M:
        """Return a new message made of dictionaries, lists and scalars.

        Raises:
            CodecError: They do not fit the message type.
        """
        message = message_type()
        try:
            self._reader.message(message_type.DESCRIPTOR)(message, value, 1)
        except (ValueError, TypeError) as error:
            raise Fault.of(error).error() from None
        return message

    def encode_field(self, message: Message, field: str, /) -> bytes:
        """Return one field as JSON; an unset message is ``null``.

        Raises:
            CodecError: There is no such field, or JSON has no form for its value.
        """
        descriptor = _field(message, field)
        if descriptor.message_type and not descriptor.is_repeated and not message.HasField(field):
            return b"null"
        try:
            value = self._writer.field(descriptor)(getattr(message, field))
        except ValueError as error:
            raise Fault.of(error).within(field).error() from None
        except RecursionError:
            raise CodecError("the message is nested too deeply") from None
        return dump_text(value)

    def decode_field(self, data: bytes, message: Message, field: str, /) -> None:
        """Read one field; empty data and ``null`` leave it alone.

        Raises:
            CodecError: There is no such field, or the data does not fit it.
        """
        descriptor = _field(message, field)
        value = load_text(data) if data else None
        if value is None:
            return
        try:
            self._reader.field(descriptor)(message, value, 1)
        except (ValueError, TypeError) as error:
            raise Fault.of(error).within(field).error() from None


JSON: Final = JsonCodec()
PROTOJSON: Final = JsonCodec(name="protojson")


def _field(message: Message, name: str) -> FieldDescriptor:
    field = message.DESCRIPTOR.fields_by_name.get(name)
    if field is None:
        raise CodecError(f"{message.DESCRIPTOR.full_name} has no field {name!r}")
    return cast("FieldDescriptor", field)
