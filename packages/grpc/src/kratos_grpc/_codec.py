"""Messages as bytes and back, with errors in place of surprises."""

from __future__ import annotations

from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from kratos.errors import Error
from kratos.transport import Method

__all__ = ["decode_reply", "decode_request", "encode"]

M = TypeVar("M", bound=Message)


def encode(method: Method[Any, Any], expected: type[Message], message: object) -> bytes:
    """Return the bytes of a message.

    Raises:
        TypeError: It is none of the expected type; names the method.
    """
    if not isinstance(message, expected):
        raise TypeError(
            f"{method.operation}: a {expected.__name__} is due, not {type(message).__name__}"
        )
    return message.SerializePartialToString()


def decode_request(method: Method[Any, Any], data: bytes) -> Message:
    """Return the request that a peer sent.

    Raises:
        Error: 400 CODEC: the bytes are malformed.
    """
    request: Message = method.request()
    try:
        request.MergeFromString(data)
    except DecodeError as error:
        raise _malformed(400, "request", method.request, data, error) from error
    return request


def decode_reply(method: Method[Any, Any], data: bytes) -> Message:
    """Return the reply that a peer sent.

    Raises:
        Error: 500 CODEC: the bytes are malformed.
    """
    reply: Message = method.reply()
    try:
        reply.MergeFromString(data)
    except DecodeError as error:
        raise _malformed(500, "reply", method.reply, data, error) from error
    return reply


def _malformed(
    code: int, what: str, expected: type[Message], data: bytes, error: DecodeError
) -> Error:
    name = expected.DESCRIPTOR.full_name
    return Error(code, "CODEC", f"the {what} is no {name}: {len(data)} bytes, {error}")
