"""The codec."""

from __future__ import annotations

from typing import Final, TypeVar

from google.protobuf.message import Message

from kratos.encoding import CodecError, FieldCodec
from kratos_msgpack.fields import Member
from kratos_msgpack.plan import plan_of
from kratos_msgpack.reading import BadData, Reader

__all__ = ["MSGPACK", "MsgpackCodec"]

M = TypeVar("M", bound=Message)


class MsgpackCodec(FieldCodec):
    """MessagePack of messages, byte for byte as the codec ``msgpack`` of Go Kratos writes it.

    A message is a map of its fields by their names in Go (``UserId`` of ``user_id``), all of them;
    what is not set is nil. A oneof is a member that holds a map of the one field that is set.
    Integers and floats are as wide as their types. Enums are numbers, and no message has a form of
    its own: a ``Timestamp`` is a map of ``Seconds`` and ``Nanos``.

    Reads that, and numbers of any width. Members that are not known are left out. Wrong types,
    numbers out of range, members given twice and data behind the message are refused with the path
    of the field. Unknown fields and extensions of messages are not written, as in Go.

    Args:
        name: Subtype of its content type.
    """

    __slots__ = ("_name",)

    def __init__(self, *, name: str = "msgpack") -> None:
        self._name = name

    @property
    def name(self) -> str:
        """Name in content types."""
        return self._name

    def encode(self, message: Message, /) -> bytes:
        """Return a message as MessagePack.

        Raises:
            CodecError: It is nested deeper than 100 levels, or holds text that is none.
        """
        out = bytearray()
        try:
            plan_of(message.DESCRIPTOR).write(out, message, 1)
        except BadData as bad:
            raise bad.told() from None
        except UnicodeDecodeError as error:  # of proto2, which does not look when it reads
            raise CodecError(f"the message holds text that is not UTF-8: {error.reason}") from None
        return bytes(out)

    def decode(self, data: bytes, message_type: type[M], /) -> M:
        """Return a new message; empty data and nil make an empty one.

        Raises:
            CodecError: The data is no MessagePack, or does not fit the message type.
        """
        message = message_type()
        if not data:
            return message
        reader = Reader(data)
        try:
            if not reader.is_nil():
                plan_of(message.DESCRIPTOR).read(reader, message, 1)
            _require_end(reader)
        except BadData as bad:
            raise bad.told() from None
        return message

    def encode_field(self, message: Message, field: str, /) -> bytes:
        """Return one field as MessagePack; what is not set is nil.

        Raises:
            CodecError: There is no such field, or as ``encode``.
        """
        out = bytearray()
        try:
            _member(message, field).write(out, message, 1)
        except BadData as bad:
            raise bad.told() from None
        return bytes(out)

    def decode_field(self, data: bytes, message: Message, field: str, /) -> None:
        """Read one field; empty data and nil leave it alone.

        Raises:
            CodecError: There is no such field, or the data does not fit it.
        """
        member = _member(message, field)
        if not data:
            return
        reader = Reader(data)
        try:
            member.read(reader, message, 1)
            _require_end(reader)
        except BadData as bad:
            bad.path.append(member.name)
            raise bad.told() from None


MSGPACK: Final = MsgpackCodec()


def _member(message: Message, field: str) -> Member:
    member = plan_of(message.DESCRIPTOR).fields.get(field)
    if member is None:
        raise CodecError(f"{message.DESCRIPTOR.full_name} has no field {field!r}", field)
    return member


def _require_end(reader: Reader) -> None:
    if reader.at < reader.size:
        raise BadData(f"{reader.size - reader.at} bytes follow what was sent")
