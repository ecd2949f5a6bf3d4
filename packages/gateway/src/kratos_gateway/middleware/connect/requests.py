"""Requests of Connect, as calls of gRPC."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from kratos.errors import Error
from kratos_gateway.exchange import Body, Request
from kratos_gateway.middleware.connect.formats import Format

__all__ = ["STREAM", "UNARY", "asked", "check_version", "kind_of"]

UNARY: Final = b"application/"
STREAM: Final = b"application/connect+"
_METHOD: Final = re.compile(r"/[A-Za-z_]\w*(\.[A-Za-z_]\w*)+/[A-Za-z_]\w*")
_MILLISECONDS: Final = re.compile(rb"[0-9]{1,10}")
_MOST_DIGITS: Final = 8  # of a grpc-timeout
_NOT_SENT: Final = frozenset(
    (
        *(b"accept", b"accept-encoding", b"content-encoding", b"content-length", b"content-type"),
        *(b"connect-accept-encoding", b"connect-content-encoding", b"connect-protocol-version"),
        *(b"connect-timeout-ms", b"te"),
    )
)


def kind_of(request: Request, /) -> tuple[bytes, bytes] | None:
    """Return what content types of a call begin with, and end with; ``None`` for what is none.

    JSON is one of a call only where the path is ``/package.Service/Method``, and a GET only with
    a message in its query: others are of REST, perhaps.
    """
    if request.method == "GET":
        is_call = "message=" in request.query and _METHOD.fullmatch(request.path)
        return (UNARY, b"") if is_call else None
    kind = request.header(b"content-type").partition(b";")[0].strip().lower()
    begin = STREAM if kind.startswith(STREAM) else UNARY
    name = kind.removeprefix(begin)
    if request.method != "POST" or name == kind or name not in (b"proto", b"json"):
        return None
    if begin == UNARY and name == b"json" and not _METHOD.fullmatch(request.path):
        return None
    return begin, name


def check_version(version: bytes, /) -> None:
    """Refuse another version of the protocol.

    Raises:
        Error: 400 ``CODEC``: it is one.
    """
    if version not in (b"", b"1"):
        shown = version[:16].decode("latin-1")
        raise Error(400, "CODEC", f"Connect-Protocol-Version has to be 1, not {shown!r}")


def asked(
    request: Request, form: Format, body: bytes | Body, /, *, coding: bytes, accepted: bytes
) -> Request:
    """Return the call of gRPC that a request stands for.

    Args:
        request: It.
        form: Of its messages.
        body: Of the call.
        coding: By which its messages may be compressed; empty for none.
        accepted: Codings of messages that the client reads.

    Raises:
        Error: 400 ``CODEC``: its time limit is none.
    """
    headers = [
        pair
        for pair in request.headers
        if pair[0] not in _NOT_SENT and not pair[0].startswith(b"grpc-")
    ]
    headers += [(b"content-type", b"application/grpc+" + form.subtype), (b"te", b"trailers")]
    timeout = request.header(b"connect-timeout-ms")
    if timeout:
        headers.append((b"grpc-timeout", _timeout(timeout)))
    if coding not in (b"", b"identity"):
        headers.append((b"grpc-encoding", coding))
    if accepted and form.write is None:
        headers.append((b"grpc-accept-encoding", accepted))
    return replace(request, method="POST", query="", headers=headers, body=body)


def _timeout(milliseconds: bytes) -> bytes:
    if _MILLISECONDS.fullmatch(milliseconds) is None:
        shown = milliseconds[:16].decode("latin-1")
        raise Error(400, "CODEC", f"Connect-Timeout-Ms {shown!r} is not 1 to 10 digits")
    if len(milliseconds) <= _MOST_DIGITS:
        return milliseconds + b"m"
    return milliseconds[:-3] + b"S"
