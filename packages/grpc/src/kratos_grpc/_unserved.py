"""The answer to calls of operations that a server does not have."""

from __future__ import annotations

from collections.abc import Mapping

from kratos.errors import Error
from kratos.transport import Operation

__all__ = ["unserved"]

_SHOWN = 256


def unserved(path: str, operations: Mapping[str, Operation]) -> Error:
    """Return the error for a call of what is not there; says whether its service is."""
    service, _, method = path[:_SHOWN].removeprefix("/").rpartition("/")
    prefix = f"/{service}/"
    if service and any(name.startswith(prefix) for name in operations):
        text = f"unknown method {method} for service {service}"
    else:
        text = f"unknown service {service}"
    return Error(501, "UNIMPLEMENTED", text)
