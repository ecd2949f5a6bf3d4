"""Asks buf for what it finds, by way of descriptors: it needs no modules and no network."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from kratos_cli.failure import CommandFailure
from protoc_gen_kratos.findings import Finding
from protoc_gen_kratos.lint.enums import outside_error_enums

__all__ = ["buf_breaking", "buf_lint", "chosen_buf"]

_CONFIGURATION: Final = "buf.yaml"
_FOUND: Final = 100  # exit status
# What Go Kratos' own definitions are like: Greeter, HelloRequest, HelloReply.
_LINT: Final = {
    "version": "v2",
    "lint": {
        "use": ["STANDARD"],
        "except": [
            "RPC_REQUEST_RESPONSE_UNIQUE",
            "RPC_REQUEST_STANDARD_NAME",
            "RPC_RESPONSE_STANDARD_NAME",
            "SERVICE_SUFFIX",
        ],
    },
}
_BREAKING: Final = {"version": "v2", "breaking": {"use": ["FILE"]}}
# The number of an error and its prefix are on no wire.
_NOT_FOR_ERRORS: Final = ("ENUM_VALUE_PREFIX", "ENUM_ZERO_VALUE_SUFFIX")


def chosen_buf(engine: str) -> str | None:
    """Return the program to run, ``None`` for Kratos' own rules.

    Raises:
        CommandFailure: It was asked for, and is not there.
    """
    if engine == "kratos":
        return None
    found = shutil.which("buf") or shutil.which("buf", path=str(Path(sys.executable).parent))
    if found is None and engine == "buf":
        raise CommandFailure("there is no buf; pip install buf-bin, or pass --engine kratos")
    return found


def buf_lint(buf: str, compiled: bytes, sources: Collection[str]) -> list[Finding]:
    """Return what ``buf lint`` finds, by ``buf.yaml`` in the present folder if there is one."""
    with tempfile.TemporaryDirectory(prefix="kratos-buf-") as folder:
        path = _written(folder, "new", compiled)
        found = [*_run([buf, "lint", path, *_configured(_LINT)], sources)]
    if Path(_CONFIGURATION).is_file():
        return found
    return list(outside_error_enums(found, compiled, _NOT_FOR_ERRORS))


def buf_breaking(buf: str, old: bytes, new: bytes, sources: Collection[str]) -> list[Finding]:
    """Return what ``buf breaking`` finds, by ``buf.yaml`` in the present folder if there is one."""
    with tempfile.TemporaryDirectory(prefix="kratos-buf-") as folder:
        paths = (_written(folder, "new", new), "--against", _written(folder, "old", old))
        return [*_run([buf, "breaking", *paths, *_configured(_BREAKING)], sources)]


def _written(folder: str, name: str, data: bytes) -> str:
    path = Path(folder, f"{name}.binpb")
    path.write_bytes(data)
    return str(path)


def _configured(configuration: Mapping[str, Any]) -> Sequence[str]:
    if Path(_CONFIGURATION).is_file():
        return ("--config", _CONFIGURATION)
    return ("--config", json.dumps(configuration))


def _run(command: Sequence[str], sources: Collection[str]) -> Iterator[Finding]:
    try:
        done = subprocess.run(
            [*command, "--error-format", "json"],
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
    except OSError as error:
        raise CommandFailure(f"{command[0]} cannot be run: {error.strerror}") from error
    if done.returncode not in (0, _FOUND):
        raise CommandFailure(f"buf {command[1]} failed: {done.stderr.strip()}")
    for line in done.stdout.splitlines():
        told: Mapping[str, Any] = json.loads(line)
        file = told.get("path", "")
        # Without a place it is about a definition that is gone, which only the text names.
        if not file or file in sources:
            start = told.get("start_line", 0), told.get("start_column", 0)
            yield Finding(
                file=file or "definitions",
                line=start[0],
                column=start[1],
                end_line=told.get("end_line", start[0]),
                end_column=told.get("end_column", start[1]),
                rule=told["type"],
                message=told["message"],
            )
