"""What a codec is, and the one error that codecs raise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from kratos.errors import KratosError

__all__ = ["Codec", "CodecError", "FieldCodec", "M"]

M = TypeVar("M", bound=Message)


class CodecError(KratosError, ValueError):
    """Bytes cannot be read as a message, or a message cannot be written.

    Transports answer with code 400 and reason ``CODEC`` where the peer's bytes are at fault.

    Args:
        message: What is wrong; names the place, and quotes at most a few characters of input.
        field: Path of the field at fault, as the input spells it; empty if there is none.
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message, field)
        self.message = message
        self.field = field

    def __str__(self) -> str:
        return self.message


class Codec(Protocol):
    """Turns messages into bytes and back. Stateless, so one serves all calls at once."""

    @property
    def name(self) -> str:
        """The subtype of its content type, in lower case: ``json`` for ``application/json``."""
        ...

    def encode(self, message: Message, /) -> bytes:
        """Return the bytes of a message.

        Raises:
            CodecError: The format cannot express the message.
        """
        ...

    def decode(self, data: bytes, message_type: type[M], /) -> M:
        """Return a new message; empty data makes an empty one.

        Raises:
            CodecError: The data is malformed.
        """
        ...


class FieldCodec(ABC):
    """A codec that can also carry one field by itself, whatever its type.

    ``body`` and ``response_body`` of HTTP rules may name a list, a map or a scalar. Codecs
    that do not derive from this can carry fields that are single messages.
    """

    # A class, not a protocol: servers ask per request, and protocols answer in microseconds.
    __slots__ = ()

    @abstractmethod
    def encode_field(self, message: Message, field: str, /) -> bytes:
        """Return the bytes of one field, given by its proto name.

        Raises:
            CodecError: The format cannot express the value.
        """

    @abstractmethod
    def decode_field(self, data: bytes, message: Message, field: str, /) -> None:
        """Read one field into ``message``; empty data leaves it alone.

        Raises:
            CodecError: The data is malformed.
        """
