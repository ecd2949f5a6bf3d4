"""JSON to messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from kratos_protojson._error import JsonError
from kratos_protojson._native import NativePlan, module
from kratos_protojson._parse_plan import ParsePlans
from kratos_protojson.descriptors import MAX_DEPTH
from kratos_protojson.options import ParseOptions
from kratos_protojson.printer import MOST_TYPES, M, field_of
from kratos_protojson.text import load_text

__all__ = ["Data", "M", "Parser"]

Data = bytes | bytearray | memoryview | str


class Parser:
    """Reads protobuf JSON into messages of any type.

    What it knows of a message type is compiled when it first meets one, so keep a parser
    rather than make one per message. Threads may share it.

    Args:
        options: How strictly JSON is read.

    Raises:
        ImportError: The options ask for the extension, which is not installed.
    """

    __slots__ = ("_extension", "_native", "_plans", "_readers", "options")

    def __init__(self, options: ParseOptions | None = None) -> None:
        self.options = options or ParseOptions()
        self._plans = ParsePlans(self.options)
        by_plans = self.options.allow_duplicates or self.options.max_depth > MAX_DEPTH
        self._extension = None if by_plans else module(self.options.backend)
        self._native: dict[Any, NativePlan] = {}
        self._readers: dict[type[Message], Callable[[Data], Any]] = {}

    def from_json(self, data: Data, message_type: type[M], /) -> M:
        """Return a new message.

        Raises:
            JsonError: The data is no JSON, does not fit the message type, or exceeds a limit.
        """
        read: Callable[[Data], M] = self._readers.get(message_type) or self.for_type(message_type)
        return read(data)

    def for_type(self, message_type: type[M], /) -> Callable[[Data], M]:
        """Return ``from_json`` for one type, compiled: the fastest way to read many of them."""
        read: Callable[[Data], Any] | None = self._readers.get(message_type)
        if read is None:
            descriptor = cast("Descriptor", message_type.DESCRIPTOR)
            pool = descriptor.file.pool
            if self._extension is None or self.options.pool not in (None, pool):
                read = self._by_plans(message_type)
            else:
                read = self._by_extension(pool, descriptor, message_type)
            if len(self._readers) >= MOST_TYPES:
                self._readers.clear()
                self._native.clear()
            self._readers[message_type] = read
        return read

    def _by_plans(self, message_type: type[M]) -> Callable[[Data], M]:
        return lambda data: self.from_dict(self._load(data), message_type)

    def _by_extension(
        self, pool: Any, descriptor: Descriptor, message_type: type[M]
    ) -> Callable[[Data], M]:
        plan = self._native.get(pool)
        if plan is None:
            options = {
                "ignore_unknown": self.options.ignore_unknown,
                "plain_objects": self.options.plain_objects,
                "max_depth": self.options.max_depth,
            }
            plan = NativePlan(self._extension, pool, _describe, options)
            self._native[pool] = plan
        index = plan.index(descriptor)
        fault, again, to_wire = plan.fault, plan.again, plan.codec.parse
        from_wire = message_type.FromString
        most = self.options.max_size

        def read(data: Data) -> M:
            if len(data) > most:
                raise self._too_large(len(data))
            text = data if isinstance(data, (bytes, str)) else bytes(data)
            try:
                return from_wire(to_wire(index, text, False))
            except fault as found:
                problem = found
            except UnicodeEncodeError as error:
                raise JsonError.of(error) from None
            return from_wire(again(problem, lambda last_word: to_wire(index, text, last_word)))

        return read

    def from_dict(self, value: Any, message_type: type[M], /) -> M:
        """Return a new message made of the dictionaries, lists and scalars of its JSON.

        Raises:
            JsonError: They do not fit the message type.
        """
        message = message_type()
        try:
            self._plans.message(message_type.DESCRIPTOR)(message, value, 1)
        except RecursionError:
            raise JsonError("the JSON is nested too deeply") from None
        except (ValueError, TypeError) as error:
            raise JsonError.of(error) from None
        return message

    def field_from_json(self, data: Data, message: Message, field: str, /) -> None:
        """Read one field, given by its name in the definition; ``null`` leaves it alone.

        Raises:
            JsonError: There is no such field, or the data does not fit it.
        """
        descriptor = field_of(message, field)
        value = self._load(data)
        if value is None:
            return
        try:
            self._plans.field(descriptor)(message, value, 1)
        except RecursionError:
            raise JsonError("the JSON is nested too deeply").within(field) from None
        except (ValueError, TypeError) as error:
            raise JsonError.of(error).within(field) from None

    def _load(self, data: Data) -> Any:
        if len(data) > self.options.max_size:
            raise self._too_large(len(data))
        text = data if isinstance(data, (bytes, str)) else bytes(data)
        return load_text(text, allow_duplicates=self.options.allow_duplicates)

    def _too_large(self, size: int) -> JsonError:
        return JsonError(f"{size} bytes of JSON exceed {self.options.max_size}: raise max_size")


def _describe(field: FieldDescriptor) -> tuple[str, None]:
    return field.json_name, None
