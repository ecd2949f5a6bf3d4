"""The two formats of messages that Connect knows: protobuf, and its JSON.

The JSON is protobuf's own: fields that are not set are left out, other than in REST, and those
that a message does not have are passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import DecodeError, Message

from kratos.errors import Error
from kratos.transport import Method
from kratos.transport.http import WireHeaders
from kratos_protojson import JsonError, ParseOptions, Parser, Printer, PrintOptions

__all__ = ["JSON", "PROTO", "Format", "client_format", "formats_of"]

PROTO: Final = b"proto"
JSON: Final = b"json"

# What is malformed, and with which code that is told.
_OF_CLIENT: Final = ("request", 400)
_OF_SERVER: Final = ("reply", 500)

_PARSER: Final = Parser(ParseOptions())
_PRINTER: Final = Printer(PrintOptions(emit_unset=False))


@dataclass(frozen=True, slots=True)
class Format:
    """How the messages of one method are written and read at one end.

    Attributes:
        name: The subtype of content types.
        content_type: The header of unary calls.
        stream_type: That of calls that stream.
        web_type: That of gRPC-Web.
        read: Makes a message of bytes; raises ``Error`` for what is none.
        write: Makes bytes of a message; raises ``TypeError`` for one of another type.
    """

    name: bytes
    content_type: WireHeaders
    stream_type: WireHeaders
    web_type: WireHeaders
    read: Callable[[bytes], Message]
    write: Callable[[object], bytes]


def formats_of(method: Method[Any, Any]) -> dict[bytes, Format]:
    """Return the formats in which a server reads requests and writes replies, by name."""
    return {
        PROTO: _format(
            PROTO,
            _proto_reader(method.request, *_OF_CLIENT),
            _proto_writer(method, method.reply),
        ),
        JSON: _format(
            JSON, _json_reader(method.request, *_OF_CLIENT), _json_writer(method, method.reply)
        ),
    }


def client_format(method: Method[Any, Any], name: bytes) -> Format:
    """Return the format of a name, in which a client writes requests and reads replies."""
    read = _proto_reader if name == PROTO else _json_reader
    write = _proto_writer if name == PROTO else _json_writer
    return _format(name, read(method.reply, *_OF_SERVER), write(method, method.request))


def _format(
    name: bytes, read: Callable[[bytes], Message], write: Callable[[object], bytes]
) -> Format:
    kinds = (b"application/", b"application/connect+", b"application/grpc-web+")
    unary, stream, web = (((b"content-type", kind + name),) for kind in kinds)
    return Format(name, unary, stream, web, read, write)


def _proto_reader(kind: type[Message], what: str, code: int) -> Callable[[bytes], Message]:
    parse: Callable[[bytes], Message] = kind.FromString
    name = kind.DESCRIPTOR.full_name

    def read(data: bytes) -> Message:
        try:
            return parse(data)
        except DecodeError as error:
            text = f"the {what} is no {name}: {len(data)} bytes, {error}"
            raise Error(code, "CODEC", text) from error

    return read


def _proto_writer(method: Method[Any, Any], kind: type[Message]) -> Callable[[object], bytes]:
    def write(message: object) -> bytes:
        if not isinstance(message, kind):
            raise _unfit(method, kind, message)
        return message.SerializePartialToString()

    return write


def _json_reader(kind: type[Message], what: str, code: int) -> Callable[[bytes], Message]:
    name = kind.DESCRIPTOR.full_name

    def read(data: bytes) -> Message:
        try:
            return _PARSER.from_json(data, kind)
        except JsonError as error:
            metadata = {"field": error.field} if error.field else None
            text = f"the {what} is no {name} in JSON: {error}"
            raise Error(code, "CODEC", text, metadata) from error

    return read


def _json_writer(method: Method[Any, Any], kind: type[Message]) -> Callable[[object], bytes]:
    def write(message: object) -> bytes:
        if not isinstance(message, kind):
            raise _unfit(method, kind, message)
        return _PRINTER.to_json(message)

    return write


def _unfit(method: Method[Any, Any], kind: type[Message], message: object) -> TypeError:
    return TypeError(f"{method.operation}: a {kind.__name__} is due, not {type(message).__name__}")
