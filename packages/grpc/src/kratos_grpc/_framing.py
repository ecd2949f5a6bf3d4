"""How the replies and the end of a call travel: gRPC in trailers, gRPC-Web in the body."""

from __future__ import annotations

import asyncio
import base64
import binascii
from abc import ABC, abstractmethod
from typing import Final

from kratos.errors import Error
from kratos.transport.http import Reply, Wire, WireHeaders
from kratos_grpc._envelopes import envelope

__all__ = ["GRPC", "WEB", "WEB_TEXT", "Base64", "Framing"]

_END: Final = 0x80
_QUANTUM: Final = 4  # letters of base64 that stand for three bytes
_PADDINGS: Final = 256  # signs of padding that a body of one message may have, and
_PADDED: Final = 256  # letters for which it may have one more: each place is decoded by itself
_SLICE: Final = 16 * 1024  # letters that are decoded before others have their turn


class Framing(ABC):
    """One way.

    Attributes:
        mime: Content type without a format.
        needs_trailers: Whether HTTP has to carry trailers.
    """

    __slots__ = ()

    mime: bytes
    needs_trailers = False

    @abstractmethod
    def reply(self, headers: WireHeaders, body: bytes, trailers: WireHeaders) -> Reply:
        """Return a whole answer: messages with their envelopes, and the end."""

    @abstractmethod
    def refusal(self, headers: WireHeaders, trailers: WireHeaders) -> Reply:
        """Return the answer to a call that has an end, and nothing before it."""

    @abstractmethod
    async def finish(self, wire: Wire, trailers: WireHeaders) -> None:
        """End an answer in pieces."""

    def piece(self, data: bytes) -> bytes:
        """Return a piece of an answer as it travels."""
        return data

    def whole(self, body: bytes) -> bytes:
        """Return the body of a request as it was before it travelled.

        Raises:
            Error: 400 CODEC: it cannot be.
        """
        return body

    def reader(self, wire: Wire) -> Wire | Base64:
        """Return what reads the body of a request in pieces."""
        return wire

    def room(self, size: int) -> int:
        """Return how many bytes so many take as they travel."""
        return size


class _Trailing(Framing):
    """gRPC over HTTP/2."""

    __slots__ = ()

    mime = b"application/grpc"
    needs_trailers = True

    def reply(self, headers: WireHeaders, body: bytes, trailers: WireHeaders) -> Reply:
        return Reply(200, headers, body, trailers)

    def refusal(self, headers: WireHeaders, trailers: WireHeaders) -> Reply:
        return Reply(200, [*headers, *trailers])

    async def finish(self, wire: Wire, trailers: WireHeaders) -> None:
        await wire.finish(trailers)


class _InBody(Framing):
    """gRPC-Web: browsers see no trailers, so these are the last message of the body."""

    __slots__ = ()

    mime = b"application/grpc-web"

    def reply(self, headers: WireHeaders, body: bytes, trailers: WireHeaders) -> Reply:
        return Reply(200, headers, self.piece(body + _last(trailers)))

    def refusal(self, headers: WireHeaders, trailers: WireHeaders) -> Reply:
        return self.reply(headers, b"", trailers)

    async def finish(self, wire: Wire, trailers: WireHeaders) -> None:
        await wire.write(self.piece(_last(trailers)))
        await wire.finish()


class _InText(_InBody):
    """gRPC-Web in base64, for browsers that take no bytes as they come."""

    __slots__ = ()

    mime = b"application/grpc-web-text"

    def piece(self, data: bytes) -> bytes:
        return base64.b64encode(data)

    def whole(self, body: bytes) -> bytes:
        if body.count(b"=") > _PADDINGS + len(body) // _PADDED:
            raise Error(400, "CODEC", "the body is padded in too many places")
        decoder = _Decoder()
        return decoder.feed(body) + decoder.end()

    def reader(self, wire: Wire) -> Base64:
        return Base64(wire)

    def room(self, size: int) -> int:
        return 2 * size  # 4 for 3, and more if it is padded in several places


GRPC: Final[Framing] = _Trailing()
WEB: Final[Framing] = _InBody()
WEB_TEXT: Final[Framing] = _InText()


class Base64:
    """Reads a body in base64, piece by piece, each of which may be padded.

    Args:
        wire: What it is read from.
    """

    __slots__ = ("_at", "_data", "_decoder", "_wire")

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._decoder = _Decoder()
        self._data = b""
        self._at = 0  # where in it the next slice begins

    async def read(self) -> bytes:
        """Return the next piece; see ``Wire``.

        Raises:
            Error: As ``Wire.read``; 400 CODEC: it is no base64.
        """
        while True:
            if self._at < len(self._data):
                await asyncio.sleep(0)  # padding everywhere takes long
            else:
                self._data, self._at = await self._wire.read(), 0
                if not self._data:
                    return self._decoder.end()
            piece = self._decoder.feed(self._data[self._at : self._at + _SLICE])
            self._at += _SLICE
            if piece:
                return piece


class _Decoder:
    """Decodes base64 that was cut anywhere, and may have been padded in several places."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        data = self._rest + data
        size = len(data) - len(data) % _QUANTUM
        self._rest = data[size:]
        pieces: list[bytes] = []
        start = 0
        try:
            while start < size:
                padding = data.find(b"=", start, size)
                end = size if padding < 0 else padding - padding % _QUANTUM + _QUANTUM
                pieces.append(base64.b64decode(data[start:end], validate=True))
                start = end
        except binascii.Error as error:
            raise Error(400, "CODEC", f"the body is no base64: {error}") from error
        return b"".join(pieces)

    def end(self) -> bytes:
        if self._rest:
            raise Error(400, "CODEC", "the body ends in the middle of its base64")
        return b""


def _last(trailers: WireHeaders) -> bytes:
    """Return the trailers as the last message of a body."""
    lines = b"".join(b"%b: %b\r\n" % pair for pair in trailers)
    return envelope(lines, _END)
