"""Statuses of gRPC, as they come in headers or trailers, and as JSON."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status as RpcStatus  # type: ignore[import-untyped]

from kratos.encoding import CodecError
from kratos.encoding.json import JsonCodec
from kratos.errors import Error, from_grpc_code, to_grpc_code
from kratos.transport.http import WireHeaders
from kratos_gateway.exchange import Answer
from kratos_gateway.middleware.refusal import grpc_message

__all__ = [
    "UNIMPLEMENTED",
    "Status",
    "error_json",
    "error_of",
    "json_error",
    "json_of",
    "status_of",
]

_JSON: Final = JsonCodec()
UNIMPLEMENTED: Final = 12
"""The code of a method that there is not."""

_UNKNOWN: Final = 2
_LAST: Final = 16
_EXACT: Final = ("kratos", "HTTP_STATUS")  # domain and reason of what tells the very code
_DIGITS: Final = 3
_LEAST_ERROR: Final = 400
# What a client of gRPC makes of an answer that has no status.
_OF_HTTP: Final = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}


@dataclass(frozen=True, slots=True)
class Status:
    """How a call ended.

    Attributes:
        code: Of gRPC; 0 for well.
        message: Text for people.
        details: Messages for machines.
    """

    code: int
    message: str = ""
    details: Sequence[AnyMessage] = ()

    @property
    def http(self) -> int:
        """Status of HTTP that stands for it."""
        return from_grpc_code(self.code)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return what says so on the wire."""
        told = [(b"grpc-status", str(self.code).encode())]
        if self.message:
            told.append((b"grpc-message", grpc_message(self.message)))
        return told


def status_of(answer: Answer, /) -> Status:
    """Return how a call ended, by trailers of an answer, else by its headers.

    An answer that does not tell is one of something else than a service of gRPC; its code is
    what the specification has for its status of HTTP.
    """
    where = answer.trailers if _first(answer.trailers, b"grpc-status") else answer.headers
    text = _first(where, b"grpc-status")
    if not text:
        told = f"the back end answered {answer.status} without a status of gRPC"
        return Status(_OF_HTTP.get(answer.status, _UNKNOWN), told)
    message = unquote_to_bytes(_first(where, b"grpc-message").rstrip()).decode(errors="replace")
    if not (text.isdigit() and len(text) <= 2):
        return Status(_UNKNOWN, f"the back end sent the status {text.decode(errors='replace')!r}")
    code = int(text)
    if code > _LAST:
        return Status(_UNKNOWN, message or f"the back end sent the status {code}")
    return Status(code, message, _details(_first(where, b"grpc-status-details-bin")))


def error_of(status: Status, /) -> Error:
    """Return the error of Kratos that a status stands for.

    Its first ``ErrorInfo`` tells reason and metadata, and one of the domain ``kratos`` the very
    code, where several go by the status of gRPC.
    """
    error = Error(status.http, "", status.message)
    found = False
    for detail in status.details:
        if not detail.type_url.endswith("/google.rpc.ErrorInfo"):
            continue
        try:
            info: Any = ErrorInfo.FromString(detail.value)
        except DecodeError:
            continue
        if (info.domain, info.reason) == _EXACT:
            error.code = _exact_code(status.code, info.metadata["code"]) or error.code
        elif not found:
            found = True
            error.reason, error.metadata = info.reason, dict(info.metadata)
    return error


def _exact_code(code: int, text: str) -> int | None:
    """Return the code that a detail tells, unless it contradicts the status of gRPC."""
    if not (text.isascii() and text.isdigit() and len(text) == _DIGITS):
        return None
    exact = int(text)
    fits = exact >= _LEAST_ERROR and (to_grpc_code(exact) or _UNKNOWN) == code
    return exact if fits else None


def error_json(error: Error, /) -> bytes:
    """Return an error of Kratos as servers of Kratos write it."""
    told = {
        "code": error.code,
        "reason": error.reason,
        "message": error.message,
        "metadata": error.metadata,
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def json_error(error: Error, headers: Iterable[tuple[bytes, bytes]] = (), /) -> Answer:
    """Return the answer that an error of Kratos is.

    Args:
        error: It.
        headers: Further ones.
    """
    told = [(b"content-type", b"application/json"), *headers]
    return Answer(error.code, told, error_json(error))


def json_of(status: Status, /) -> bytes:
    """Return a status as the JSON of ``google.rpc.Status``.

    A detail whose type is not known here has its bytes, in base64, as ``value``.
    """
    told: dict[str, Any] = {"code": status.code}
    if status.message:
        told["message"] = status.message
    if status.details:
        told["details"] = [_detail(each) for each in status.details]
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def _detail(given: AnyMessage) -> Any:
    try:
        return _JSON.to_value(given)
    except CodecError:
        value = base64.b64encode(given.value).decode()
        return {"@type": given.type_url, "value": value}


def _details(text: bytes) -> Sequence[AnyMessage]:
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
        return tuple(RpcStatus.FromString(data).details)
    except (binascii.Error, DecodeError):
        return ()  # code and message say enough


def _first(pairs: WireHeaders, name: bytes) -> bytes:
    return next((value for key, value in pairs if key == name), b"")
