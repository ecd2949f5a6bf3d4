"""Formats of messages, by the subtype of the content type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message

from kratos.transport import Method
from kratos_grpc._codec import decode_request, encode
from kratos_grpc._json import decode_json, encode_json

__all__ = ["FORMATS", "JSON", "PROTO", "Format"]


@dataclass(frozen=True, slots=True, eq=False)
class Format:
    """How messages are read and written.

    Attributes:
        decode: Reads a request; raises ``Error`` 400 CODEC.
        encode: Writes a message of an expected type; raises ``TypeError`` for others.
    """

    decode: Callable[[Method[Any, Any], bytes], Message]
    encode: Callable[[Method[Any, Any], type[Message], Any], bytes]


PROTO: Final = Format(decode_request, encode)
JSON: Final = Format(decode_json, encode_json)

FORMATS: Final = {b"": PROTO, b"proto": PROTO, b"json": JSON}
"""By subtype, what stands after the plus sign."""
