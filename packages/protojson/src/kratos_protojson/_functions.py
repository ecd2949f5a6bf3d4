"""The functions for everyday use, over printers and parsers that are kept by their options."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, TypedDict, Unpack

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

from kratos_protojson.options import Backend, ParseOptions, PrintOptions
from kratos_protojson.parser import Data, M, Parser
from kratos_protojson.printer import Printer

__all__ = ["from_dict", "from_json", "to_dict", "to_json"]


class _Print(TypedDict, total=False):
    emit_unset: bool
    emit_defaults: bool
    proto_names: bool
    enum_numbers: bool
    int64_numbers: bool
    indent: int | None
    sort_keys: bool
    ensure_ascii: bool
    pool: DescriptorPool | None
    backend: Backend


class _Parse(TypedDict, total=False):
    ignore_unknown: bool
    plain_objects: bool
    allow_duplicates: bool
    max_depth: int
    max_size: int
    pool: DescriptorPool | None
    backend: Backend


def to_json(message: Message, /, **options: Unpack[_Print]) -> bytes:
    """Return a message as JSON in UTF-8.

    Args:
        message: Any protobuf message.
        options: The attributes of ``PrintOptions``.

    Raises:
        JsonError: JSON has no form for a value, such as a timestamp in year 10000, or an
            ``Any`` holds a type that the pool does not know.
    """
    return (_printer(PrintOptions(**options)) if options else _PRINTER).to_json(message)


def to_dict(message: Message, /, **options: Unpack[_Print]) -> Any:
    """Return a message as the dictionaries, lists and scalars of its JSON.

    Args:
        message: Any protobuf message.
        options: The attributes of ``PrintOptions``.

    Raises:
        JsonError: As for ``to_json``.
    """
    return (_printer(PrintOptions(**options)) if options else _PRINTER).to_dict(message)


def from_json(data: Data, message_type: type[M], /, **options: Unpack[_Parse]) -> M:
    """Return a new message read from JSON.

    Args:
        data: The JSON; bytes are UTF-8.
        message_type: Its class.
        options: The attributes of ``ParseOptions``.

    Raises:
        JsonError: The data is no JSON, does not fit the message type, or exceeds a limit.
    """
    parser = _parser(ParseOptions(**options)) if options else _PARSER
    return parser.from_json(data, message_type)


def from_dict(value: Any, message_type: type[M], /, **options: Unpack[_Parse]) -> M:
    """Return a new message made of the dictionaries, lists and scalars of its JSON.

    Args:
        value: What ``json.loads`` would return.
        message_type: Its class.
        options: The attributes of ``ParseOptions``.

    Raises:
        JsonError: They do not fit the message type.
    """
    parser = _parser(ParseOptions(**options)) if options else _PARSER
    return parser.from_dict(value, message_type)


_PRINTER: Final = Printer()
_PARSER: Final = Parser()
_printer = lru_cache(maxsize=64)(Printer)
_parser = lru_cache(maxsize=64)(Parser)
