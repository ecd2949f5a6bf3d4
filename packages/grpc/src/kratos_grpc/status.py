"""Errors as gRPC statuses and back, byte for byte as Go Kratos (Go: errors/errors.go).

An error travels as status code and message, and once more as ``google.rpc.Status`` in the
trailer ``grpc-status-details-bin``, where one ``google.rpc.ErrorInfo`` without a domain holds
reason and metadata. An error that has neither, but details or a status code of its own, is for
clients that know nothing of Kratos, and goes without it.

The table of codes is not one to one: 404 becomes NOT_FOUND and 404 again, but 418 would come back
as 500. For such codes, and for no others, a second ``ErrorInfo`` of the domain ``kratos`` holds
the code itself. Go reads the first ``ErrorInfo`` alone and tools know the type, so nobody stumbles
over it. The error's own details follow.

All of it has to fit into the trailers that a peer takes, 8 KiB with many of them. Of details that
would not, none is sent, and texts that would not are cut: such an error is worth more than a broken
call, which the peer takes for another error.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from kratos.errors import Error, from_grpc_code, to_grpc_code

__all__ = ["DETAILS_KEY", "WireStatus", "from_status", "to_status", "whole_status"]

DETAILS_KEY: Final = "grpc-status-details-bin"
"""Trailer that holds the bytes of ``google.rpc.Status``."""

_log = logging.getLogger("kratos.grpc")

_MOST: Final = 7 * 1024  # bytes in trailers; the rest of 8 KiB is for those of the handler

_OK: Final = 0
_UNKNOWN: Final = 2
_FAILED: Final = range(1, 17)
_ERROR_INFO: Final = "google.rpc.ErrorInfo"
_TYPE_URL: Final = f"type.googleapis.com/{_ERROR_INFO}"

# The second detail: ErrorInfo{reason: HTTP_STATUS, domain: kratos, metadata: {code: "418"}}
_CODE_DOMAIN: Final = "kratos"
_CODE_REASON: Final = "HTTP_STATUS"
_CODE_KEY: Final = "code"
_GRPC_CODE_KEY: Final = "grpc_code"  # only if it is not the one of the table
_CODE_DIGITS: Final = 9  # what an int32 surely holds


@dataclass(frozen=True, slots=True, kw_only=True)
class WireStatus:
    """What a failed call ends with.

    Attributes:
        code: gRPC status code.
        message: Text for people.
        details: Bytes of ``google.rpc.Status``; empty for none.
    """

    code: int
    message: str = ""
    details: bytes = b""


def to_status(error: Error) -> WireStatus:
    """Return the status of an error; its cause does not travel.

    Details that do not fit into trailers are left out; if the texts do not, either, the message is
    cut, and at last the metadata left out. A line in the log tells that.
    No failed call ends with OK, which cannot carry details: code 200 goes as UNKNOWN.
    """
    part, status = error, _bare(error)
    details: bytes = status.SerializeToString()
    if _on_the_wire(details, status.message) > _MOST:
        part = _shortened(error)
        status = _bare(part)
        details = status.SerializeToString()
        _log.warning("an error of %r is sent shortened, as trailers have no room", part.reason)
    if error.details:
        plain = details
        status.details.extend(error.details)
        details = status.SerializeToString()
        if (size := _on_the_wire(details, status.message)) > _MOST:
            _log.warning(
                "%r is sent without its details: with them it takes %d bytes of trailers, more "
                "than %d",
                part,
                size,
                _MOST,
            )
            details = plain
    return WireStatus(code=status.code, message=status.message, details=details)


def whole_status(error: Error) -> Any:
    """Return the ``google.rpc.Status`` of an error with all that it holds, whatever its size."""
    status = _bare(error)
    status.details.extend(error.details)
    return status


def _shortened(error: Error) -> Error:
    """Return as much of an error as fits: whoever called may have chosen its texts."""
    for length in (1024, 256):
        part = _part(error, error.reason, error.message[:length], error.metadata)
        status = _bare(part)
        if _on_the_wire(status.SerializeToString(), status.message) <= _MOST:
            return part
    return _part(error, error.reason[:64], error.message[:256], {})


def _part(error: Error, reason: str, message: str, metadata: Mapping[str, str]) -> Error:
    part = Error(error.code, reason, message, metadata)
    part.grpc_code = error.grpc_code
    return part


def _bare(error: Error) -> Any:
    """Return the ``google.rpc.Status`` of an error without its own details."""
    code = to_grpc_code(error.code) if error.grpc_code is None else error.grpc_code
    exact = from_grpc_code(code) == error.code
    if code == _OK:
        code, exact = _UNKNOWN, False
    status = status_pb2.Status(code=code, message=_text(error.message))
    if not exact or not _is_foreign(error):
        info = error_details_pb2.ErrorInfo(
            reason=_text(error.reason),
            metadata={_text(key): _text(value) for key, value in error.metadata.items()},
        )
        status.details.add(type_url=_TYPE_URL, value=info.SerializeToString(deterministic=True))
    if not exact:
        told = {_CODE_KEY: str(error.code)}
        if error.grpc_code is not None:
            told[_GRPC_CODE_KEY] = str(code)
        info = error_details_pb2.ErrorInfo(reason=_CODE_REASON, domain=_CODE_DOMAIN, metadata=told)
        status.details.add(type_url=_TYPE_URL, value=info.SerializeToString(deterministic=True))
    return status


def _is_foreign(error: Error) -> bool:
    """Tell whether an error holds nothing of Kratos, and something that Kratos for Go has not."""
    bare = not error.reason and not error.metadata
    return bare and (bool(error.details) or error.grpc_code is not None)


def from_status(status: WireStatus) -> Error:
    """Return the error of a status.

    Reason and metadata come from the first ``ErrorInfo``, which is among the details too if it
    has a domain. Other details are kept as they are; malformed ones of this type are passed over.
    A status without details has an empty reason. The exact code is believed only while it agrees
    with the status code, which a proxy may have changed. A status code that is not the one of the
    table stays on the error, so that passing it on loses nothing.
    """
    error = Error(from_grpc_code(status.code), "", status.message)
    found = False
    kept: list[Any] = []
    for detail, info in _read(status.details):
        if info is None:
            kept.append(detail)
        elif info.domain == _CODE_DOMAIN and info.reason == _CODE_REASON:
            error.code = _exact_code(status.code, info.metadata) or error.code
        else:
            if found or info.domain:
                kept.append(detail)
            if not found:
                found = True
                error.reason = info.reason
                error.metadata = dict(info.metadata)
    error.details = tuple(kept)
    if to_grpc_code(error.code) != status.code and status.code in _FAILED:
        error.grpc_code = status.code
    return error


def _read(data: bytes) -> Iterator[tuple[Any, error_details_pb2.ErrorInfo | None]]:
    """Yield the details, each with the ``ErrorInfo`` that it is, without malformed ones of them."""
    try:
        details = status_pb2.Status.FromString(data).details
    except DecodeError:
        return  # the status itself still says what it can
    for detail in details:
        if detail.type_url.rpartition("/")[2] != _ERROR_INFO:
            yield detail, None
            continue
        try:
            info = error_details_pb2.ErrorInfo.FromString(detail.value)
        except DecodeError:
            continue
        yield detail, info


def _on_the_wire(details: bytes, message: str) -> int:
    """Return the bytes that both trailers take: one as base64, the other percent-encoded."""
    return (len(details) + 2) // 3 * 4 + len(quote(message, safe=" "))


def _exact_code(status_code: int, told: Mapping[str, str]) -> int | None:
    """Return the code that a detail tells, unless it contradicts the status code."""
    text = told.get(_CODE_KEY, "")
    if not (text.isascii() and text.isdigit() and len(text) <= _CODE_DIGITS):
        return None
    code = int(text)
    if told.get(_GRPC_CODE_KEY) == str(status_code):
        return code
    return code if (to_grpc_code(code) or _UNKNOWN) == status_code else None


def _text(value: object) -> str:
    """Return text that protobuf and gRPC accept: an error must get through, whatever is in it."""
    return str(value).encode("utf-8", "replace").decode()
