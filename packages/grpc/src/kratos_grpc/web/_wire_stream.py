"""A client's stream over gRPC-Web."""

from __future__ import annotations

from typing import ClassVar, Final

from kratos.errors import Error
from kratos.transport.http import WireHeaders
from kratos_grpc._answers import End, end_in
from kratos_grpc._failures import failed
from kratos_grpc._http_status import inferred
from kratos_grpc.connect._reading import frozen, reply_coding, value_of
from kratos_grpc.connect._wire_stream import ConnectStream

__all__ = ["WebStream"]

_OK: Final = 200
_UNKNOWN: Final = 2
_INTERNAL: Final = 13
_KIND: Final = b"application/grpc-web"
_STATUS: Final = b"grpc-status"
_ENCODING: Final = b"grpc-encoding"


class WebStream(ConnectStream):
    """A ``WireStream`` of envelopes, the last of which holds the trailers of gRPC."""

    end_flag: ClassVar[int] = 0x80

    __slots__ = ()

    async def _open(self) -> None:
        """Take the head of the answer, which may be all of it."""
        status, headers = await self._transmission.answer()
        kind = value_of(headers, b"content-type").partition(b";")[0].strip().lower()
        wanted = self._form.web_type[0][1]
        if status != _OK or not kind.startswith(_KIND):
            self._call.reply_headers = frozen(headers)
            shown = kind.decode("latin-1") or "no content type"
            text = f"the answer is none of gRPC-Web: HTTP {status}, {shown}"
            raise failed(self._call, End(inferred(status) if status != _OK else _UNKNOWN, text))
        if any(name == _STATUS for name, _ in headers):
            # Believed only if nothing follows.
            piece = await self._transmission.read()
            if not piece:
                end = end_in(headers)
                self._call.reply_headers = end.metadata
                self._finish(end)
                return
            self._envelopes.feed(piece)
        self._call.reply_headers = frozen(headers)
        if kind not in (_KIND, wanted):
            text = f"the answer is {kind.decode('latin-1')!r}, where {wanted.decode()} is due"
            raise failed(self._call, End(_INTERNAL, text))
        self._reply_coding = reply_coding(value_of(headers, _ENCODING))
        self._opened = True

    def _end(self, data: bytes) -> None:
        """Take the end of the call.

        Raises:
            Error: It failed.
        """
        self._finish(end_in(_fields(data)))

    def _finish(self, end: End) -> None:
        self._ended = True
        self._call.trailers = end.metadata
        if not end.fine:
            raise failed(self._call, end)


def _fields(block: bytes) -> WireHeaders:
    """Return the trailers of a body's end, as HTTP/1.1 would write them.

    Raises:
        Error: 500 CODEC: they are none.
    """
    found: list[tuple[bytes, bytes]] = []
    for line in block.split(b"\r\n"):
        if not line:
            continue
        name, colon, value = line.partition(b":")
        if not colon:
            raise Error(500, "CODEC", "the trailers of the answer are malformed")
        found.append((name.strip().lower(), value.strip()))
    return found
