"""Why a call was cancelled, and the error that its caller gets for it."""

from __future__ import annotations

from enum import Enum

from kratos.errors import Error

__all__ = ["Cause"]


class Cause(Enum):
    """Why a call was cancelled before its natural end."""

    PEER_GONE = "peer_gone"
    DEADLINE = "deadline"
    DRAINING = "draining"
    CALLER = "caller"
    AGED = "aged"

    def error(self) -> Error:
        """Return a fresh error that stands for this cause on every wire."""
        code, reason, message = _ERRORS[self]
        return Error(code, reason, message)


_AGED = "the call outlived its connection: the server's max_connection_age and its grace"

_ERRORS: dict[Cause, tuple[int, str, str]] = {
    Cause.PEER_GONE: (499, "CLIENT_CLOSED", "the peer went away before the call ended"),
    Cause.DEADLINE: (504, "DEADLINE_EXCEEDED", "the call's deadline passed"),
    Cause.DRAINING: (503, "DRAINING", "the server is shutting down"),
    Cause.AGED: (503, "CONNECTION_AGED", _AGED),
    Cause.CALLER: (499, "CANCELLED", "the caller left the call"),
}
