"""Where a page begins, as bytes: the part of a token that the list itself understands."""

from __future__ import annotations

import json
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar, cast

from google.protobuf.message import DecodeError, Message

__all__ = ["CursorCodec", "JsonCursor", "MessageCursor", "OffsetCursor", "TupleCursor"]

C = TypeVar("C")
M = TypeVar("M", bound=Message)
T = TypeVar("T", bound=NamedTuple)

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class CursorCodec(Protocol[C]):
    """Writes and reads the cursors of a list."""

    def encode(self, cursor: C, /) -> bytes:
        """Return the bytes of a cursor.

        Raises:
            TypeError: It cannot be written.
            ValueError: The same.
        """
        ...

    def decode(self, data: bytes, /) -> C:
        """Return the cursor that ``encode`` wrote.

        Raises:
            ValueError: An earlier version of the program wrote it, in another form.
        """
        ...


class JsonCursor:
    """Any value that JSON knows: a number, a text, a list, a dictionary."""

    __slots__ = ()

    def encode(self, cursor: Any, /) -> bytes:
        """Return the shortest JSON.

        Raises:
            TypeError: A part of it is nothing that JSON knows.
            ValueError: It holds NaN or an infinity, or contains itself.
        """
        return _write_json(cursor)

    def decode(self, data: bytes, /) -> Any:
        """Return the value."""
        return json.loads(data)


class TupleCursor(Generic[T]):
    """A named tuple of what JSON knows: the columns that a list is sorted by.

    Args:
        kind: The class of the tuple.
    """

    __slots__ = ("_kind",)

    def __init__(self, kind: type[T], /) -> None:
        self._kind = kind

    def encode(self, cursor: T, /) -> bytes:
        """Return the elements as a JSON array.

        Raises:
            TypeError: An element is nothing that JSON knows.
            ValueError: One is NaN or an infinity.
        """
        return _write_json(cursor)

    def decode(self, data: bytes, /) -> T:
        """Return the tuple.

        Raises:
            ValueError: The tuple had another number of elements when it was written.
        """
        elements = json.loads(data)
        if not isinstance(elements, list):
            raise ValueError(f"{self._kind.__name__} was no tuple")
        try:
            return self._kind._make(cast("list[object]", elements))
        except TypeError as error:
            raise ValueError(f"{self._kind.__name__} has changed: {error}") from error


class OffsetCursor:
    """How many rows come before the page.

    Rows that are added or removed meanwhile shift the others: some are shown twice, some never.
    """

    __slots__ = ()

    def encode(self, cursor: int, /) -> bytes:
        """Return the decimal number.

        Raises:
            ValueError: It is negative.
        """
        if cursor < 0:
            raise ValueError(f"an offset is not negative, but this is {cursor}")
        return b"%d" % cursor

    def decode(self, data: bytes, /) -> int:
        """Return the number.

        Raises:
            ValueError: It is none.
        """
        if not data.isdigit():
            raise ValueError("it was no offset")
        return int(data)


class MessageCursor(Generic[M]):
    """A protobuf message.

    Args:
        kind: The class of the message.
    """

    __slots__ = ("_kind",)

    def __init__(self, kind: type[M], /) -> None:
        self._kind = kind

    def encode(self, cursor: M, /) -> bytes:
        """Return the message on the wire."""
        return cursor.SerializeToString(deterministic=True)

    def decode(self, data: bytes, /) -> M:
        """Return the message.

        Raises:
            ValueError: It was another one.
        """
        try:
            return self._kind.FromString(data)
        except DecodeError as error:
            raise ValueError(f"it was no {self._kind.DESCRIPTOR.full_name}") from error


def _write_json(value: Any) -> bytes:
    return _ENCODER.encode(value).encode()
