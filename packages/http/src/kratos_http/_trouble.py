"""What a client's caller gets when the wire fails, and the headers of what came."""

from __future__ import annotations

import ssl
from typing import Final

from kratos.errors import Error
from kratos.transport import Call, Header
from kratos_http._exchange import RawReply

__all__ = ["foreign", "frozen", "too_large", "unavailable"]

_EXCERPT: Final = 512  # bytes
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
"""What OpenSSL calls an answer that is no TLS, before 3.2 and since."""


def unavailable(call: Call, error: OSError) -> Error:
    """Return the error for a server that cannot be reached or was lost."""
    text = f"{call.peer}: {str(error) or type(error).__name__}"
    if isinstance(error, ssl.SSLError) and error.reason in _NO_TLS:
        text += "; it does not speak TLS there"
    return Error(503, "UNAVAILABLE", text)


def too_large(call: Call, error: Exception) -> Error:
    """Return the error for a reply that exceeds the limit."""
    return Error(500, "REPLY_TOO_LARGE", f"{call.peer}: {error}")


def foreign(reply: RawReply) -> Error:
    """Return the error for an answer that no service of ours gave, a proxy's page for instance.

    Its code is the status, its reason ``HTTP_`` and that. The page is the cause, for logs: a
    message would be told to callers further up.
    """
    kind = reply.header(b"content-type").decode("latin-1", "replace").partition(";")[0]
    what = f"{len(reply.body)} bytes of {kind or 'no type'}" if reply.body else "no body"
    text = f"the answer {reply.status} is no error of a service, but has {what}"
    error = Error(reply.status, f"HTTP_{reply.status}", text)
    if not reply.body:
        return error
    return error.with_cause(ValueError(reply.body[:_EXCERPT].decode("utf-8", "replace")))


def frozen(pairs: list[tuple[bytes, bytes]]) -> Header:
    """Return received headers."""
    header = Header(pairs)
    header.freeze()
    return header
