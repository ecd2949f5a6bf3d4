"""The request of a call by GET, which is in its query."""

from __future__ import annotations

import base64
from typing import Final
from urllib.parse import unquote_to_bytes

from kratos.errors import Error

__all__ = ["Query"]

_MOST: Final = 64  # parameters that are looked at; five are Connect's
_VERSIONS: Final = {b"v1": b"1"}


class Query:
    """The parameters of a call.

    Args:
        query: As it came, without the question mark.
    """

    __slots__ = ("_found",)

    def __init__(self, query: bytes) -> None:
        found: dict[bytes, bytes] = {}
        for pair in query.split(b"&", _MOST)[:_MOST]:
            name, _, value = pair.partition(b"=")
            found.setdefault(name, value)
        self._found = found

    @property
    def encoding(self) -> bytes:
        """The format of the message; empty if there is none."""
        return self._value(b"encoding")

    @property
    def compression(self) -> bytes:
        """How the message is compressed; empty for not at all."""
        return self._value(b"compression")

    @property
    def version(self) -> bytes:
        """The version of the protocol as its header has it; empty if it is not told."""
        given = self._value(b"connect")
        return _VERSIONS.get(given, given)

    def message(self) -> bytes:
        """Return the bytes of the message.

        Raises:
            Error: 400 CODEC: there is none, or it is no base64, where it is said to be.
        """
        if b"message" not in self._found:
            raise Error(400, "CODEC", "the query has no parameter 'message'")
        value = self._value(b"message")
        if self._value(b"base64") != b"1":
            return value
        value = value.rstrip(b"=")
        try:
            return base64.b64decode(value + b"=" * (-len(value) % 4), b"-_", validate=True)
        except ValueError:
            text = "the parameter 'message' is no URL-safe base64"
            raise Error(400, "CODEC", text) from None

    def _value(self, name: bytes) -> bytes:
        return unquote_to_bytes(self._found.get(name, b"").replace(b"+", b" "))
