"""The answer to a call that failed, and what of it is nobody's business."""

from __future__ import annotations

import logging
from typing import Final

from kratos.errors import Error
from kratos.transport import Call, Header
from kratos.transport.http import WireHeaders
from kratos_grpc._metadata import LEAVING, to_wire
from kratos_grpc._trailers import FINE, status_trailers
from kratos_grpc.status import to_status

__all__ = ["ending", "headers_of", "sendable", "unexpected"]

_log = logging.getLogger("kratos.grpc")

_PARTING: Final = ((LEAVING.encode(), b"1"),)


def unexpected(operation: str, failure: BaseException) -> Error:
    """Log what the caller must not see, and return what it gets."""
    _log.error("%s failed", operation, exc_info=failure)
    return Error(500, "UNKNOWN", "unknown request error").with_cause(failure)


def headers_of(call: Call, headers: WireHeaders) -> WireHeaders:
    """Return the headers of an answer, which can change no more, with those of the call.

    Raises:
        ValueError: gRPC cannot carry one of them.
    """
    call.reply_headers.freeze()
    own = to_wire(call.reply_headers)
    return [*headers, *own] if own else headers  # a list: engines remember what is in tuples


def ending(call: Call | None, error: Error | None, *, leaving: bool) -> WireHeaders:
    """Return the trailers of a call.

    Args:
        call: The call; ``None`` if there was none.
        error: What it failed with.
        leaving: Whether the client is to connect anew.

    Raises:
        ValueError: The call succeeded, and has a trailer that gRPC cannot carry.
    """
    parting = _PARTING if leaving else ()
    if error is None:
        own = to_wire(call.trailers) if call is not None and not call.is_bare else []
        return [*FINE, *own, *parting] if own else (*FINE, *parting)
    own = sendable(call.method.operation, call.trailers) if call is not None else []
    return status_trailers(to_status(error), (*own, *parting))


def sendable(operation: str, header: Header) -> list[tuple[bytes, bytes]]:
    """Return the headers that go with an error, which has to get through without them."""
    try:
        return to_wire(header)
    except ValueError as error:
        unexpected(operation, error)
        return []
