"""``google.api.HttpBody``: a body that is sent as it is, with a content type of its own."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.message import Message

from kratos.encoding._codec import M
from kratos_protojson.descriptors import AnyDescriptor

__all__ = ["DEFAULT_CONTENT_TYPE", "from_raw", "is_http_body", "raw"]

DEFAULT_CONTENT_TYPE: Final = "application/octet-stream"
_FULL_NAME: Final = "google.api.HttpBody"


def is_http_body(descriptor: AnyDescriptor | None) -> bool:
    """Tell whether messages of this type go over HTTP as raw bytes.

    Ask once per method, not per call. ``None``, the type of a scalar field, is not one.
    """
    return descriptor is not None and descriptor.full_name == _FULL_NAME


def raw(message: Message) -> tuple[str, bytes]:
    """Return the content type and the bytes of an ``HttpBody``."""
    body: Any = message
    return body.content_type or DEFAULT_CONTENT_TYPE, body.data


def from_raw(message_type: type[M], content_type: str, data: bytes) -> M:
    """Return an ``HttpBody`` that holds the bytes of a request or reply."""
    return message_type(content_type=content_type, data=data)
