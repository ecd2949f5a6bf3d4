"""What a client's caller gets when the wire fails, as gRPC has it for every client."""

from __future__ import annotations

from typing import Final

from kratos.errors import Error
from kratos.transport import Call, Cause
from kratos_grpc._answers import End
from kratos_grpc._refusals import named
from kratos_grpc.status import WireStatus, from_status
from kratos_http.http2 import Reset, TooLarge
from kratos_http2 import ErrorCode

__all__ = [
    "closed",
    "end_of_failure",
    "failed",
    "is_unanswered",
    "wrong_replies",
]

_CANCELLED: Final = 1
_UNKNOWN: Final = 2
_DEADLINE_EXCEEDED: Final = 4
_PERMISSION_DENIED: Final = 7
_RESOURCE_EXHAUSTED: Final = 8
_UNIMPLEMENTED: Final = 12
_INTERNAL: Final = 13
_UNAVAILABLE: Final = 14

_OF_RESET: Final[dict[int, int]] = {
    ErrorCode.NO_ERROR: _INTERNAL,
    ErrorCode.PROTOCOL_ERROR: _INTERNAL,
    ErrorCode.INTERNAL_ERROR: _INTERNAL,
    ErrorCode.FLOW_CONTROL_ERROR: _INTERNAL,
    ErrorCode.SETTINGS_TIMEOUT: _INTERNAL,
    ErrorCode.FRAME_SIZE_ERROR: _INTERNAL,
    ErrorCode.REFUSED_STREAM: _UNAVAILABLE,
    ErrorCode.CANCEL: _CANCELLED,
    ErrorCode.COMPRESSION_ERROR: _INTERNAL,
    ErrorCode.CONNECT_ERROR: _INTERNAL,
    ErrorCode.ENHANCE_YOUR_CALM: _RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: _PERMISSION_DENIED,
}
"""Codes of streams that were reset (gRPC over HTTP/2, Errors)."""

# Seconds left, below which a bare status means that the time is over: the server's own clock may
# have been first, and it may call that cancelled.
_TOO_LATE: Final = {_DEADLINE_EXCEEDED: 0.01, _CANCELLED: 1e-6}


def end_of_failure(call: Call, error: Exception) -> End:
    """Return how a call ended that broke off."""
    text = f"{call.peer}: {str(error) or type(error).__name__}"
    if isinstance(error, Reset):
        return End(_OF_RESET.get(error.code, _UNKNOWN), text)
    if isinstance(error, TooLarge):
        return End(_RESOURCE_EXHAUSTED, f"{text}: max_headers sets it")
    return End(_UNAVAILABLE, text)


def closed(address: str) -> Error:
    """Return the error of a call whose connection was closed from this side."""
    return Error(503, "CONNECTION_CLOSED", f"the connection to {address} was closed")


def failed(call: Call, end: End) -> Error:
    """Return the error of a call that did not end well."""
    if _is_late(call, end):
        return Cause.DEADLINE.error()
    error = from_status(WireStatus(code=end.code, message=end.message, details=end.details))
    return error if end.details else named(error)


def is_unanswered(call: Call, end: End) -> bool:
    """Tell whether a call was ended, and neither by the service nor by its time limit."""
    told = end.details or call.reply_headers or call.trailers
    return end.code in (_CANCELLED, _UNAVAILABLE) and not told and not _is_late(call, end)


def _is_late(call: Call, end: End) -> bool:
    """Tell whether a call ended because its time is over, whatever the server calls that."""
    left = call.remaining() if end.code in _TOO_LATE and not end.details else None
    return left is not None and left < _TOO_LATE[end.code]


def wrong_replies(told: str) -> Error:
    """Return the error for an answer that has not the one reply that its method has.

    To peers it is UNIMPLEMENTED: the server has another method of this name.
    """
    error = Error(500, "CODEC", f"the call ended well, and {told}")
    return error.with_grpc_code(_UNIMPLEMENTED)
