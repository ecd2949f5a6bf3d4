"""What servers of gRPC say in header blocks: read once per distinct block.

An engine gives the same object for blocks of the same bytes, so that what follows from one is noted
on it; it is shared by calls, and never changed.
"""

from __future__ import annotations

import base64
from typing import Final
from urllib.parse import unquote_to_bytes

from kratos.errors import Error
from kratos.transport import Header
from kratos.transport.http import WireHeaders
from kratos_grpc._codings import CODINGS, IDENTITY, Coding
from kratos_grpc._http_status import inferred
from kratos_grpc._metadata import OF_ANSWERS, arrived
from kratos_grpc.status import DETAILS_KEY
from kratos_http2 import HeaderBlock

__all__ = ["NO_STATUS", "End", "Start", "end_in", "end_of", "start_of"]

_STATUS: Final = b"grpc-status"
_MESSAGE: Final = b"grpc-message"
_DETAILS: Final = DETAILS_KEY.encode()
_ENCODING: Final = b"grpc-encoding"
_CONTENT_TYPE: Final = b"content-type"
_KIND: Final = b"application/grpc"
_UNKNOWN: Final = 2
_FINE: Final = b"200"

_NOTHING: Final = Header()
_NOTHING.freeze()


class End:
    """How a call ended.

    Attributes:
        code: gRPC status code.
        message: Text for people.
        details: Bytes of ``google.rpc.Status``; empty for none.
        metadata: Of the call's own; frozen.
        fine: Whether the call succeeded.
    """

    __slots__ = ("code", "details", "fine", "message", "metadata")

    def __init__(
        self,
        code: int,
        message: str = "",
        details: bytes = b"",
        metadata: Header = _NOTHING,
    ) -> None:
        self.code = code
        self.message = message
        self.details = details
        self.metadata = metadata
        self.fine = code == 0


_NO_STATUS: Final = "the call ended without a status"
NO_STATUS: Final = End(_UNKNOWN, _NO_STATUS)
"""The end of a call whose trailers did not come."""


class Start:
    """How an answer began.

    Attributes:
        metadata: Headers of the call's own; frozen.
        coding: Of compressed messages; ``None`` for none.
        end: How the call ended, if nothing follows, or is worth reading; else ``None``.
        alone: Whether ``end`` holds only if neither messages nor trailers follow.
    """

    __slots__ = ("alone", "coding", "end", "metadata")

    def __init__(
        self, metadata: Header, coding: Coding | None, end: End | None, *, alone: bool = False
    ) -> None:
        self.metadata = metadata
        self.coding = coding
        self.end = end
        self.alone = alone


def start_of(block: HeaderBlock) -> Start:
    """Return how an answer began."""
    note = block.note
    if note is None:
        note = block.note = _read_start(block)
    assert isinstance(note, Start), "blocks of answers are read here alone"
    return note


def end_of(block: HeaderBlock) -> End:
    """Return how a call ended, as its trailers say."""
    note = block.note
    if note is None:
        note = block.note = end_in(block.fields)
    assert isinstance(note, End), "trailers are read here alone"
    return note


def _read_start(block: HeaderBlock) -> Start:
    fields = dict(reversed(block.fields))  # the first of each name
    kind = fields.get(_CONTENT_TYPE, b"")
    spoken = kind == _KIND or kind.startswith((b"application/grpc+", b"application/grpc;"))
    if _STATUS in fields and (spoken or not kind):
        end = end_in(block.fields)
        coding = CODINGS.get(fields.get(_ENCODING, IDENTITY))
        return Start(end.metadata, coding, end, alone=True)
    if block.status != _FINE or not spoken:
        code = inferred(int(block.status))
        shown = kind.decode("latin-1") or "no content type"
        text = f"the answer is none of gRPC: HTTP {block.status.decode()}, {shown}"
        return Start(_metadata(block.fields)[0], None, End(code, text))
    metadata, problem = _metadata(block.fields)
    name = fields.get(_ENCODING, IDENTITY)
    coding = CODINGS.get(name)
    if coding is None and name != IDENTITY:
        problem = f"the reply has the coding {name.decode('latin-1')!r}, which nobody asked for"
    return Start(metadata, coding, End(13, problem) if problem else None)


def end_in(trailers: WireHeaders) -> End:
    """Return how a call ended, as some trailers say."""
    fields = dict(reversed(trailers))
    status = fields.get(_STATUS)
    metadata, problem = _metadata(trailers)
    if problem:
        return End(13, problem)
    if status is None:
        return End(_UNKNOWN, _NO_STATUS, b"", metadata)
    if not status.isdigit() or len(status) > 9:
        shown = status.decode("latin-1")
        return End(_UNKNOWN, f"the call ended with the status {shown!r}, which is none")
    message = unquote_to_bytes(fields.get(_MESSAGE, b"")).decode("utf-8", "replace")
    return End(int(status), message, _decoded(fields.get(_DETAILS, b"")), metadata)


def _metadata(fields: WireHeaders) -> tuple[Header, str]:
    """Return metadata, and what is wrong with it."""
    try:
        kept = arrived(fields, OF_ANSWERS)
    except Error as error:
        return _NOTHING, error.message
    if not kept:
        return _NOTHING, ""
    header = Header(kept)
    header.freeze()
    return header, ""


def _decoded(value: bytes) -> bytes:
    """Return bytes that came as base64; none for what is no base64: the status still says much."""
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except ValueError:
        return b""
