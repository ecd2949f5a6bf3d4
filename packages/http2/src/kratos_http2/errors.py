"""Error codes of HTTP/2 (RFC 9113, 7) and the errors that carry them."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ErrorCode", "Http2Error", "StreamError"]


class ErrorCode(IntEnum):
    """Why a stream was reset or a connection ended."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class Http2Error(Exception):
    """The peer broke the protocol or a limit, and the connection ends.

    Attributes:
        code: What the peer is told.
        message: What it did, for logs and for the debug data of GOAWAY.
        limit: Name of the field of ``Limits`` that it exceeded; empty if it was none.
    """

    def __init__(self, code: ErrorCode, message: str, *, limit: str = "") -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message
        self.limit = limit


class StreamError(Http2Error):
    """The peer broke the protocol on one stream, which alone ends.

    Attributes:
        stream: Its identifier.
    """

    def __init__(self, stream: int, code: ErrorCode, message: str) -> None:
        super().__init__(code, message)
        self.stream = stream
