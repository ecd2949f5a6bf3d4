"""Answers compressed as peers ask for (RFC 9110, 8.4 and 12.5.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from kratos.errors import ConfigError
from kratos.transport.http import (
    Buffered,
    Endpoint,
    Head,
    HttpApplication,
    Reply,
    Streamed,
    Wire,
    WireHeaders,
)
from kratos_http._codings import TYPES, Encoder, choose, gains, installed, pack, step
from kratos_http._wrapping import WireProxy, with_vary

__all__ = ["Compression"]

_UNCHANGEABLE: Final = frozenset((204, 205, 206, 304))


class Compression:
    """A filter that compresses answers.

    Only types that gain by it are compressed: text but events, JSON, XML, protobuf and the like.
    An answer that is compressed already, is a part of another, or forbids it by
    ``Cache-Control: no-transform`` stays as it is. Tags of compressed answers become weak.

    Over TLS, an answer that holds a secret beside what a stranger chose tells of the secret by
    its compressed length (BREACH): send such answers with ``no-transform``.

    Long answers are compressed in threads, and are sent as they are while none of these is free.

    Args:
        minimum: Bytes below which nothing is gained.
        codings: What is offered, the best first: ``zstd`` and ``br`` if the packages
            backports.zstd, which Python 3.14 does without, and brotli are installed, and ``gzip``.
        types: Media types to compress besides those known.

    Raises:
        ConfigError: The minimum is negative, or a coding is unknown.
    """

    def __init__(
        self,
        *,
        minimum: int = 1024,
        codings: Sequence[str] = ("zstd", "br", "gzip"),
        types: Sequence[str] = (),
    ) -> None:
        if minimum < 0:
            raise ConfigError(f"minimum must not be negative, but is {minimum}")
        self.minimum = minimum
        self.codings = installed(codings)
        self._types = TYPES.union(each.lower() for each in types)

    def __call__(self, application: HttpApplication, /) -> HttpApplication:
        """Wrap an application; see ``Filter``."""
        return _Compressing(application, self)

    def may_change(self, status: int, headers: WireHeaders) -> bool:
        """Tell whether an answer may be compressed, if it is long enough."""
        kind = ""
        for name, value in headers:
            lowered = name.lower()
            if lowered in (b"content-encoding", b"content-range"):
                return False
            if lowered == b"cache-control" and b"no-transform" in value.lower():
                return False
            if lowered == b"content-type":
                kind = value.decode("latin-1")
        return status >= 200 and status not in _UNCHANGEABLE and gains(kind, self._types)


class _Compressing:
    """An application behind the filter."""

    def __init__(self, application: HttpApplication, options: Compression) -> None:
        self._application = application
        self._options = options

    def route(self, head: Head, /) -> Endpoint:
        endpoint = self._application.route(head)
        options = self._options
        accept = b",".join(value for name, value in head.headers if name == b"accept-encoding")
        coding = choose(accept.decode("latin-1"), tuple(options.codings)) if accept else ""
        if hasattr(endpoint, "answer"):
            return _CompressedBuffered(cast("Buffered", endpoint), options, coding)
        if hasattr(endpoint, "converse"):
            return _CompressedStreamed(cast("Streamed", endpoint), options, coding)
        return endpoint


class _CompressedBuffered:
    def __init__(self, endpoint: Buffered, options: Compression, coding: str) -> None:
        self._endpoint = endpoint
        self._options = options
        self._coding = coding

    @property
    def max_body(self) -> int:
        return self._endpoint.max_body

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        reply = await self._endpoint.answer(head, body)
        options, coding = self._options, self._coding
        headers = reply.headers
        if reply.status == 304:
            return Reply(304, _as_if_changed(headers, coding))
        if not options.may_change(reply.status, headers):
            return reply
        whole = reply.body
        headers = with_vary(headers, b"accept-encoding")
        if coding and len(whole) >= options.minimum:
            packed = await pack(options.codings[coding], whole)
            if len(packed) < len(whole):
                whole, headers = packed, _changed(headers, coding)
        return Reply(reply.status, headers, whole, reply.trailers)


class _CompressedStreamed:
    def __init__(self, endpoint: Streamed, options: Compression, coding: str) -> None:
        self._endpoint = endpoint
        self._options = options
        self._coding = coding

    async def converse(self, head: Head, wire: Wire, /) -> None:
        await self._endpoint.converse(head, _CompressedWire(wire, self._options, self._coding))


class _CompressedWire(WireProxy):
    """A wire that compresses what is written.

    Without a length the pieces may come far apart, so each one is sent for itself.
    """

    def __init__(self, wire: Wire, options: Compression, coding: str) -> None:
        super().__init__(wire)
        self._options = options
        self._coding = coding
        self._encoder: Encoder | None = None
        self._eager = False

    def start(self, status: int, headers: WireHeaders, /) -> None:
        coding = self._coding
        encoder = None
        if status == 304:
            headers = _as_if_changed(headers, coding)
        elif self._options.may_change(status, headers):
            headers = with_vary(headers, b"accept-encoding")
            length = next((int(v) for k, v in headers if k.lower() == b"content-length"), None)
            if coding and (length is None or length >= self._options.minimum):
                encoder = self._options.codings[coding]()
                self._eager = length is None
                headers = _changed(headers, coding)
        self._wire.start(status, headers)
        self._encoder = encoder  # not before: an answer that cannot begin is followed by another

    async def write(self, data: bytes, /) -> None:
        encoder = self._encoder
        if encoder is not None and data:
            data = await step(encoder, data, eager=self._eager)
            if not data:
                return
        await self._wire.write(data)

    async def finish(self, trailers: WireHeaders = (), /) -> None:
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            await self._wire.write(encoder.finish())
        await self._wire.finish(trailers)


def _changed(headers: WireHeaders, coding: str) -> WireHeaders:
    """Return the headers of an answer that is compressed."""
    dropped = (b"content-length", b"accept-ranges")
    kept = [pair for pair in headers if pair[0].lower() not in dropped]
    return [*_weakened(kept), (b"content-encoding", coding.encode())]


def _as_if_changed(headers: WireHeaders, coding: str) -> WireHeaders:
    """Return the headers of a 304, as the whole answer would have them."""
    return with_vary(_weakened(headers) if coding else headers, b"accept-encoding")


def _weakened(headers: WireHeaders) -> WireHeaders:
    return [
        (name, b"W/" + value if name.lower() == b"etag" and value.startswith(b'"') else value)
        for name, value in headers
    ]
