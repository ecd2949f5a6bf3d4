"""HTTP/2 as a client speaks it: for transports that build on it."""

from __future__ import annotations

from kratos_http._dial import Dialer
from kratos_http._exchange import Lost, TooLarge
from kratos_http._http2_channel import Http2Channel
from kratos_http._http2_client import ConnectionOptions, Http2ClientConnection
from kratos_http._http2_errors import Refused, Reset, SpeaksHttp1
from kratos_http._http2_streams import ClientStream, Whole
from kratos_http2 import HeaderBlock, encode_fields

__all__ = [
    "ClientStream",
    "ConnectionOptions",
    "Dialer",
    "HeaderBlock",
    "Http2Channel",
    "Http2ClientConnection",
    "Lost",
    "Refused",
    "Reset",
    "SpeaksHttp1",
    "TooLarge",
    "Whole",
    "encode_fields",
]
