"""Which methods move raw bytes piece by piece, and the messages that the pieces become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from kratos.encoding.form import bind, parse_query, setter
from kratos.encoding.http_body import DEFAULT_CONTENT_TYPE, is_http_body
from kratos.transport import HttpRule, Method
from kratos.transport.http import Head
from kratos_http._binding import field_of
from kratos_http._form_data import FormValues

__all__ = ["Part", "Template", "download_part", "upload_part"]

_WHOLE = "*"


class Part:
    """Where a message holds raw bytes: itself, an ``HttpBody`` field, or a field of bytes.

    Args:
        name: Name of the field; ``*`` for the message itself.
        is_body: Whether it is an ``HttpBody``, which has a content type.
    """

    __slots__ = ("is_body", "name")

    def __init__(self, name: str, *, is_body: bool) -> None:
        self.name = name
        self.is_body = is_body

    def get(self, message: Any) -> tuple[str, bytes]:
        """Return the content type and the bytes in a message."""
        part = message if self.name == _WHOLE else getattr(message, self.name)
        if not self.is_body:
            return DEFAULT_CONTENT_TYPE, part
        return part.content_type or DEFAULT_CONTENT_TYPE, part.data

    def put(self, message: Any, content_type: str, data: bytes) -> None:
        """Put bytes into a message."""
        if not self.is_body:
            setattr(message, self.name, data)
            return
        part = message if self.name == _WHOLE else getattr(message, self.name)
        part.content_type, part.data = content_type, data


def upload_part(method: Method[Any, Any], rule: HttpRule) -> Part | None:
    """Return where requests hold the pieces of an upload; ``None`` if a rule takes none.

    It takes one if requests are a stream, its verb has a body, and the body is an ``HttpBody``
    or bytes. With a stream of replies, these must be the pieces of a download.

    Raises:
        ConfigError: The rule names a field that its message has not.
    """
    if not method.arity.client_streams or not rule.body or rule.verb == "GET":
        return None
    if method.arity.server_streams and download_part(method, rule) is None:
        return None
    return _part(cast("Descriptor", method.request.DESCRIPTOR), rule.body, scalar=True)


def download_part(method: Method[Any, Any], rule: HttpRule) -> Part | None:
    """Return where replies hold the pieces of a download; ``None`` if a rule gives none.

    Raises:
        ConfigError: The rule names a field that its message has not.
    """
    if not method.arity.server_streams:
        return None
    name = rule.response_body or _WHOLE
    return _part(cast("Descriptor", method.reply.DESCRIPTOR), name, scalar=False)


def _part(descriptor: Descriptor, name: str, *, scalar: bool) -> Part | None:
    if name == _WHOLE:
        return Part(name, is_body=True) if is_http_body(descriptor) else None
    field = field_of(descriptor, name)
    if field.is_repeated:
        return None
    if is_http_body(field.message_type):
        return Part(name, is_body=True)
    is_bytes = scalar and field.type == FieldDescriptor.TYPE_BYTES
    return Part(name, is_body=False) if is_bytes else None


_Put: TypeAlias = Callable[[Message, str], None]


class Template:
    """Makes the requests of one upload: what its URL says is in every one of them.

    Args:
        method: What is called.
        rule: How it is reached.
        variables: Names of the path variables, in the order of ``Head.params``.
        part: Where the bytes go.

    Raises:
        ConfigError: The rule names a field that its message has not.
    """

    __slots__ = ("_has_query", "_setters", "_type", "part")

    def __init__(
        self, method: Method[Any, Any], rule: HttpRule, variables: tuple[str, ...], part: Part
    ) -> None:
        self.part = part
        self._type: type[Message] = method.request
        self._has_query = rule.body != _WHOLE
        self._setters: tuple[_Put, ...] = tuple(
            setter(method.request.DESCRIPTOR, name) for name in variables
        )

    def message(self, head: Head, form: FormValues | None = None) -> Message:
        """Return a request without its bytes; the URL goes over the form.

        Raises:
            CodecError: The form, the query or the path does not parse; names the field.
        """
        message = self._type()
        if form is not None:
            form.fill(message)
        if head.query and self._has_query:
            bind(message, parse_query(head.query))
        for put, value in zip(self._setters, head.params, strict=True):
            put(message, value)
        return message

    def filled(self, base: Message, content_type: str, data: bytes) -> Message:
        """Return a request with bytes, beside what is in ``base``."""
        message = self._type()
        message.CopyFrom(base)
        self.part.put(message, content_type, data)
        return message
