"""Messages to JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from kratos_protojson._error import JsonError
from kratos_protojson._native import NativePlan, module
from kratos_protojson._print_plan import PrintPlans
from kratos_protojson.options import PrintOptions
from kratos_protojson.text import dump_text, encoder, refuse_bytes

__all__ = ["MOST_TYPES", "M", "Printer", "field_of"]

MOST_TYPES: Final = 4096  # a process that keeps making descriptor pools starts over then
M = TypeVar("M", bound=Message)


class Printer:
    """Writes messages of any type as protobuf JSON.

    What it knows of a message type is compiled when it first meets one, so keep a printer
    rather than make one per message. Threads may share it.

    Args:
        options: What the JSON looks like.

    Raises:
        ImportError: The options ask for the extension, which is not installed.
    """

    __slots__ = ("_dump", "_extension", "_native", "_plans", "_writers", "options")

    def __init__(self, options: PrintOptions | None = None) -> None:
        self.options = options or PrintOptions()
        self._plans = PrintPlans(self.options)
        self._dump = _dumper(self.options)
        self._extension = module(self.options.backend) if _is_plain(self.options) else None
        self._native: dict[Any, NativePlan] = {}
        self._writers: dict[type[Message], Callable[[Any], bytes]] = {}

    def to_json(self, message: Message, /) -> bytes:
        """Return a message as JSON in UTF-8.

        Raises:
            JsonError: JSON has no form for a value, such as a timestamp in year 10000, or an
                ``Any`` holds a type that the pool does not know.
        """
        kind = type(message)
        return (self._writers.get(kind) or self.for_type(kind))(message)

    def for_type(self, message_type: type[M], /) -> Callable[[M], bytes]:
        """Return ``to_json`` for one type, compiled: the fastest way to print many of them."""
        write: Callable[[Any], bytes] | None = self._writers.get(message_type)
        if write is None:
            descriptor = cast("Descriptor", message_type.DESCRIPTOR)
            pool = descriptor.file.pool
            if self._extension is None or self.options.pool not in (None, pool):
                write = self._by_plans
            else:
                write = self._by_extension(pool, descriptor, message_type)
            if len(self._writers) >= MOST_TYPES:
                self._writers.clear()
                self._native.clear()
            self._writers[message_type] = write
        return write

    def _by_plans(self, message: Message) -> bytes:
        value = self.to_dict(message)
        try:
            return self._dump(value)
        except TypeError:
            # Where protobuf does not check text, it hands out bytes for what is none.
            refuse_bytes(value)
            raise

    def _by_extension(
        self, pool: Any, descriptor: Descriptor, message_type: type[Message]
    ) -> Callable[[Message], bytes]:
        plan = self._native.get(pool)
        if plan is None:
            options = {
                "enum_numbers": self.options.enum_numbers,
                "int64_numbers": self.options.int64_numbers,
            }
            plan = NativePlan(self._extension, pool, self._plans.describe, options)
            self._native[pool] = plan
        index = plan.index(descriptor)
        fault, again, write_wire = plan.fault, plan.again, plan.codec.print
        serialize = message_type.SerializePartialToString
        plain_objects = self.options.plain_objects

        def write(message: Message) -> bytes:
            wire = serialize(message)
            try:
                return write_wire(index, wire, False)
            except fault as found:
                problem = found
            try:
                return again(problem, lambda last_word: write_wire(index, wire, last_word))
            except JsonError:
                if not plain_objects:
                    raise
            return self._by_plans(message)  # the extension knows no plain objects

        return write

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


def _is_plain(options: PrintOptions) -> bool:
    """Tell whether the JSON is of the style that the extension writes."""
    return options.indent is None and not options.sort_keys and not options.ensure_ascii


def _dumper(options: PrintOptions) -> Callable[[Any], bytes]:
    if _is_plain(options):
        return dump_text
    encode = encoder(
        indent=options.indent, sort_keys=options.sort_keys, ensure_ascii=options.ensure_ascii
    ).encode
    return lambda value: encode(value).encode()
