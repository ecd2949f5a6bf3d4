"""Messages as forms with files, at the client."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any, Final, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from kratos.encoding import Codec, content_type
from kratos.encoding.form import FORM, parse_query
from kratos.encoding.http_body import is_http_body, raw
from kratos_http._multipart import FORM_DATA

__all__ = ["form_closing", "form_opening", "form_type", "new_boundary", "write_form"]

_OCTETS: Final = "application/octet-stream"
_ESCAPES: Final = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})
_ANY: Final = "google.protobuf.Any"
_WELL_KNOWN: Final = "google.protobuf."


def new_boundary() -> str:
    """Return what is in no file, as nobody could have known it."""
    return f"kratos-{secrets.token_hex(16)}"


def form_type(boundary: str) -> str:
    """Return the content type of a form."""
    return f"{FORM_DATA}; boundary={boundary}"


def write_form(message: Message, codec: Codec, boundary: str, *, filename: str = "") -> bytes:
    """Return a message as a form.

    Bytes and ``google.api.HttpBody`` are files, other messages parts in the codec's format, and
    the rest texts by the rules of forms.

    Args:
        message: What to write.
        codec: For fields that are messages.
        boundary: What is between the parts.
        filename: Field that has the name of files, and is no part; empty for none.

    Raises:
        CodecError: A field cannot be expressed.
    """
    name = cast("str", getattr(message, filename)) if filename else ""
    texts: Any = type(message)()
    parts: list[bytes] = []
    for field, value in message.ListFields():
        if field.name == filename:
            continue
        if _is_text(field):
            _copy(texts, field, value)
            continue
        for one in value if field.is_repeated else (value,):
            parts += _file(field, one, codec, boundary, name)
    pairs = parse_query(FORM.encode(texts))
    heads = (piece for key, value in pairs for piece in _text(key, value, boundary))
    return b"".join((*heads, *parts, form_closing(boundary)[2:]))


def form_opening(boundary: str, name: str, filename: str, kind: str) -> bytes:
    """Return the head of a file.

    Args:
        boundary: What is between the parts.
        name: Of its field.
        filename: Of the file.
        kind: Its content type.
    """
    return (
        f"--{boundary}\r\nContent-Disposition: form-data; "
        f'name="{_quoted(name)}"; filename="{_quoted(filename)}"\r\n'
        f"Content-Type: {_one_line(kind)}\r\n\r\n"
    ).encode()


def form_closing(boundary: str) -> bytes:
    """Return what ends the last part and the form."""
    return f"\r\n--{boundary}--\r\n".encode()


def _text(name: str, value: str, boundary: str) -> Iterator[bytes]:
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n'
    yield head.encode()
    yield value.encode()
    yield b"\r\n"


def _file(
    field: FieldDescriptor, value: Any, codec: Codec, boundary: str, filename: str
) -> Iterator[bytes]:
    name = field.json_name
    if field.type == FieldDescriptor.TYPE_BYTES:
        yield form_opening(boundary, name, filename or name, _OCTETS)
        yield value
    elif is_http_body(field.message_type):
        kind, data = raw(value)
        yield form_opening(boundary, name, filename or name, kind)
        yield data
    else:
        yield (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n'
            f"Content-Type: {content_type(codec.name)}\r\n\r\n"
        ).encode()
        yield codec.encode(value)
    yield b"\r\n"


def _is_text(field: FieldDescriptor) -> bool:
    message = field.message_type
    if message is None:
        return field.type != FieldDescriptor.TYPE_BYTES
    if message.GetOptions().map_entry:
        return True
    return message.full_name.startswith(_WELL_KNOWN) and message.full_name != _ANY


def _copy(target: Any, field: FieldDescriptor, value: Any) -> None:
    held = getattr(target, field.name)
    if field.is_repeated:
        held.MergeFrom(value)
    elif field.message_type is not None:
        held.CopyFrom(value)
        held.SetInParent()
    else:
        setattr(target, field.name, value)


def _quoted(text: str) -> str:
    return text.translate(_ESCAPES)


def _one_line(kind: str) -> str:
    return "".join(kind.split("\n")).replace("\r", "")
