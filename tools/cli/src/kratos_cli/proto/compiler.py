"""Runs protoc, for descriptors alone."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from kratos_cli.failure import CommandFailure
from kratos_cli.proto.inputs import Inputs
from kratos_cli.proto.installed import installed_packages

__all__ = ["compile_definitions", "imported_names", "installed_roots"]

_COMPILER: Final = "grpc_tools"
# Packages beside definitions: how far below the folder that names start from, and one of them.
_INSTALLED: Final = (
    ("kratos", 0, "errors/errors.proto"),
    ("kratos", 1, "kratos/http.proto"),
    ("google.api", 2, "google/api/http.proto"),
    (_COMPILER, 0, "google/protobuf/descriptor.proto"),
)
_NAME: Final = re.compile(r"([^:]+\.proto):")
_MOST_LINES: Final = 1000  # that are shown of what the compiler says
_NOT_FOUND: Final = "File not found"


def compile_definitions(
    names: Collection[str], inputs: Inputs, *, protoc: str | None = None
) -> bytes:
    """Return a serialized ``FileDescriptorSet`` with imports, comments and lines.

    Args:
        names: Definitions to compile.
        inputs: Where they lie.
        protoc: Path of a compiler; None for the one in grpcio-tools.

    Raises:
        CommandFailure: There is no compiler, or it refuses the definitions.
    """
    for name in names:
        _refuse_binary(Path(inputs.paths[name]))
    roots = (*inputs.roots, *installed_roots())
    with tempfile.TemporaryDirectory(prefix="kratos-proto-") as folder:
        output = Path(folder, "descriptors")
        command = [
            *_compiler(protoc),
            *(f"-I{root}" for root in roots),
            f"--descriptor_set_out={output}",
            "--include_imports",
            "--include_source_info",
            *(str(Path(inputs.paths[name]).absolute()) for name in names),
        ]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, encoding="utf-8", check=False
            )
        except OSError as error:
            raise CommandFailure(f"{command[0]} cannot be run: {error.strerror}") from error
        said = [line for line in done.stderr.splitlines() if line]
        shown = [_readable(line, inputs.paths) for line in said[:_MOST_LINES]]
        more = len(said) - len(shown)
        shown += [f"and {more} lines more"] if more else []
        sys.stderr.write("".join(f"{line}\n" for line in shown))
        if done.returncode != 0:
            raise CommandFailure(_reason(done.stderr, roots))
        if not output.is_file():
            raise CommandFailure(f"{command[0]} wrote no descriptors; it is no protoc")
        return output.read_bytes()


def _refuse_binary(path: Path) -> None:
    """Refuse what is no text: the compiler would say so of each byte, for minutes."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CommandFailure(f"{path}: {error.strerror}") from error
    if b"\0" in data:
        raise CommandFailure(f"{path} is no text: it has zero bytes")


def imported_names(descriptor_set: bytes) -> Sequence[str]:
    """Return the names of all definitions in a set."""
    return [file.name for file in FileDescriptorSet.FromString(descriptor_set).file]


def installed_roots() -> Iterator[Path]:
    """Yield the folders of definitions that come with installed distributions."""
    for package, depth, known in _INSTALLED:
        spec = importlib.util.find_spec(package)
        for location in (spec.submodule_search_locations or ()) if spec is not None else ():
            root = Path(location, *[".."] * depth).resolve()
            if package == _COMPILER:
                root /= "_proto"
            if (root / known).is_file():
                yield root
    yield from installed_packages().values()


def _compiler(protoc: str | None) -> Sequence[str]:
    if protoc is not None:
        return (protoc,)
    if importlib.util.find_spec(_COMPILER) is None:
        raise CommandFailure(
            "there is no compiler; pip install grpcio-tools, or name a protoc with --protoc"
        )
    return (sys.executable, "-m", f"{_COMPILER}.protoc")


def _readable(line: str, paths: dict[str, str]) -> str:
    """Put the path that the user wrote where protoc writes the name, or the absolute path."""
    found = _NAME.match(line)
    if found is None:
        return line
    written = paths | {str(Path(path).absolute()): path for path in paths.values()}
    return written.get(found[1], found[1]) + line[found.end(1) :]


def _reason(said: str, roots: Sequence[Path]) -> str:
    if _NOT_FOUND not in said:
        return "protoc refuses the definitions; nothing was written"
    searched = "".join(f"\n  {root}" for root in roots)
    return f"an import was not found; nothing was written. Add its folder with -I to:{searched}"
