"""What a client over Connect makes of answers."""

from __future__ import annotations

import json
from typing import Any, Final

from kratos.errors import Error
from kratos.transport import Call, Header
from kratos.transport.http import WireHeaders
from kratos_grpc._codings import CODINGS, IDENTITY, Coding, decompressed
from kratos_grpc._http_status import inferred
from kratos_grpc._metadata import arrived
from kratos_grpc._sizes import TOO_LARGE, reply_not_taken
from kratos_grpc.connect._errors import read_error
from kratos_grpc.connect._formats import Format
from kratos_grpc.status import WireStatus, from_status
from kratos_http.carrier import RawReply, TooLarge

__all__ = [
    "expanded",
    "frozen",
    "lost",
    "of_reply",
    "parsed",
    "read_unary",
    "refused",
    "reply_coding",
    "require_type",
    "value_of",
]

_OK: Final = 200
_UNKNOWN: Final = 2
_TRAILER: Final = b"trailer-"
_JSON: Final = b"application/json"
_EXCERPT: Final = 512  # bytes
_NONE: Final = frozenset[bytes]()
_BINARY: Final = b"-bin"
_NOTHING: Final = Header()
_NOTHING.freeze()


async def read_unary(call: Call, form: Format, reply: RawReply, most: int) -> Any:
    """Return the reply of a unary call, and put its headers and trailers on the call.

    Raises:
        Error: What the service answered, or one for what is no answer of it.
    """
    kind = name = b""
    own: list[tuple[bytes, bytes]] = []
    later: list[tuple[bytes, bytes]] = []
    for pair in reply.headers:
        key = pair[0]
        if key.startswith(_TRAILER):
            later.append((key[len(_TRAILER) :], pair[1]))
            continue
        own.append(pair)
        if key == b"content-type":
            kind = kind or pair[1]
        elif key == b"content-encoding":
            name = name or pair[1]
    call.reply_headers = frozen(own)
    call.trailers = frozen(later) if later else _NOTHING
    if reply.status == _OK:
        require_type(kind, form.content_type)
    body = reply.body
    coding = reply_coding(name) if name else None
    if coding is not None and body:
        body = await expanded(body, coding, most)
    if reply.status != _OK:
        raise refused(reply.status, kind, body)
    return form.read(body)


def refused(status: int, kind: bytes, body: bytes) -> Error:
    """Return the error that an answer with another status than 200 is.

    What is no error of Connect, such as a proxy's page, is its cause, for logs.
    """
    code = inferred(status)
    if kind.partition(b";")[0].strip().lower() == _JSON:
        found = read_error(parsed(body), otherwise=code)
        if found is not None:
            return found
    error = from_status(WireStatus(code=code, message=f"the server answered with HTTP {status}"))
    if not body:
        return error
    return error.with_cause(ValueError(body[:_EXCERPT].decode("utf-8", "replace")))


def parsed(data: bytes) -> Any:
    """Return the value of some JSON; ``None`` for what is none."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def require_type(kind: bytes, expected: WireHeaders) -> None:
    """Refuse an answer in another format than was asked for, or by something else than Connect.

    Raises:
        Error: It is one.
    """
    wanted = expected[0][1]
    if kind == wanted:
        return
    name = kind.partition(b";")[0].strip().lower()
    if name == wanted:
        return
    text = f"the answer is {kind[:64].decode('latin-1')!r}, where {wanted.decode()} is due"
    if name.startswith(wanted.rpartition(b"+" if b"+" in wanted else b"/")[0]):
        raise Error(500, "CODEC", text)
    error = from_status(WireStatus(code=_UNKNOWN, message=text))
    error.reason = "CODEC"
    raise error


def reply_coding(name: bytes) -> Coding | None:
    """Return how an answer is compressed; ``None`` for not at all.

    Raises:
        Error: 500 CODEC: it is in a way that nobody asked for.
    """
    name = name.strip().lower()
    if name in (b"", IDENTITY):
        return None
    found = CODINGS.get(name)
    if found is None:
        shown = name[:32].decode("latin-1")
        raise Error(500, "CODEC", f"the answer came compressed as {shown!r}, unasked")
    return found


async def expanded(data: bytes, coding: Coding, most: int) -> bytes:
    """Return a message as it was before it was compressed.

    Raises:
        Error: 429 MESSAGE_TOO_LARGE: it exceeds the limit. 500 CODEC: it is malformed.
    """
    try:
        return await decompressed(data, coding, most)
    except Error as error:
        raise of_reply(error, most) from None


def of_reply(error: Error, most: int) -> Error:
    """Return what is wrong with a reply for what would be wrong with a request."""
    if error.reason != TOO_LARGE:
        return Error(500, error.reason, error.message)
    return reply_not_taken(None, most)


def lost(call: Call, error: Exception) -> Error:
    """Return the error for an answer that did not come, or had to be given up."""
    text = f"{call.peer}: {str(error) or type(error).__name__}"
    if isinstance(error, TooLarge):
        return Error(429, TOO_LARGE, f"{text}; max_receive sets how large messages may be")
    return Error(503, "UNAVAILABLE", text)


def frozen(pairs: WireHeaders) -> Header:
    """Return received headers."""
    for name, _ in pairs:
        if name.endswith(_BINARY):
            pairs = arrived(pairs, _NONE)
            break
    header = Header(pairs)
    header.freeze()
    return header


def value_of(headers: WireHeaders, name: bytes) -> bytes:
    """Return the first value of a lower-case name, empty when it is absent."""
    return next((value for key, value in headers if key == name), b"")
