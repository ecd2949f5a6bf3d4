"""Errors and ends of calls as Connect writes them (https://connectrpc.com/docs/protocol)."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from kratos.errors import Error, to_grpc_code
from kratos.transport.http import WireHeaders
from kratos_gateway.middleware.frames import framed
from kratos_gateway.middleware.statuses import Status
from kratos_http.connect_codes import name_of, status_of

__all__ = ["end", "failure", "of_http"]

_END: Final = 2  # flag of the frame that ends a stream
_UNKNOWN: Final = 2
# Where clients of Connect expect something else than the table of Kratos has.
_OF_HTTP: Final = {413: 8, 502: 14, 503: 14}


def of_http(error: Error, /) -> Status:
    """Return the status of an error of the gateway itself."""
    code = _OF_HTTP.get(error.code) or to_grpc_code(error.code) or _UNKNOWN
    return Status(code, error.message)


def failure(status: Status, /) -> tuple[int, bytes]:
    """Return status of HTTP and body of a call with one answer that failed."""
    return status_of(status.code), _dumped(_error(status))


def end(status: Status, trailers: WireHeaders = (), /) -> bytes:
    """Return the frame that ends a stream.

    Args:
        status: How the call ended.
        trailers: Of the call.
    """
    told: dict[str, Any] = {}
    if status.code:
        told["error"] = _error(status)
    metadata: dict[str, list[str]] = {}
    for name, value in trailers:
        metadata.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    if metadata:
        told["metadata"] = metadata
    return framed(_dumped(told), _END)


def _error(status: Status) -> dict[str, Any]:
    told: dict[str, Any] = {"code": name_of(status.code)}
    if status.message:
        told["message"] = status.message
    if status.details:
        told["details"] = [
            {
                "type": detail.type_url.rpartition("/")[2],
                "value": base64.b64encode(detail.value).rstrip(b"=").decode(),
            }
            for detail in status.details
        ]
    return told


def _dumped(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
