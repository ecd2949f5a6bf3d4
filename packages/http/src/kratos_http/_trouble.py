"""What a client's caller gets when the wire fails, and the headers of what came."""

from __future__ import annotations

from kratos.errors import Error
from kratos.transport import Call, Header

__all__ = ["frozen", "too_large", "unavailable"]


def unavailable(call: Call, error: OSError) -> Error:
    """Return the error for a server that cannot be reached or was lost."""
    return Error(503, "UNAVAILABLE", f"{call.peer}: {str(error) or type(error).__name__}")


def too_large(call: Call, error: Exception) -> Error:
    """Return the error for a reply that exceeds the limit."""
    return Error(500, "REPLY_TOO_LARGE", f"{call.peer}: {error}")


def frozen(pairs: list[tuple[bytes, bytes]]) -> Header:
    """Return received headers."""
    header = Header(pairs)
    header.freeze()
    return header
