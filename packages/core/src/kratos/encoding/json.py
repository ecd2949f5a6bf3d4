"""Codecs ``json`` and ``protojson``: protobuf JSON out, both Kratos dialects in.

What they do is done by ``kratos-protojson``; here is what makes codecs of it.
"""

from __future__ import annotations

import re
from typing import Any, Final

from google.protobuf.message import Message

from kratos.encoding._codec import CodecError, FieldCodec, M
from kratos.encoding._json_options import JsonOptions
from kratos_protojson import JsonError, Parser, Printer

__all__ = ["JSON", "PROTOJSON", "JsonCodec", "JsonOptions", "codec_error"]

_POSITIONS: Final = re.compile(r"\[[^\]]*\]")


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

    __slots__ = ("_name", "_parser", "_printer", "options")

    def __init__(self, *, name: str = "json", options: JsonOptions | None = None) -> None:
        self._name = name
        self.options = options or JsonOptions()
        self._printer = Printer(self.options.printing())
        self._parser = Parser(self.options.parsing())

    @property
    def name(self) -> str:
        """Name in content types."""
        return self._name

    def encode(self, message: Message, /) -> bytes:
        """Return a message as JSON.

        Raises:
            CodecError: JSON has no form for a value, such as a timestamp in year 10000; its
                ``field`` leaves positions in lists out.
        """
        try:
            return self._printer.to_json(message)
        except JsonError as error:
            raise _unwritable(error) from None

    def decode(self, data: bytes, message_type: type[M], /) -> M:
        """Return a new message; empty data makes an empty one.

        Raises:
            CodecError: The data is no JSON, or does not fit the message type.
        """
        if not data:
            return message_type()
        try:
            return self._parser.from_json(data, message_type)
        except JsonError as error:
            raise codec_error(error) from None

    def to_value(self, message: Message, /) -> Any:
        """Return a message as the dictionaries, lists and scalars of its JSON.

        Raises:
            CodecError: JSON has no form for a value.
        """
        try:
            return self._printer.to_dict(message)
        except JsonError as error:
            raise _unwritable(error) from None

    def from_value(self, value: Any, message_type: type[M], /) -> M:
        """Return a new message made of dictionaries, lists and scalars.

        Raises:
            CodecError: They do not fit the message type.
        """
        try:
            return self._parser.from_dict(value, message_type)
        except JsonError as error:
            raise codec_error(error) from None

    def encode_field(self, message: Message, field: str, /) -> bytes:
        """Return one field as JSON; an unset message is ``null``.

        Raises:
            CodecError: There is no such field, or JSON has no form for its value.
        """
        try:
            return self._printer.field_to_json(message, field)
        except JsonError as error:
            raise _unwritable(error) from None

    def decode_field(self, data: bytes, message: Message, field: str, /) -> None:
        """Read one field; empty data and ``null`` leave it alone.

        Raises:
            CodecError: There is no such field, or the data does not fit it.
        """
        try:
            self._parser.field_from_json(data or b"null", message, field)
        except JsonError as error:
            raise codec_error(error) from None


JSON: Final = JsonCodec()
PROTOJSON: Final = JsonCodec(name="protojson")


def codec_error(error: JsonError) -> CodecError:
    """Return an error of kratos-protojson as one of codecs."""
    field = error.field
    return CodecError(f"{field}: {error.problem}" if field else error.problem, field)


def _unwritable(error: JsonError) -> CodecError:
    found = codec_error(error)
    found.field = _POSITIONS.sub("", found.field)
    return found
