"""Message types for the tests, from ``tests/proto``, and both backends."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PROTO = Path(__file__).parent / "proto"


def _descriptors() -> descriptor_pb2.FileDescriptorSet:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}"]
        command += [f"--descriptor_set_out={out}", *sorted(path.name for path in PROTO.iterdir())]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())


@cache
def _types() -> SimpleNamespace:
    for name in ("any", "duration", "empty", "field_mask", "struct", "timestamp", "wrappers"):
        import_module(f"google.protobuf.{name}_pb2")
    pool = descriptor_pool.Default()
    types: dict[str, Any] = {}
    for file in _descriptors().file:
        pool.AddSerializedFile(file.SerializeToString())
        for message in file.message_type:
            descriptor = pool.FindMessageTypeByName(f"{file.package}.{message.name}")
            types[message.name] = message_factory.GetMessageClass(descriptor)
    return SimpleNamespace(**types)


@pytest.fixture(scope="session")
def proto() -> Any:
    """Message types by name, as attributes."""
    return _types()


@pytest.fixture(scope="session", params=["python", "native"])
def backend(request: pytest.FixtureRequest) -> str:
    """Each backend in turn; the extension only where it is installed."""
    name: str = request.param
    if name == "native":
        _require_extension()
    return name


@pytest.fixture(scope="session")
def native() -> None:
    """The extension, for tests that compare it with the plans."""
    _require_extension()


def _require_extension() -> None:
    if find_spec("kratos_protojson_native") is None:
        problem = "kratos-protojson-native is missing: ./hatchw run native builds it"
        if os.environ.get("CI") == "true":
            pytest.fail(problem, pytrace=False)
        pytest.skip(problem)
