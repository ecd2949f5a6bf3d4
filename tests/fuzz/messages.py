"""Message types to read into, compiled from the definitions of the JSON tests."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["message_types"]

_PROTO: Final = Path(__file__).parents[2] / "packages" / "protojson" / "tests" / "proto"
_IMPORTED: Final = ("any", "duration", "empty", "field_mask", "struct", "timestamp", "wrappers")
_NAMES: Final = ("Everything", "Scalars", "Optionals", "Lists", "Maps", "Choice", "WellKnown")


@cache
def message_types() -> tuple[Any, ...]:
    """Return the classes, in a pool of their own, as other tests may have defined them too."""
    pool = descriptor_pool.DescriptorPool()
    for name in _IMPORTED:
        module = import_module(f"google.protobuf.{name}_pb2")
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{_PROTO}", "three.proto"]
        subprocess.run([*command, f"--descriptor_set_out={out}"], check=True)
        (file,) = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    pool.AddSerializedFile(file.SerializeToString())
    found = (pool.FindMessageTypeByName(f"{file.package}.{name}") for name in _NAMES)
    return tuple(message_factory.GetMessageClass(descriptor) for descriptor in found)
