"""Classes of descriptor.proto and plugin.proto in a pool of their own.

The default pool knows whichever option extensions the process has imported, and would sort
options differently with and without them. Here every custom option stays the bytes it came as.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar, cast

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

__all__ = ["CodeGeneratorRequest", "FileDescriptorProto", "FileDescriptorSet"]

MessageT = TypeVar("MessageT", bound=Message)

_POOL: Final = DescriptorPool()
_POOL.AddSerializedFile(descriptor_pb2.DESCRIPTOR.serialized_pb)
_POOL.AddSerializedFile(plugin_pb2.DESCRIPTOR.serialized_pb)


def _private(public: type[MessageT]) -> type[MessageT]:
    descriptor = _POOL.FindMessageTypeByName(public.DESCRIPTOR.full_name)
    return cast("type[MessageT]", GetMessageClass(descriptor))


if TYPE_CHECKING:
    from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest
    from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
else:
    CodeGeneratorRequest = _private(plugin_pb2.CodeGeneratorRequest)
    FileDescriptorProto = _private(descriptor_pb2.FileDescriptorProto)
    FileDescriptorSet = _private(descriptor_pb2.FileDescriptorSet)
