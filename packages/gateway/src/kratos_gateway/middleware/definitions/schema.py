"""Services as their definitions have them: linked in a pool of their own."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError

from kratos.errors import ConfigError

__all__ = ["linked"]


def linked(definitions: bytes, services: Collection[str], /) -> Sequence[ServiceDescriptor]:
    """Return services of a ``FileDescriptorSet``, in its order.

    Args:
        definitions: Its bytes.
        services: Full names; all if there are none.

    Raises:
        ConfigError: It is none, lacks an import, or has no such service.
    """
    try:
        files = FileDescriptorSet.FromString(definitions)
        pool = DescriptorPool()
        for file in files.file:
            pool.AddSerializedFile(file.SerializeToString())
    except (DecodeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"the definitions cannot be used: {error}; write them by "
            "protoc --include_imports --descriptor_set_out"
        ) from error
    names = [
        f"{file.package}.{service.name}".lstrip(".")
        for file in files.file
        for service in file.service
    ]
    if missing := set(services) - set(names):
        raise ConfigError(f"no service {', '.join(sorted(missing))} is defined, only {names}")
    wanted = services or names
    return [pool.FindServiceByName(name) for name in names if name in wanted]
