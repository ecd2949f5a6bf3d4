"""HTTP/2 connections without sockets: bytes in, callbacks out, bytes out (RFC 9113)."""

from __future__ import annotations

from kratos_http2.client import ClientConnection
from kratos_http2.errors import ErrorCode, Http2Error
from kratos_http2.handler import Handler
from kratos_http2.header_blocks import HeaderBlock, encode_fields
from kratos_http2.server import ServerConnection
from kratos_http2.settings import Limits, PeerSettings, Settings
from kratos_http2.stream import Stream

__all__ = [
    "ClientConnection",
    "ErrorCode",
    "Handler",
    "HeaderBlock",
    "Http2Error",
    "Limits",
    "PeerSettings",
    "ServerConnection",
    "Settings",
    "Stream",
    "encode_fields",
]
