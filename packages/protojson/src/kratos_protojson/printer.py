"""Messages to JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from kratos_protojson._error import JsonError
from kratos_protojson._print_plan import PrintPlans
from kratos_protojson.options import PrintOptions
from kratos_protojson.text import dump_text, encoder

__all__ = ["Printer"]


class Printer:
    """Writes messages of any type as protobuf JSON.

    What it knows of a message type is compiled when it first meets one, so keep a printer
    rather than make one per message. Threads may share it.

    Args:
        options: What the JSON looks like.
    """

    __slots__ = ("_dump", "_plans", "options")

    def __init__(self, options: PrintOptions | None = None) -> None:
        self.options = options or PrintOptions()
        self._plans = PrintPlans(self.options)
        self._dump = _dumper(self.options)

    def to_json(self, message: Message, /) -> bytes:
        """Return a message as JSON in UTF-8.

        Raises:
            JsonError: JSON has no form for a value, such as a timestamp in year 10000, or an
                ``Any`` holds a type that the pool does not know.
        """
        return self._dump(self.to_dict(message))

    def to_dict(self, message: Message, /) -> Any:
        """Return a message as the dictionaries, lists and scalars of its JSON.

        Raises:
            JsonError: As for ``to_json``.
        """
        try:
            return self._plans.message(type(message).DESCRIPTOR)(message)
        except RecursionError:
            raise JsonError("the message is nested too deeply") from None

    def field_to_json(self, message: Message, field: str, /) -> bytes:
        """Return one field as JSON, given by its name in the definition.

        A message that is not set is ``null``; other fields that are not set have their zero.

        Raises:
            JsonError: There is no such field, or JSON has no form for its value.
        """
        descriptor = field_of(message, field)
        single = descriptor.message_type is not None and not descriptor.is_repeated
        if single and not message.HasField(field):
            return b"null"
        value = getattr(message, field)
        try:
            if single:
                return self.to_json(value)
            return self._dump(self._plans.field(descriptor)(value))
        except RecursionError:
            raise JsonError("the message is nested too deeply").within(field) from None
        except ValueError as error:
            raise JsonError.of(error).within(field) from None


def field_of(message: Message, name: str) -> FieldDescriptor:
    """Return a field by its name in the definition."""
    field = message.DESCRIPTOR.fields_by_name.get(name)
    if field is None:
        raise JsonError(f"{message.DESCRIPTOR.full_name} has no field {name!r}")
    return cast("FieldDescriptor", field)


def _dumper(options: PrintOptions) -> Callable[[Any], bytes]:
    if options.indent is None and not options.sort_keys and not options.ensure_ascii:
        return dump_text
    encode = encoder(
        indent=options.indent, sort_keys=options.sort_keys, ensure_ascii=options.ensure_ascii
    ).encode
    return lambda value: encode(value).encode()
