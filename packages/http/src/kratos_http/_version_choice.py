"""Connections whose first bytes tell which version of HTTP they speak."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from kratos_http._connection import ServerConnection
from kratos_http._http2_connection import Http2Connection

if TYPE_CHECKING:
    import ssl

    from kratos_http.engine import Engine

__all__ = ["ALPN", "VersionChoice"]

ALPN: Final = {"2": "h2", "1.1": "http/1.1"}
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class VersionChoice(asyncio.Protocol):
    """The protocol of a new connection, until it is known which one it really has.

    With TLS that is agreed upon in the handshake; in plain text a peer that speaks HTTP/2 says so
    (RFC 9113, 3.3: with prior knowledge). Until then the connection is one of HTTP/1.1, with the
    time limits of that.
    """

    __slots__ = ("_begin", "_engine", "_first", "_transport")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._first = ServerConnection(engine)
        self._begin = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take what the handshake says."""
        self._transport = cast("asyncio.Transport", transport)
        secured: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if secured is not None and secured.selected_alpn_protocol() == ALPN["2"]:
            self._speak_http2(b"")
            return
        self._first.connection_made(transport)
        if secured is not None:
            self._transport.set_protocol(self._first)  # HTTP/2 is agreed upon, or not spoken

    def data_received(self, data: bytes) -> None:
        """Look at the first bytes."""
        if self._begin:
            data = self._begin + data
        if data.startswith(_PREFACE):
            self._first.give_up()
            self._speak_http2(data)
        elif _PREFACE.startswith(data):
            if not self._begin:
                self._first.on_begin()
            self._begin = data
        else:
            assert self._transport is not None, "it is open"
            self._transport.set_protocol(self._first)
            self._first.data_received(data)

    def eof_received(self) -> None:
        """Take it for its going away."""
        self._first.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the peer."""
        self._first.connection_lost(exc)

    def pause_writing(self) -> None:
        """Note that the peer is slow."""
        self._first.pause_writing()

    def resume_writing(self) -> None:
        """Go on."""
        self._first.resume_writing()

    def _speak_http2(self, data: bytes) -> None:
        assert self._transport is not None, "it is open"
        connection = Http2Connection(self._engine)
        self._transport.set_protocol(connection)
        connection.connection_made(self._transport)
        if data:
            connection.data_received(data)
