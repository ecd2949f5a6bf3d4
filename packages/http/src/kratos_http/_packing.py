"""Bodies of requests, compressed before they are sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kratos.errors import ConfigError
from kratos_http._codings import NewEncoder, gains, installed, pack
from kratos_http._plan import Body

__all__ = ["Packing"]

_MINIMUM: Final = 1024  # bytes below which nothing is gained


class Packing:
    """Compresses the bodies of requests that gain by it.

    Args:
        coding: Name of the coding.

    Raises:
        ConfigError: It is unknown, or not installed.
    """

    __slots__ = ("_coding", "_new")

    def __init__(self, coding: str) -> None:
        found = installed([coding])
        if not found:
            raise ConfigError(
                f"compression={coding!r} is not installed: pip install 'kratos-http[compression]'"
            )
        self._coding = coding
        self._new: NewEncoder = found[coding]

    async def pack(self, body: Body) -> Body:
        """Return the body compressed, or as it is."""
        data = body.data
        if len(data) < _MINIMUM or not gains(body.content_type):
            return body
        packed = await pack(self._new, data)
        return body if len(packed) >= len(data) else replace(body, data=packed, coding=self._coding)
