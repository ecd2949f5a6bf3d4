"""The requests of a client over Connect."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from google.protobuf.message import Message

from kratos.transport import Call, Cause
from kratos.transport.safe import is_safe
from kratos_grpc._codings import MINIMUM, Coding, compressed
from kratos_grpc.connect._formats import JSON, Format
from kratos_grpc.connect._metadata import leading
from kratos_http.carrier import Request

__all__ = ["Accepting", "get_request", "post_request", "stream_request"]

_VERSION: Final = (b"connect-protocol-version", b"1")
_LONGEST: Final = 8 * 1024  # bytes of a query: what servers and proxies surely take
_MOST: Final = 9_999_999_999  # ten digits


@dataclass(frozen=True, slots=True)
class Accepting:
    """What is told of the answers that are understood.

    Attributes:
        codings: Names of codings, the best first.
    """

    codings: bytes


async def post_request(
    call: Call, form: Format, data: bytes, accepting: Accepting, coding: Coding | None
) -> tuple[Request, bytes]:
    """Return the request of a unary call, and its body.

    Raises:
        Error: 504: there is no time left for the call.
        ValueError: Connect cannot carry one of its headers.
    """
    headers = [*form.content_type, _VERSION, (b"accept-encoding", accepting.codings)]
    if coding is not None and len(data) >= MINIMUM:
        data = await compressed(data, coding)
        headers.append((b"content-encoding", coding.name))
    return Request("POST", call.method.operation, _with_own(call, headers)), data


def get_request(call: Call, form: Format, request: Message, accepting: Accepting) -> Request | None:
    """Return the request of a unary call without side effects as GET.

    Returns:
        ``None`` for a method that has some, and for a message that is too long for a query.

    Raises:
        Error: 504: there is no time left for the call.
        ValueError: Connect cannot carry one of its headers.
    """
    if not is_safe(call.method):
        return None
    if form.name == JSON:
        message, kind = quote(form.write(request), safe=""), "encoding=json"
    else:
        # The same each time, as caches go by it.
        data = request.SerializePartialToString(deterministic=True)
        message = base64.urlsafe_b64encode(data).rstrip(b"=").decode()
        kind = "base64=1&encoding=proto"
    if len(message) > _LONGEST:
        return None
    target = f"{call.method.operation}?connect=v1&{kind}&message={message}"
    return Request("GET", target, _with_own(call, [(b"accept-encoding", accepting.codings)]))


def stream_request(
    call: Call, form: Format, accepting: Accepting, coding: Coding | None
) -> Request:
    """Return the request of a call that streams.

    Raises:
        Error: 504: there is no time left for the call.
        ValueError: Connect cannot carry one of its headers.
    """
    headers = [*form.stream_type, _VERSION, (b"connect-accept-encoding", accepting.codings)]
    headers.append((b"accept-encoding", b"identity"))  # of the whole body
    if coding is not None:
        headers.append((b"connect-content-encoding", coding.name))
    return Request("POST", call.method.operation, _with_own(call, headers))


def _with_own(call: Call, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return headers with those of the call, and with the time that it has left."""
    left = call.remaining()
    if left is not None:
        if left <= 0:
            raise Cause.DEADLINE.error()
        # Down, since a peer must not believe that it has longer than its caller.
        limit = min(_MOST, max(1, math.floor(left * 1000)))
        headers.append((b"connect-timeout-ms", b"%d" % limit))
    return [*headers, *leading(call.headers)] if len(call.headers) else headers
