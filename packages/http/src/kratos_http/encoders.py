"""How replies and errors become HTTP answers; a server takes others in their place."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from kratos import encoding
from kratos.encoding import CodecError, Codecs
from kratos.encoding.http_body import is_http_body, raw
from kratos.errors import Error
from kratos.transport import Call
from kratos.transport.http import Reply, WireHeaders
from kratos_http._details import with_details
from kratos_http._refusal import refusal
from kratos_http._status import to_message
from kratos_http.redirect import Redirect

__all__ = [
    "Encoders",
    "ErrorEncoder",
    "ReplyEncoder",
    "content_type_header",
    "encode_error",
    "encode_reply",
    "http_status",
]

_log = logging.getLogger("kratos.http")

_FIRST_STATUS: Final = 200  # below are interim answers, which end no request
_LAST_STATUS: Final = 999

_content_types: dict[str, WireHeaders] = {}


class ReplyEncoder(Protocol):
    """Makes the answer of a call that succeeded."""

    def __call__(self, call: Call, message: Message, accept: str, /) -> Reply:
        """Return status, content type and body; the server adds the call's reply headers.

        Args:
            call: The call.
            message: Its reply.
            accept: The request's ``Accept`` header, empty if there is none.

        Raises:
            Error: The reply cannot be encoded.
        """
        ...


class ErrorEncoder(Protocol):
    """Makes the answer of a call that failed, or of a request that led to no call."""

    def __call__(self, error: Error, accept: str, /) -> Reply:
        """Return status, content type and body.

        Args:
            error: What failed.
            accept: The request's ``Accept`` header, empty if there is none.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoders:
    """How the answers of some operations are made, in place of the server's encoders.

    Attributes:
        reply: Of calls that succeed; ``None`` for codecs alone.
        error: Of calls that fail; ``None`` for codecs alone.
        reply_schema: What ``reply`` makes of the schema of a reply, for descriptions; ``None``
            says that it may be anything.
        error_schema: What ``error`` writes; ``None`` says that it may be anything.
    """

    reply: ReplyEncoder | None = None
    error: ErrorEncoder | None = None
    reply_schema: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    error_schema: dict[str, Any] | None = None


def encode_reply(message: Message, accept: str, *, codecs: Codecs = encoding.DEFAULT) -> Reply:
    """Return a reply message in the codec that ``Accept`` asks for, JSON without one.

    Raises:
        CodecError: The codec cannot express the message.
    """
    if is_http_body(cast("Descriptor", message.DESCRIPTOR)):
        content_type, body = raw(message)
        return Reply(200, ((b"content-type", content_type.encode()),), body)
    chosen = codecs.select(accept)
    return Reply(200, content_type_header(chosen.content_type), chosen.codec.encode(message))


def encode_error(error: Error, accept: str, *, codecs: Codecs = encoding.DEFAULT) -> Reply:
    """Return an error in the codec that ``Accept`` asks for, JSON without one.

    A codec that cannot express it is replaced by JSON (Go answers an empty 500 then).
    """
    if isinstance(error, Redirect):
        return Reply(error.code, ((b"location", error.location.encode()),))
    status = http_status(error.code)
    chosen = codecs.select(accept)
    try:
        body = chosen.codec.encode(to_message(error))
        if error.details:
            body = with_details(chosen.codec, body, error.details)
    except CodecError as problem:  # peers choose texts that errors quote: nothing is broken
        _log.debug("an error is sent as JSON: %s", problem)
        return refusal(error, status=status)
    except Exception:
        _log.exception("codec %r cannot express an error", chosen.codec.name)
        return refusal(error, status=status)
    return Reply(status, content_type_header(chosen.content_type), body)


def http_status(code: int) -> int:
    """Return the status of an error's code: itself, or 500 if HTTP has no such final status."""
    return code if _FIRST_STATUS <= code <= _LAST_STATUS else 500


def content_type_header(content_type: str) -> WireHeaders:
    """Return the one header, the same object for the same type, so that engines know it."""
    header = _content_types.get(content_type)
    if header is None:
        header = _content_types[content_type] = ((b"content-type", content_type.encode()),)
    return header
