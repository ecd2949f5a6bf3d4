"""Ready-made kinds of the wire error and their predicates (Go: errors/types.go)."""

from __future__ import annotations

from collections.abc import Mapping

from kratos.errors._status import Error
from kratos.errors._status import code as _code

__all__ = [
    "bad_request",
    "client_closed",
    "conflict",
    "forbidden",
    "gateway_timeout",
    "internal_server",
    "is_bad_request",
    "is_client_closed",
    "is_conflict",
    "is_forbidden",
    "is_gateway_timeout",
    "is_internal_server",
    "is_not_found",
    "is_service_unavailable",
    "is_too_many_requests",
    "is_unauthorized",
    "not_found",
    "service_unavailable",
    "too_many_requests",
    "unauthorized",
]


def bad_request(reason: str, message: str = "", metadata: Mapping[str, str] | None = None) -> Error:
    """Make a 400: the request is malformed or violates a rule."""
    return Error(400, reason, message, metadata)


def is_bad_request(error: BaseException | None) -> bool:
    """Tell whether the error's code is 400."""
    return _code(error) == 400


def unauthorized(
    reason: str, message: str = "", metadata: Mapping[str, str] | None = None
) -> Error:
    """Make a 401: the caller is not known."""
    return Error(401, reason, message, metadata)


def is_unauthorized(error: BaseException | None) -> bool:
    """Tell whether the error's code is 401."""
    return _code(error) == 401


def forbidden(reason: str, message: str = "", metadata: Mapping[str, str] | None = None) -> Error:
    """Make a 403: the caller is known and may not do this."""
    return Error(403, reason, message, metadata)


def is_forbidden(error: BaseException | None) -> bool:
    """Tell whether the error's code is 403."""
    return _code(error) == 403


def not_found(reason: str, message: str = "", metadata: Mapping[str, str] | None = None) -> Error:
    """Make a 404: the named thing does not exist."""
    return Error(404, reason, message, metadata)


def is_not_found(error: BaseException | None) -> bool:
    """Tell whether the error's code is 404."""
    return _code(error) == 404


def conflict(reason: str, message: str = "", metadata: Mapping[str, str] | None = None) -> Error:
    """Make a 409: the request contradicts the present state."""
    return Error(409, reason, message, metadata)


def is_conflict(error: BaseException | None) -> bool:
    """Tell whether the error's code is 409."""
    return _code(error) == 409


def too_many_requests(
    reason: str, message: str = "", metadata: Mapping[str, str] | None = None
) -> Error:
    """Make a 429: the caller, or everybody, asks too often."""
    return Error(429, reason, message, metadata)


def is_too_many_requests(error: BaseException | None) -> bool:
    """Tell whether the error's code is 429."""
    return _code(error) == 429


def client_closed(
    reason: str, message: str = "", metadata: Mapping[str, str] | None = None
) -> Error:
    """Make a 499: the caller went away before the answer."""
    return Error(499, reason, message, metadata)


def is_client_closed(error: BaseException | None) -> bool:
    """Tell whether the error's code is 499."""
    return _code(error) == 499


def internal_server(
    reason: str, message: str = "", metadata: Mapping[str, str] | None = None
) -> Error:
    """Make a 500: something failed inside."""
    return Error(500, reason, message, metadata)


def is_internal_server(error: BaseException | None) -> bool:
    """Tell whether the error's code is 500."""
    return _code(error) == 500


def service_unavailable(
    reason: str, message: str = "", metadata: Mapping[str, str] | None = None
) -> Error:
    """Make a 503: the service cannot answer now; trying again may help."""
    return Error(503, reason, message, metadata)


def is_service_unavailable(error: BaseException | None) -> bool:
    """Tell whether the error's code is 503."""
    return _code(error) == 503


def gateway_timeout(
    reason: str, message: str = "", metadata: Mapping[str, str] | None = None
) -> Error:
    """Make a 504: the answer did not come in time."""
    return Error(504, reason, message, metadata)


def is_gateway_timeout(error: BaseException | None) -> bool:
    """Tell whether the error's code is 504."""
    return _code(error) == 504
