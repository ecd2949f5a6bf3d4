"""What every request asks for by its headers, and the call that it becomes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from kratos.encoding import Codec, Codecs, content_type
from kratos.encoding.proto import ProtoCodec
from kratos.transport import Call, Header, Method, Side
from kratos.transport.http import Head, Reply, WireHeaders
from kratos.transport.timeout import parse_timeout

__all__ = ["TRANSPORT", "Asked", "add_headers", "deadline_after", "is_binary", "merged", "read"]

TRANSPORT: Final = "http"
_DEFAULT: Final = "protojson"  # of streams, as in Go
_GATHERED: Final = frozenset((b"set-cookie", b"vary"))


def read(head: Head) -> tuple[str, str, bytes]:
    """Return all of ``Accept``, ``Content-Type``, and the caller's time limit if there is one."""
    accept = kind = timeout = b""
    for name, value in head.headers:
        if name == b"accept":
            accept = accept + b"," + value if accept else value
        elif name == b"content-type":
            kind = kind or value
        elif name == b"grpc-timeout":
            timeout = value
    return accept.decode("latin-1"), kind.decode("latin-1"), timeout


def deadline_after(timeout: bytes) -> float:
    """Return the end of a caller's time limit, in the loop's time.

    Raises:
        Error: 400: the header is no timeout.
    """
    return asyncio.get_running_loop().time() + parse_timeout(timeout)


class Asked:
    """What the request of a stream asks for; one object is cheap there, and unary calls have none.

    Attributes:
        accept: ``Accept``, all values of it.
        content_type: ``Content-Type``.
    """

    __slots__ = ("_head", "_timeout", "accept", "content_type")

    def __init__(self, head: Head) -> None:
        self._head = head
        self.accept, self.content_type, self._timeout = read(head)

    def call(
        self,
        method: Method[Any, Any],
        endpoint: str,
        sink: Callable[[Any], Awaitable[None]] | None,
        *,
        kind: type[Call] = Call,
    ) -> Call:
        """Return the call, without its deadline."""
        call = kind(
            method,
            side=Side.SERVER,
            transport=TRANSPORT,
            headers=Header(self._head.headers),
            peer=self._head.peer,
            endpoint=endpoint,
            sink=sink,
        )
        call.certificate = self._head.certificate
        call.path = self._head.path
        return call

    def deadline(self) -> float | None:
        """Return the deadline that the caller set, in the loop's time.

        Raises:
            Error: 400: the header is no timeout.
        """
        return deadline_after(self._timeout) if self._timeout else None

    def encoder(self, codecs: Codecs) -> Codec:
        """Return the codec of a stream's replies: by ``Accept``, then by ``Content-Type``."""
        given = codecs.find(self.content_type)
        return codecs.select(self.accept, fallback=given.name if given else _DEFAULT).codec

    def decoder(self, codecs: Codecs) -> str:
        """Return the content type of a stream's requests: by ``Content-Type``, then ``Accept``."""
        if codecs.find(self.content_type) is not None:
            return self.content_type
        return content_type(codecs.select(self.accept, fallback=_DEFAULT).codec.name)


def is_binary(codec: Codec) -> bool:
    """Tell whether what a codec makes is no text."""
    return isinstance(codec, ProtoCodec)


def merged(headers: WireHeaders, added: WireHeaders) -> WireHeaders:
    """Return headers with others in place of those of the same names.

    Cookies, and what an answer varies by, are added: each part of a program has its own.
    """
    names = {name for name, _ in added} - _GATHERED
    return [*(pair for pair in headers if pair[0] not in names), *added]


def add_headers(reply: Reply, call: Call) -> None:
    """Add to an answer what the chain and the handler wrote."""
    reply.headers = merged(reply.headers, call.reply_headers.raw())
    reply.trailers = call.trailers.raw()
