"""What the head of a request asks for, which is the same for every request with such a head."""

from __future__ import annotations

from typing import Final

from kratos.errors import Error
from kratos.transport.http import WireHeaders
from kratos_grpc._codings import ACCEPTED, CODINGS, IDENTITY, Coding, listed_in
from kratos_grpc._deadline import seconds_of
from kratos_grpc._formats import Format
from kratos_grpc._framing import Framing
from kratos_grpc._metadata import OF_REQUESTS, arrived

__all__ = ["Asked"]

_TIMEOUT: Final = b"grpc-timeout"
_ENCODING: Final = b"grpc-encoding"
_ACCEPT: Final = b"grpc-accept-encoding"
_LENGTH: Final = b"content-length"


class Asked:
    """What a head asks for.

    Args:
        framing: How replies travel.
        format_: Of messages.
        content_type: As it came; that of the reply is the same.
        headers: Of the request.
        coding: That the server would compress replies in.

    Attributes:
        framing: How replies travel.
        format: Of messages.
        metadata: Of the call, for ``Header``; shared by calls, never changed.
        seconds: That the caller allows; ``None`` for no limit.
        coding: Of the requests that are compressed; ``None`` if none may be.
        compression: Of replies that are long enough; ``None`` for none.
        headers: Of every reply.
        compressed_headers: Of a reply that may be compressed.
        failure: What is wrong with the head; ``None`` for nothing.
    """

    __slots__ = (
        "coding",
        "compressed_headers",
        "compression",
        "failure",
        "format",
        "framing",
        "headers",
        "metadata",
        "seconds",
    )

    def __init__(
        self,
        framing: Framing,
        format_: Format,
        content_type: bytes,
        headers: WireHeaders,
        coding: Coding | None,
    ) -> None:
        self.framing = framing
        self.format = format_
        self.headers: WireHeaders = ((b"content-type", content_type),)
        self.compressed_headers: WireHeaders = self.headers
        self.metadata: list[tuple[bytes, bytes]] = []
        self.seconds: float | None = None
        self.coding: Coding | None = None
        self.compression: Coding | None = None
        self.failure: Error | None = None
        try:
            self._read(headers, coding)
        except Error as error:
            self.failure = error

    def varied(self, fields: WireHeaders) -> tuple[float | None, list[tuple[bytes, bytes]]] | None:
        """Return time limit and metadata of a head with further fields.

        ``None`` if these say something else, or are malformed.
        """
        seconds, metadata = self.seconds, self.metadata
        try:
            for pair in fields:
                name = pair[0]
                if name == _TIMEOUT:
                    seconds = seconds_of(pair[1])
                elif name not in OF_REQUESTS:
                    metadata = [*metadata, *arrived((pair,), OF_REQUESTS)]
                elif name != _LENGTH:
                    return None
        except Error:
            return None
        return seconds, metadata

    def _read(self, headers: WireHeaders, coding: Coding | None) -> None:
        timeout = encoding = accepted = b""
        for name, value in headers:
            if name == _TIMEOUT:
                timeout = value
            elif name == _ENCODING:
                encoding = value.lower()
            elif name == _ACCEPT:
                accepted = accepted + b"," + value if accepted else value
        self._choose(coding, accepted)
        self.seconds = seconds_of(timeout)
        self.metadata = arrived(headers, OF_REQUESTS)
        if encoding in (b"", IDENTITY):
            return
        self.coding = CODINGS.get(encoding)
        if self.coding is None:
            self.headers = (*self.headers, (_ACCEPT, ACCEPTED))
            shown = encoding[:32].decode("latin-1")
            text = f"messages in {shown!r} are not read: {ACCEPTED.decode()} are"
            raise Error(501, "UNIMPLEMENTED", text)

    def _choose(self, coding: Coding | None, accepted: bytes) -> None:
        """Choose the coding of replies: the server's, or another that the client reads."""
        if coding is None or not accepted:
            return
        readable = listed_in(accepted)
        for each in (coding, *CODINGS.values()):
            if each.name in readable:
                self.compression = each
                self.compressed_headers = (*self.headers, (_ENCODING, each.name))
                return
