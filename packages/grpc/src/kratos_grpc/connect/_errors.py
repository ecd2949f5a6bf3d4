"""Errors as Connect writes them, in JSON, and back.

The details are those that an error has over gRPC: the ``google.rpc.ErrorInfo`` of reason and
metadata, the exact code where Connect's is not, and the error's own. So nothing is lost between
services of ours, and others see code, message and details. Nothing is cut: bodies have room.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final, cast

from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2  # type: ignore[import-untyped]

from kratos.errors import Error
from kratos_grpc.status import WireStatus, from_status, whole_status
from kratos_http.connect_codes import code_of, name_of
from kratos_protojson import JsonError, Printer, PrintOptions

__all__ = ["dumped", "encodable", "error_object", "read_error"]

_PRINTER: Final = Printer(PrintOptions(emit_unset=False))
_TYPE: Final = "type.googleapis.com/"


def error_object(error: Error) -> tuple[int, dict[str, Any]]:
    """Return an error's gRPC status code, and what stands for it in JSON."""
    status = whole_status(error)
    told: dict[str, Any] = {"code": name_of(status.code)}
    if status.message:
        told["message"] = status.message
    if status.details:
        told["details"] = [_detail(each) for each in status.details]
    return status.code, told


def read_error(told: object, *, otherwise: int) -> Error | None:
    """Return the error that a peer wrote; ``None`` for what is no object.

    Malformed details are passed over, as of gRPC: the error itself still says what it can.

    Args:
        told: What its JSON holds.
        otherwise: The gRPC status code, where the error has none that there is.
    """
    if not isinstance(told, dict):
        return None
    found = cast("dict[str, object]", told)
    code = code_of(found.get("code")) or otherwise
    message = found.get("message")
    text = encodable(message) if isinstance(message, str) else ""
    return from_status(WireStatus(code=code, message=text, details=_details(found.get("details"))))


def encodable(text: str) -> str:
    """Return a text of JSON without half pairs of surrogates, which JSON may hold and UTF-8 not."""
    return text.encode("utf-8", "replace").decode()


def dumped(value: object) -> bytes:
    """Return JSON, in UTF-8 and without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _detail(detail: Any) -> dict[str, Any]:
    kind = detail.type_url.rpartition("/")[2]
    told = {"type": kind, "value": base64.b64encode(detail.value).rstrip(b"=").decode()}
    shown = _shown(kind, detail.value)
    return told if shown is None else {**told, "debug": shown}


def _shown(kind: str, value: bytes) -> Any:
    """Return what people can read of a detail; ``None`` where its type is not known here."""
    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(kind)
        return _PRINTER.to_dict(GetMessageClass(descriptor).FromString(value))
    except (KeyError, DecodeError, JsonError):
        return None


def _details(told: object) -> bytes:
    """Return the details as ``google.rpc.Status`` holds them."""
    status = status_pb2.Status()
    for each in cast("list[object]", told) if isinstance(told, list) else ():
        if not isinstance(each, dict):
            continue
        detail = cast("dict[str, object]", each)
        kind, value = detail.get("type"), detail.get("value")
        if not (isinstance(kind, str) and isinstance(value, str)):
            continue
        try:
            data = base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
        except ValueError:
            continue
        status.details.add(type_url=_TYPE + encodable(kind), value=data)
    encoded: bytes = status.SerializeToString()
    return encoded
