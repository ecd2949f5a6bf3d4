"""The wire error as a message, so that every codec can carry it (Go: errors/errors.proto)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, cast

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from kratos.errors import Error

__all__ = ["STATUS", "from_message", "to_message"]

_INT32_MIN: Final = -(1 << 31)
_INT32_MAX: Final = (1 << 31) - 1


def _status_class() -> type[Message]:
    # In a pool of its own: whoever imports generated code of the same file must not collide.
    field = FieldDescriptorProto
    text, entry = field.TYPE_STRING, DescriptorProto(name="MetadataEntry")
    entry.options.map_entry = True
    for number, name in enumerate(("key", "value"), start=1):
        entry.field.add(name=name, number=number, type=text, label=field.LABEL_OPTIONAL)
    status = DescriptorProto(name="Status", nested_type=[entry])
    status.field.add(name="code", number=1, type=field.TYPE_INT32, label=field.LABEL_OPTIONAL)
    status.field.add(name="reason", number=2, type=text, label=field.LABEL_OPTIONAL)
    status.field.add(name="message", number=3, type=text, label=field.LABEL_OPTIONAL)
    status.field.add(
        name="metadata",
        number=4,
        type=field.TYPE_MESSAGE,
        type_name=".errors.Status.MetadataEntry",
        label=field.LABEL_REPEATED,
    )
    file = FileDescriptorProto(name="errors/errors.proto", package="errors", syntax="proto3")
    file.message_type.append(status)
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("errors.Status"))


STATUS: Final = _status_class()


def to_message(error: Error) -> Message:
    """Return the error as a message; texts that are not Unicode are mended."""
    return STATUS(
        code=min(max(error.code, _INT32_MIN), _INT32_MAX),
        reason=_unicode(error.reason),
        message=_unicode(error.message),
        metadata={_unicode(key): _unicode(value) for key, value in error.metadata.items()},
    )


def from_message(message: Message, *, code: int, details: Iterable[Message] = ()) -> Error:
    """Return a received error, under the code that the transport tells."""
    status = cast("Any", message)
    return Error(code, status.reason, status.message, dict(status.metadata), details=details)


def _unicode(text: object) -> str:
    return str(text).encode("utf-8", "replace").decode()
