"""JSON to messages."""

from __future__ import annotations

from typing import Any, TypeVar

from google.protobuf.message import Message

from kratos_protojson._error import JsonError
from kratos_protojson._parse_plan import ParsePlans
from kratos_protojson.options import ParseOptions
from kratos_protojson.printer import field_of
from kratos_protojson.text import load_text

__all__ = ["Data", "M", "Parser"]

M = TypeVar("M", bound=Message)
Data = bytes | bytearray | memoryview | str


class Parser:
    """Reads protobuf JSON into messages of any type.

    What it knows of a message type is compiled when it first meets one, so keep a parser
    rather than make one per message. Threads may share it.

    Args:
        options: How strictly JSON is read.
    """

    __slots__ = ("_plans", "options")

    def __init__(self, options: ParseOptions | None = None) -> None:
        self.options = options or ParseOptions()
        self._plans = ParsePlans(self.options)

    def from_json(self, data: Data, message_type: type[M], /) -> M:
        """Return a new message.

        Raises:
            JsonError: The data is no JSON, does not fit the message type, or exceeds a limit.
        """
        return self.from_dict(self._load(data), message_type)

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
        self._check_size(len(data))
        if not isinstance(data, (bytes, str)):
            data = bytes(data)
        return load_text(data, allow_duplicates=self.options.allow_duplicates)

    def _check_size(self, size: int) -> None:
        if size > self.options.max_size:
            raise JsonError(f"{size} bytes of JSON exceed {self.options.max_size}: raise max_size")
