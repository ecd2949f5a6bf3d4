"""The opening handshake of WebSockets, as a server and as a client see it (RFC 6455, 4)."""

from __future__ import annotations

import base64
import binascii
import os
from typing import Final

from websockets.utils import accept_key

from kratos.errors import Error
from kratos.transport.http import Head, Reply, WireHeaders
from kratos_http._format import opening
from kratos_http._refusal import refusal

__all__ = [
    "PROTOCOL",
    "accepts",
    "asks",
    "new_key",
    "offers",
    "request_lines",
    "switching",
    "unfit",
]

# Who offers it, and whose peer takes it, writes errors and trailers as JSON. Go knows none.
PROTOCOL: Final = b"kratos.stream.v1"
_PROTOCOL_HEADER: Final = b"sec-websocket-protocol"
_VERSION: Final = b"13"


def asks(head: Head) -> bool:
    """Tell whether a request asks for a WebSocket, well or badly."""
    return head.method == "GET" and b"websocket" in _tokens(head, b"upgrade")


def unfit(head: Head) -> Reply | None:
    """Return the answer to a request that is no handshake of a WebSocket.

    One of HTTP/2 is an extended CONNECT; its head is that of HTTP/1.1, but for the key.
    """
    if (
        head.method != "GET"
        or head.version not in ("1.1", "2")
        or b"websocket" not in _tokens(head, b"upgrade")
        or b"upgrade" not in _tokens(head, b"connection")
        or head.header(b"content-length") not in (b"", b"0")
        or head.header(b"transfer-encoding")
    ):
        # 400 as in Go, though there is a status of its own for it.
        return refusal(Error(400, "BAD_REQUEST", "this is served to WebSockets only"))
    if head.header(b"sec-websocket-version") != _VERSION:
        reply = refusal(Error(426, "BAD_REQUEST", "WebSockets of version 13 are served only"))
        reply.headers = (*reply.headers, (b"sec-websocket-version", _VERSION))
        return reply
    if head.version == "1.1" and not _is_key(head.header(b"sec-websocket-key")):
        return refusal(Error(400, "BAD_REQUEST", "Sec-WebSocket-Key is no base64 of 16 bytes"))
    return None


def offers(head: Head) -> bool:
    """Tell whether a handshake offers our own form of errors."""
    return PROTOCOL in _tokens(head, _PROTOCOL_HEADER)


def switching(head: Head, headers: WireHeaders, date: bytes) -> bytes:
    """Return the answer that accepts a handshake.

    Raises:
        ValueError: A header cannot be sent.
    """
    key = accept_key(head.header(b"sec-websocket-key").decode("latin-1"))
    lines = opening(101, headers, version="1.1", keep=True, date=date)
    return b"%bupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: %b\r\n\r\n" % (
        lines,
        key.encode(),
    )


def new_key() -> str:
    """Return a client's key."""
    return base64.b64encode(os.urandom(16)).decode()


def request_lines(key: str) -> bytes:
    """Return the header lines that make a request a handshake."""
    return (
        b"upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: %b\r\n"
        b"sec-websocket-key: %b\r\n%b: %b\r\n"
        % (_VERSION, key.encode(), _PROTOCOL_HEADER, PROTOCOL)
    )


def accepts(headers: list[tuple[bytes, bytes]], key: str) -> bool:
    """Tell whether an answer with status 101 answers this handshake."""
    found = dict(headers)
    return (
        found.get(b"upgrade", b"").lower() == b"websocket"
        and found.get(b"sec-websocket-accept") == accept_key(key).encode()
        and found.get(_PROTOCOL_HEADER, PROTOCOL) == PROTOCOL
        and b"sec-websocket-extensions" not in found
    )


def _tokens(head: Head, name: bytes) -> list[bytes]:
    return [
        token.strip().lower()
        for key, value in head.headers
        if key == name
        for token in value.split(b",")
    ]


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False
