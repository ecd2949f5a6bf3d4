"""Codec ``proto``: the binary form of protobuf."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import DecodeError, Message

from kratos.encoding._codec import CodecError, M

__all__ = ["PROTO", "ProtoCodec"]


class ProtoCodec:
    """Binary protobuf; unknown fields are kept, missing required ones allowed."""

    __slots__ = ("_name",)

    def __init__(self, *, name: str = "proto") -> None:
        self._name = name

    @property
    def name(self) -> str:
        """Name in content types."""
        return self._name

    def encode(self, message: Message, /) -> bytes:
        """Return the wire form."""
        # Partial: required fields of proto2 are the business of validation, not of bytes.
        return message.SerializePartialToString()

    def decode(self, data: bytes, message_type: type[M], /) -> M:
        """Return a new message.

        Raises:
            CodecError: The bytes are no wire form of that type.
        """
        message = message_type()
        try:
            message.MergeFromString(data)
        except DecodeError as error:
            name = message_type.DESCRIPTOR.full_name
            raise CodecError(f"{len(data)} bytes are no {name}: {error}") from error
        return message


PROTO: Final = ProtoCodec()
