"""How requests become messages; a server, an operation or a group takes others in their place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from kratos import encoding
from kratos.encoding import Codecs
from kratos.encoding.form import bind, parse_query, setter
from kratos.encoding.http_body import from_raw, is_http_body
from kratos.errors import Error
from kratos.transport.http import Head
from kratos_http._binding import decode_field, field_of
from kratos_http._form_data import Form
from kratos_http._multipart import FormLimits, is_form_data

__all__ = [
    "BodyDecoder",
    "Decoders",
    "QueryDecoder",
    "VariablesDecoder",
    "decode_body",
    "decode_query",
    "decode_variables",
]


class BodyDecoder(Protocol):
    """Reads a body into a message (Go: ``RequestDecoder``)."""

    def __call__(self, head: Head, body: bytes, message: Message, field: str, /) -> None:
        """Fill the message.

        Args:
            head: The request.
            body: Its body, empty if it has none; on a WebSocket one message.
            message: Empty.
            field: Which field of it the body is, by the rule; empty for the whole message.

        Raises:
            Error: It cannot be read; ``CodecError`` will do, too.
        """
        ...


class QueryDecoder(Protocol):
    """Reads a query into a message (Go: ``RequestQueryDecoder``)."""

    def __call__(self, head: Head, message: Message, /) -> None:
        """Fill the message, which holds what was in the body; ``head.query`` is not empty.

        Raises:
            Error: It cannot be read; ``CodecError`` will do, too.
        """
        ...


class VariablesDecoder(Protocol):
    """Reads the variables of a path into a message (Go: ``RequestVarsDecoder``)."""

    def __call__(self, values: Mapping[str, str], message: Message, /) -> None:
        """Fill the message, which holds what was in body and query.

        Args:
            values: Decoded values by the variables' names, which are paths of fields.
            message: The message.

        Raises:
            Error: They cannot be read; ``CodecError`` will do, too.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoders:
    """How requests are read, each ``None`` for the usual way.

    Attributes:
        body: Reads bodies.
        query: Reads queries.
        variables: Reads the variables of paths.
    """

    body: BodyDecoder | None = None
    query: QueryDecoder | None = None
    variables: VariablesDecoder | None = None


def decode_body(
    head: Head,
    body: bytes,
    message: Message,
    field: str = "",
    /,
    *,
    codecs: Codecs = encoding.DEFAULT,
) -> None:
    """Read a body by its ``Content-Type``, as servers do; an empty one leaves the message alone.

    A form with files has at most 256 parts here.

    Raises:
        CodecError: It is malformed.
        Error: 400 ``CODEC``: there is no codec of its type; 413: it has too many parts.
    """
    if not body:
        return
    kind = head.header(b"content-type").decode("latin-1")
    whole = cast("Descriptor", message.DESCRIPTOR)
    target = field_of(whole, field) if field else None
    descriptor = whole if target is None else target.message_type
    if is_http_body(descriptor) and not (target is not None and target.is_repeated):
        part: Message = getattr(message, field) if field else message
        part.CopyFrom(from_raw(type(part), kind, body))
        return
    codec = codecs.find(kind)
    is_one = descriptor is not None and not (target is not None and target.is_repeated)
    if codec is None and is_one and is_form_data(kind):
        part = getattr(message, field) if field else message
        Form(cast("Descriptor", descriptor), codecs, FormLimits()).read(kind, body, part)
        part.SetInParent()
        return
    if codec is None:
        raise Error(400, "CODEC", f"unregister Content-Type: {kind}")  # Go's words
    if target is not None:
        decode_field(codec, body, message, target)
    else:
        message.CopyFrom(codec.decode(body, type(message)))


def decode_query(head: Head, message: Message, /) -> None:
    """Read a query, as servers do.

    Raises:
        CodecError: It is malformed, or does not fit the message.
    """
    bind(message, parse_query(head.query))


def decode_variables(values: Mapping[str, str], message: Message, /) -> None:
    """Read the variables of a path, as servers do, who compile this beforehand.

    Raises:
        CodecError: A value does not fit its field.
    """
    for name, value in values.items():
        setter(message.DESCRIPTOR, name)(message, value)
