"""The interpreter and the libraries that decide how fast things are, and if at all."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from collections.abc import Iterator
from importlib import metadata, util
from typing import Any, Final

from kratos_cli.doctor.findings import Finding, good, note, problem

__all__ = ["look", "version_of"]

_OLDEST: Final = (3, 11)
_AREA: Final = "libraries"
_SWITCH: Final = "KRATOS_PROTOJSON"


def look() -> Iterator[Finding]:
    """Yield what was found."""
    yield _python()
    yield from _protobuf()
    yield from _grpc()
    yield _json()
    yield _loop()


def version_of(distribution: str) -> str | None:
    """Return the installed version; ``None`` for none."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _python() -> Finding:
    version = platform.python_version()
    text = f"{platform.python_implementation()} {version} on {platform.system()}"
    if sys.version_info < _OLDEST:
        return problem("python", f"{text}; Kratos needs 3.11 or newer")
    return good("python", f"{text}, {sys.executable}")


def _protobuf() -> Iterator[Finding]:
    from google.protobuf.internal import api_implementation

    kind: Any = api_implementation.Type()
    text = f"protobuf {version_of('protobuf')}, implementation {kind}"
    if kind == "upb":
        yield good(_AREA, text)
    else:
        yield note(_AREA, f"{text}: many times slower than upb; install a wheel of protobuf")


def _grpc() -> Iterator[Finding]:
    runtime, tools = version_of("grpcio"), version_of("grpcio-tools")
    if runtime is not None:
        yield good(_AREA, f"grpcio {runtime}")
    if tools is None:
        yield note(_AREA, "grpcio-tools is not installed; 'kratos proto' then needs --protoc PATH")
    elif runtime is not None and _major(tools) != _major(runtime):
        yield problem(
            _AREA,
            f"grpcio {runtime} and grpcio-tools {tools} are of different major versions: "
            f"pip install -U grpcio grpcio-tools",
        )


def _json() -> Finding:
    there = util.find_spec("kratos_protojson_native") is not None
    asked = os.environ.get(_SWITCH, "")
    if asked == "native" and not there:
        return problem(
            _AREA,
            f"{_SWITCH}=native asks for the JSON codec in Rust, which is not installed: "
            "pip install kratos-protojson-native, or unset it",
        )
    if there and asked != "python":
        return good(_AREA, f"JSON codec: native {version_of('kratos-protojson-native')}")
    why = f"{_SWITCH}=python" if there else "kratos-protojson-native is not installed"
    return note(_AREA, f"JSON codec: Python, because {why}")


def _loop() -> Finding:
    found = version_of("uvloop")
    if found is None:
        return note(_AREA, "event loop: asyncio's own, because uvloop is not installed")
    try:
        importlib.import_module("uvloop")
    except ImportError as error:
        return problem(_AREA, f"uvloop {found} cannot be imported: {error}; pip install -U uvloop")
    return good(_AREA, f"event loop: uvloop {found}")


def _major(version: str) -> str:
    return version.partition(".")[0]
