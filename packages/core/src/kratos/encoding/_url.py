"""URLs that clients send: path variables and query out of the request message."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, cast
from urllib.parse import quote

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from kratos.encoding._form_write import field_mask_pair, pairs, text_of
from kratos.encoding._query import format_query
from kratos.errors import ConfigError
from kratos.transport.rule import PathTemplate
from kratos_protojson import descriptors as f

__all__ = ["build_path", "encode_query", "field_mask_query", "field_text", "path_builder"]


def encode_query(message: Message, *, omit: Collection[str] = ()) -> str:
    """Return the populated fields as query text, sorted by key.

    Args:
        message: What to encode.
        omit: Dotted paths of proto field names to leave out, with all that is below them.

    Raises:
        CodecError: A field cannot be expressed in a query.
        ConfigError: A path in ``omit`` names no field.
    """
    return _query(message, omit, tuple(_json_path(message.DESCRIPTOR, path) for path in omit))


def field_text(message: Message, path: str) -> str:
    """Return one field as the text that a path variable carries.

    A repeated field gives its first element; what is not set gives an empty text, except a
    scalar without presence, which gives its zero.

    Raises:
        ConfigError: The message has no such field, or the field has no text.
        CodecError: The value has no text.
    """
    return _getter(message.DESCRIPTOR, path)(message)


def field_mask_query(message: Message) -> str:
    """Return ``updateMask=a,b`` for the first field mask that is set, else an empty text."""
    found = field_mask_pair(message)
    return f"{found[0]}={quote(found[1], safe=',.')}" if found else ""


def build_path(template: PathTemplate, message: Message, *, body: str = "") -> str:
    """Return path and query of a request; see ``path_builder``, which is faster per call."""
    return path_builder(template, message.DESCRIPTOR, body=body)(message)


def path_builder(
    template: PathTemplate, descriptor: f.AnyDescriptor, *, body: str = ""
) -> Callable[[Message], str]:
    """Compile how a client builds the URL of one method; call it once per method.

    Path variables are filled in and escaped. Fields that are neither there nor in the body
    become the query. With the whole message in the body there is no query, but for a field
    mask, which Go Kratos repeats there.

    Args:
        template: The path of the HTTP rule.
        descriptor: Type of the request messages.
        body: Field that the body holds; ``*`` for the whole message, empty for no body.

    Returns:
        A function of the message. It raises ``PathValueError`` for a variable that cannot
        stand in the path, such as an empty one, and ``CodecError`` for a field that cannot
        stand in the query, where Go drops it.

    Raises:
        ConfigError: A variable or ``body`` names no field.
    """
    getters = {path: _getter(descriptor, path) for path in template.variables}
    omitted = list(template.variables) + ([body] if body not in ("", "*") else [])
    omit = tuple(_json_path(descriptor, path) for path in omitted)

    def build(message: Message) -> str:
        path = template.expand(lambda variable: getters[variable](message))
        query = field_mask_query(message) if body == "*" else _query(message, omitted, omit)
        return f"{path}?{query}" if query else path

    return build


def _query(message: Message, omitted: Collection[str], omit: tuple[str, ...]) -> str:
    """Return the query without some fields, given by their proto paths and their keys."""
    found = pairs(message, omit=omitted)
    if omit:
        found = [pair for pair in found if not _covered(pair[0], omit)]
    return format_query(found)


def _covered(key: str, omit: tuple[str, ...]) -> bool:
    return any(key == path or key.startswith((f"{path}.", f"{path}[")) for path in omit)


def _fields(descriptor: f.AnyDescriptor, path: str) -> list[FieldDescriptor]:
    found: list[FieldDescriptor] = []
    kind = cast("Descriptor | None", descriptor)
    for name in path.split("."):
        field = kind.fields_by_name.get(name) if kind is not None else None
        if field is None or (found and found[-1].is_repeated):
            raise ConfigError(f"{descriptor.full_name} has no field {path!r}: mend the HTTP rule")
        found.append(field)
        kind = field.message_type
    return found


def _json_path(descriptor: f.AnyDescriptor, path: str) -> str:
    return ".".join(field.json_name for field in _fields(descriptor, path))


def _getter(descriptor: f.AnyDescriptor, path: str) -> Callable[[Message], str]:
    *parents, field = _fields(descriptor, path)
    names = tuple(parent.name for parent in parents)
    name = field.name
    try:
        if f.is_map(field):
            raise ValueError("a map has no text")
        text = text_of(field)
    except ValueError as error:
        raise ConfigError(
            f"{descriptor.full_name}: {path!r} cannot be in a path: {error}"
        ) from None

    def get(message: Any) -> str:
        for parent in names:
            if not message.HasField(parent):
                return ""
            message = getattr(message, parent)
        if field.is_repeated:
            return next(map(text, getattr(message, name)), "")
        if field.has_presence and not message.HasField(name):
            return ""
        return text(getattr(message, name))

    return get
