"""Codec ``x-www-form-urlencoded``, and the binding of queries and paths that shares its rules.

Servers compile ``setter`` per path variable and call ``bind`` with the parsed query;
clients compile ``path_builder`` per method. The rules are Go Kratos' (``encoding/form``)
with these holes closed: ``null`` unsets timestamps and durations, bytes are read in both
base64 alphabets, unknown enum numbers and ``google.protobuf.Struct`` are written, keys of
maps may hold dots, and what cannot be expressed is an error, not a loss.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.message import Message

from kratos.encoding._codec import M
from kratos.encoding._form_read import bind, setter
from kratos.encoding._form_write import pairs
from kratos.encoding._query import format_query, parse_query
from kratos.encoding._url import (
    build_path,
    encode_query,
    field_mask_query,
    field_text,
    path_builder,
)

__all__ = [
    "FORM",
    "FormCodec",
    "bind",
    "build_path",
    "encode_query",
    "field_mask_query",
    "field_text",
    "parse_query",
    "path_builder",
    "setter",
]


class FormCodec:
    """Messages as forms."""

    __slots__ = ("_name",)

    def __init__(self, *, name: str = "x-www-form-urlencoded") -> None:
        self._name = name

    @property
    def name(self) -> str:
        """Name in content types."""
        return self._name

    def encode(self, message: Message, /) -> bytes:
        """Return the populated fields, sorted by key.

        Raises:
            CodecError: A form cannot express a field, such as a list of messages.
        """
        return format_query(pairs(message)).encode()

    def decode(self, data: bytes, message_type: type[M], /) -> M:
        """Return a new message; unknown keys are ignored.

        Raises:
            CodecError: The form is malformed, or a value does not parse.
        """
        message = message_type()
        bind(message, parse_query(data))
        return message


FORM: Final = FormCodec()
