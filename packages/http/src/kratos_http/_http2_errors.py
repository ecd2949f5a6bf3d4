"""How a request over HTTP/2 may fail."""

from __future__ import annotations

from typing import Final

from kratos_http._exchange import Lost
from kratos_http2 import ErrorCode

__all__ = ["Refused", "Reset", "SpeaksHttp1", "code_name", "farewell", "not_http2"]

_LONGEST: Final = 200  # bytes of what a peer says of its reasons


class Reset(Lost):
    """The server broke the stream off, or was at fault on it.

    Attributes:
        code: Of HTTP/2: why.
    """

    def __init__(self, problem: str, code: int, *, begun: bool) -> None:
        super().__init__(problem, begun=begun)
        self.code = code


class Refused(Lost):
    """The server never looked at the request: it may be sent again, whatever it does.

    Attributes:
        code: Of HTTP/2: why the server left, or ``REFUSED_STREAM``.
    """

    def __init__(self, problem: str, code: int = ErrorCode.REFUSED_STREAM) -> None:
        super().__init__(problem, begun=False, sent=False)
        self.code = code


class SpeaksHttp1(Lost):
    """The server speaks HTTP/1.1, and was told that it may: its connection is in use already."""

    def __init__(self) -> None:
        super().__init__("the server speaks HTTP/1.1", begun=False, sent=False)


def code_name(code: int) -> str:
    """Return what a code of HTTP/2 is called."""
    try:
        return ErrorCode(code).name
    except ValueError:
        return f"code {code:#x}"


def farewell(code: int, debug: bytes) -> str:
    """Return what a server said as it left."""
    said = debug[:_LONGEST].decode("ascii", "backslashreplace")
    shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in said)
    return f"the server left ({code_name(code)}{f': {shown}' if shown else ''})"


def not_http2(begin: bytes) -> str:
    """Return what is wrong with a server that does not begin as one of HTTP/2."""
    if begin.startswith(b"HTTP/1"):
        return "the server speaks HTTP/1.1 there, not HTTP/2"
    if begin[:1] in (b"\x15", b"\x16"):
        return "the server speaks TLS there"
    return ""
