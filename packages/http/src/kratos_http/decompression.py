"""Compressed requests, read as if they were not (RFC 9110, 8.4)."""

from __future__ import annotations

from typing import Final, cast

from kratos.errors import ConfigError, Error
from kratos.transport.http import (
    Buffered,
    Endpoint,
    Head,
    HttpApplication,
    Reply,
    Streamed,
    Wire,
)
from kratos_http._decompress import CODINGS, InflatedWire, inflated
from kratos_http._endpoints import Constant
from kratos_http._refusal import refusal

__all__ = ["Decompression"]

_SHORT: Final = 512  # bytes that become half a MiB at most, which takes under a millisecond
_OWN: Final = (b"content-encoding", b"content-length")


class Decompression:
    """A filter that decompresses the bodies of requests.

    It takes ``gzip`` and ``deflate``, and ``zstd`` and ``br`` if the packages for ``Compression``
    are installed, with brotli 1.2 or later.

    A body that is read whole may have ``max_body`` bytes before and after it is decompressed;
    one that is larger is refused with 413, and not a byte more of it is made. Bodies in pieces are
    made in pieces of at most 64 KiB, and held to the limit of their handler. Other
    codings, and several at once, are refused with 415.

    Args:
        max_size: Bytes of the largest body after it is decompressed, where the endpoint has no
            lower limit.

    Raises:
        ConfigError: The limit is not positive.
    """

    def __init__(self, *, max_size: int | None = None) -> None:
        if max_size is not None and max_size < 1:
            raise ConfigError(f"max_size must be positive, but is {max_size}")
        self._max_size = max_size

    def __call__(self, application: HttpApplication, /) -> HttpApplication:
        """Wrap an application; see ``Filter``."""
        return _Decompressing(application, self._max_size)


class _Decompressing:
    """An application behind the filter."""

    def __init__(self, application: HttpApplication, max_size: int | None) -> None:
        self._application = application
        self._max_size = max_size

    def route(self, head: Head, /) -> Endpoint:
        endpoint = self._application.route(head)
        values = [value for name, value in head.headers if name == b"content-encoding"]
        coding = b",".join(values).decode("latin-1").strip().lower().removeprefix("x-")
        if coding in ("", "identity"):
            return endpoint
        if coding not in CODINGS:
            return _unsupported(coding)
        if hasattr(endpoint, "answer"):
            return _InflatedBuffered(cast("Buffered", endpoint), coding, self._max_size)
        if hasattr(endpoint, "converse"):
            return _InflatedStreamed(cast("Streamed", endpoint), coding, self._max_size)
        return endpoint


class _InflatedBuffered:
    def __init__(self, endpoint: Buffered, coding: str, max_size: int | None) -> None:
        self._endpoint = endpoint
        self._coding = coding
        self._limit = min(endpoint.max_body, endpoint.max_body if max_size is None else max_size)

    @property
    def max_body(self) -> int:
        return self._endpoint.max_body

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        _strip(head)
        try:
            body = await inflated(body, self._coding, self._limit, short=_SHORT)
        except Error as error:
            return refusal(error)
        return await self._endpoint.answer(head, body)


class _InflatedStreamed:
    def __init__(self, endpoint: Streamed, coding: str, max_size: int | None) -> None:
        self._endpoint = endpoint
        self._coding = coding
        self._max_size = max_size

    async def converse(self, head: Head, wire: Wire, /) -> None:
        _strip(head)
        await self._endpoint.converse(head, InflatedWire(wire, self._coding, self._max_size))


def _strip(head: Head) -> None:
    """Take away what does not hold for the body any more."""
    head.headers = [pair for pair in head.headers if pair[0] not in _OWN]


def _unsupported(coding: str) -> Endpoint:
    names = ", ".join(CODINGS)
    error = Error(415, "CONTENT_ENCODING", f"the body is {coding[:64]!r}, which is none of {names}")
    reply = refusal(error)
    reply.headers = (*reply.headers, (b"accept-encoding", names.encode()))
    return Constant(reply)
