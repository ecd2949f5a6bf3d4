"""From requests to messages: what each HTTP rule binds, compiled when it is mounted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from kratos.encoding import Codec, CodecError, Codecs, FieldCodec
from kratos.encoding.form import bind, parse_query, setter
from kratos.encoding.http_body import from_raw, is_http_body
from kratos.errors import ConfigError, Error
from kratos.transport import HttpRule, Method
from kratos.transport.http import Head
from kratos_http._form_data import Form
from kratos_http._multipart import FormLimits, is_form_data

__all__ = ["Binding", "decode_field", "encode_field", "field_of", "frame_field"]

_Read: TypeAlias = Callable[[str, bytes], Message]


class Binding:
    """Makes the request message of one rule: body, then query, then path variables.

    Later ones win, as in Go.

    Args:
        method: What the rule leads to.
        rule: The rule.
        variables: Names of the path variables, in the order of ``Head.params``.
        codecs: For bodies.
        forms: What bodies with parts may hold; ``None`` if there are none.
        streamed: Whether each message of a stream is a body. It then holds the field that the
            rule names if that is a single message, else the whole message, and the query is
            bound onto every one.

    Raises:
        ConfigError: The rule names a field that the request has not, or that cannot be there.
    """

    __slots__ = ("_codecs", "_form", "_has_query", "_read", "_setters", "_type")

    def __init__(
        self,
        method: Method[Any, Any],
        rule: HttpRule,
        variables: tuple[str, ...],
        codecs: Codecs,
        forms: FormLimits | None = None,
        *,
        streamed: bool = False,
    ) -> None:
        self._type: type[Message] = method.request
        self._codecs = codecs
        descriptor = method.request.DESCRIPTOR
        self._setters = tuple(setter(descriptor, name) for name in variables)
        body = frame_field(method, rule) or "*" if streamed else rule.body
        self._has_query = streamed or body != "*"
        self._form = None if forms is None else _form(method, body, codecs, forms)
        self._read: _Read | None = None
        if body == "*":
            self._read = self._read_raw if is_http_body(descriptor) else self._read_whole
        elif body:
            field = field_of(descriptor, body)
            raw_field = is_http_body(field.message_type) and not field.is_repeated
            self._read = (self._raw_reader if raw_field else self._field_reader)(field)

    def request(self, head: Head, content_type: str, body: bytes) -> Message:
        """Return the request message.

        Raises:
            CodecError: Something does not parse; names the field.
            Error: No codec for the content type.
        """
        read = self._read
        message = self._type() if read is None else read(content_type, body)
        if head.query and self._has_query:
            bind(message, parse_query(head.query))
        if self._setters:
            for put, value in zip(self._setters, head.params):  # noqa: B905 - routes see to it
                put(message, value)
        return message

    def _read_whole(self, content_type: str, body: bytes) -> Message:
        if not body:
            return self._type()
        codec = self._codecs.find(content_type)
        if codec is not None:
            return codec.decode(body, self._type)
        message = self._type()
        self._form_for(content_type).read(content_type, body, message)
        return message

    def _read_raw(self, content_type: str, body: bytes) -> Message:
        return from_raw(self._type, content_type, body)

    def _raw_reader(self, field: FieldDescriptor) -> _Read:
        name = field.name

        def read(content_type: str, body: bytes) -> Message:
            message: Any = self._type()
            target: Any = getattr(message, name)
            target.content_type, target.data = content_type, body
            return cast("Message", message)

        return read

    def _field_reader(self, field: FieldDescriptor) -> _Read:
        name = field.name

        def read(content_type: str, body: bytes) -> Message:
            message: Any = self._type()
            if not body:
                return cast("Message", message)
            codec = self._codecs.find(content_type)
            if codec is not None:
                decode_field(codec, body, message, field)
            else:
                form = self._form_for(content_type)
                form.read(content_type, body, getattr(message, name))
                getattr(message, name).SetInParent()
            return cast("Message", message)

        return read

    def _form_for(self, content_type: str) -> Form:
        """Return how a body is read that no codec reads: as a form with parts, or not at all."""
        if self._form is None or not is_form_data(content_type):
            # Go's words, also where they could be better: clients and dashboards know them.
            raise Error(400, "CODEC", f"unregister Content-Type: {content_type}")
        return self._form


def _form(method: Method[Any, Any], body: str, codecs: Codecs, limits: FormLimits) -> Form | None:
    """Return how a body with parts is read; ``None`` if a rule's body cannot have any."""
    descriptor: Descriptor | None = method.request.DESCRIPTOR
    if body != "*":
        field = field_of(method.request.DESCRIPTOR, body) if body else None
        descriptor = None if field is None or field.is_repeated else field.message_type
    if descriptor is None or is_http_body(descriptor):
        return None
    options = method.http_options.multipart if method.http_options is not None else None
    return Form(descriptor, codecs, limits, filename=options.filename if options else "")


def frame_field(method: Method[Any, Any], rule: HttpRule) -> str:
    """Return the field that each message of a stream is; empty for the whole request, as in Go.

    Raises:
        ConfigError: The rule names a field that the request has not.
    """
    if rule.body in ("", "*"):
        return ""
    field = field_of(method.request.DESCRIPTOR, rule.body)
    return rule.body if _is_single_message(field) else ""


def field_of(descriptor: Descriptor, name: str) -> FieldDescriptor:
    """Return a field by the name that an HTTP rule gives.

    Raises:
        ConfigError: The message has no such field.
    """
    field = descriptor.fields_by_name.get(name)
    if field is None:
        raise ConfigError(f"{descriptor.full_name} has no field {name!r}: mend the HTTP rule")
    return field


def encode_field(codec: Codec, message: Message, field: FieldDescriptor) -> bytes:
    """Return the bytes of one field.

    Raises:
        CodecError: The codec cannot express it.
    """
    if isinstance(codec, FieldCodec):
        return codec.encode_field(message, field.name)
    if not _is_single_message(field):
        raise CodecError(f"codec {codec.name!r} cannot carry {field.name!r} by itself", field.name)
    return codec.encode(getattr(message, field.name))


def decode_field(codec: Codec, body: bytes, message: Message, field: FieldDescriptor) -> None:
    """Read one field into a message.

    Raises:
        CodecError: The body is malformed, or the codec cannot carry the field by itself.
    """
    if isinstance(codec, FieldCodec):
        codec.decode_field(body, message, field.name)
        return
    if not _is_single_message(field):
        raise CodecError(f"codec {codec.name!r} cannot carry {field.name!r} by itself", field.name)
    part: Message = getattr(message, field.name)
    part.CopyFrom(codec.decode(body, type(part)))


def _is_single_message(field: FieldDescriptor) -> bool:
    return field.message_type is not None and not field.is_repeated
