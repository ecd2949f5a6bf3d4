"""An older state of definitions: a folder, descriptors, a wheel, or what git remembers."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import DecodeError

from kratos_cli.failure import CommandFailure
from kratos_cli.proto.compiler import compile_definitions
from kratos_cli.proto.inputs import Inputs, find_inputs
from protoc_gen_kratos import provided_elsewhere

__all__ = ["State", "read_state"]

_LARGEST: Final = 256 * 1024 * 1024  # bytes; what is packed takes little, whatever becomes of it


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Definitions as they were.

    Attributes:
        compiled: A serialized ``FileDescriptorSet`` with imports.
        sources: Names of those that are not merely imported.
    """

    compiled: bytes
    sources: frozenset[str]


def read_state(
    text: str,
    now: Inputs,
    *,
    given: Sequence[str],
    proto_path: Sequence[str] | None,
    protoc: str | None,
) -> State:
    """Return an older state.

    Args:
        text: A folder that names start from, a file with descriptors, a wheel of
            ``kratos proto wheel``, or a revision of git.
        now: The present state.
        given: Files and folders that it was found in.
        proto_path: Folders that names start from in it.
        protoc: Path of a compiler; None for the one in grpcio-tools.

    Raises:
        CommandFailure: There is no such state, or it does not compile.
    """
    path = Path(text)
    if path.is_dir():
        return _compiled(find_inputs([text], [text]), protoc)
    if path.is_file():
        return _descriptors(path, now)
    with _checked_out(text) as (top, old):
        moved = [_moved(folder, top, old) for folder in proto_path or ["."]]
        known = [one for one in (_moved(item, top, old) for item in given) if one.exists()]
        if not known:
            return State(compiled=b"", sources=frozenset())
        roots = [str(folder) for folder in moved if folder.is_dir()]
        return _compiled(find_inputs([str(item) for item in known], roots), protoc)


def _compiled(inputs: Inputs, protoc: str | None) -> State:
    names = list(inputs.paths)
    compiled = compile_definitions(names, inputs, protoc=protoc) if names else b""
    return State(compiled=compiled, sources=frozenset(names))


def _descriptors(path: Path, now: Inputs) -> State:
    try:
        data = _packed(path) if path.suffix == ".whl" else path.read_bytes()
        files = FileDescriptorSet.FromString(data).file
    except (OSError, DecodeError, zipfile.BadZipFile) as error:
        raise CommandFailure(f"{path} holds no descriptors: {error}", status=2) from error
    # A set does not tell which of its files are imports of others' definitions.
    tops = {name.partition("/")[0] for name in now.paths}
    own = [file.name for file in files if file.name.partition("/")[0] in tops]
    sources = frozenset(name for name in own if not provided_elsewhere(name))
    return State(compiled=data, sources=sources)


def _packed(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.count("/") == 1 and name.endswith("/descriptors.binpb"):
                if archive.getinfo(name).file_size > _LARGEST:
                    raise CommandFailure(f"{path}: its descriptors have more than {_LARGEST} bytes")
                return archive.read(name)
    raise CommandFailure(f"{path} was not made by kratos proto wheel: it has no descriptors")


@contextmanager
def _checked_out(revision: str) -> Generator[tuple[Path, Path], None, None]:
    """Yield the top of the repository, and a folder with its definitions as they were."""
    top = Path(_git("rev-parse", "--show-toplevel", of=revision).decode().strip())
    wanted = ("--verify", "--end-of-options", f"{revision}^{{commit}}")
    commit = _git("rev-parse", *wanted, of=revision).decode().strip()
    archive = _git("-C", str(top), "archive", "--format=tar", commit, of=revision)
    with tempfile.TemporaryDirectory(prefix="kratos-against-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.name.endswith(".proto") else None
                if content is not None:
                    path = Path(folder, member.name)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content.read())
        yield top, Path(folder)


def _git(*words: str, of: str) -> bytes:
    git = shutil.which("git")
    if git is None:
        raise CommandFailure(f"{of} is no file and no folder, and there is no git to ask", status=2)
    done = subprocess.run([git, *words], capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise CommandFailure(
            f"{of} is no file, no folder and no revision of git here: {said}", status=2
        )
    return done.stdout


def _moved(text: str, top: Path, old: Path) -> Path:
    """Return where a path of the work tree lies in the older state; one outside stays."""
    absolute = Path(os.path.abspath(text)).resolve()  # noqa: PTH100
    resolved = top.resolve()
    return old / absolute.relative_to(resolved) if absolute.is_relative_to(resolved) else absolute
