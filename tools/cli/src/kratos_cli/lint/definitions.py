"""Definitions of a project: what ``kratos proto lint`` finds, and messages of configurations."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from kratos_cli.failure import CommandFailure
from kratos_cli.lint.source import Found
from kratos_cli.proto.compiler import compile_definitions
from kratos_cli.proto.inputs import Inputs
from protoc_gen_kratos import DefinitionError
from protoc_gen_kratos.findings import Finding
from protoc_gen_kratos.lint import check

__all__ = ["Compiled", "NotCompiled", "compiled"]

_PACKAGE: Final = re.compile(r"^\s*package\s+([\w.]+)\s*;", re.MULTILINE)
_PLACE: Final = re.compile(r"(.+?\.proto):(\d+):(?:(\d+):)? (.+)")
_VERSION: Final = "PACKAGE_VERSION_SUFFIX"


class NotCompiled(Exception):
    """Definitions that cannot be looked at.

    Args:
        found: Why.
    """

    def __init__(self, found: Sequence[Found]) -> None:
        super().__init__(f"{len(found)} problems")
        self.found = found


@dataclass(frozen=True, slots=True)
class Compiled:
    """Definitions that have been compiled together."""

    descriptors: bytes
    paths: dict[str, str]

    def findings(self, asked: Collection[Path], *, without_version: Collection[str]) -> list[Found]:
        """Return what is wrong with some of them.

        Args:
            asked: Those.
            without_version: Messages of configurations: their packages need no version, for nobody
                else uses them.

        Raises:
            NotCompiled: They do not link.
        """
        packages = {file.name: file.package for file in self._files()}
        looked_at = {str(path.absolute()) for path in asked}
        names = [
            name for name, path in self.paths.items() if str(Path(path).absolute()) in looked_at
        ]
        settings = {message.rpartition(".")[0] for message in without_version}
        try:
            found = check(self.descriptors, names) if names else []
        except DefinitionError as error:
            said = "\n".join(problem.text(self.paths) for problem in error.problems)
            raise NotCompiled(list(_refused(error, said, self.paths))) from error
        return [
            Found(finding=replace(one, file=self.paths.get(one.file, one.file)))
            for one in found
            if one.rule != _VERSION or packages[one.file] not in settings
        ]

    def full_name(self, message: str) -> str | None:
        """Return the name of a message with its package; None if there is none, or several."""
        if "." in message:
            return message if self._file_of(message) else None
        found = [
            f"{file.package}.{message}" if file.package else message
            for file in self._files()
            if file.name in self.paths and any(each.name == message for each in file.message_type)
        ]
        return found[0] if len(found) == 1 else None

    def message(self, full_name: str) -> Any:
        """Return the class of a message; its code need not have been generated."""
        pool = DescriptorPool()
        for file in self._files():
            pool.Add(file)
        return GetMessageClass(pool.FindMessageTypeByName(full_name))

    def _files(self) -> Sequence[FileDescriptorProto]:
        return FileDescriptorSet.FromString(self.descriptors).file

    def _file_of(self, message: str) -> str | None:
        package, _, name = message.rpartition(".")
        for file in self._files():
            if file.package == package and any(each.name == name for each in file.message_type):
                return file.name
        return None


def compiled(definitions: Iterable[Path], root: Path) -> Compiled:
    """Compile the definitions of a project.

    The folder that the name of one starts from is told by its package: that of ``shop.v1`` in
    ``api/shop/v1`` is ``api``.

    Args:
        definitions: All of them.
        root: Folder of the project; where those start from that lie elsewhere.

    Raises:
        NotCompiled: The compiler refuses them.
    """
    roots = {path: _root(path) or root for path in definitions}
    ordered = tuple(sorted({*roots.values()}, key=lambda each: (-len(each.parts), each)))
    paths = {
        path.absolute().relative_to(_first(path, ordered)).as_posix(): str(path) for path in roots
    }
    inputs = Inputs(
        paths=dict(sorted(paths.items())),
        named=frozenset(),
        roots=(*ordered, *_further(root)),
    )
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # it is told as findings
            descriptors = compile_definitions(list(inputs.paths), inputs)
    except CommandFailure as error:
        raise NotCompiled(list(_refused(error, said.getvalue(), inputs.paths))) from error
    return Compiled(descriptors, inputs.paths)


def _refused(error: Exception, said: str, paths: Mapping[str, str]) -> Iterator[Found]:
    """Yield what a compiler says about lines, else what it says at all."""
    any_line = False
    for line in dict.fromkeys((*said.splitlines(), *str(error).splitlines())):
        place = _PLACE.match(line)
        if place is not None:
            any_line = True
            yield _unreadable(place[1], int(place[2]), int(place[3] or 1), place[4])
    if not any_line:
        why = "; ".join((said or str(error)).splitlines())
        yield _unreadable(min(paths.values()), 0, 0, why)


def _unreadable(file: str, line: int, column: int, why: str) -> Found:
    finding = Finding(
        file=file,
        line=line,
        column=column,
        end_line=line,
        end_column=column,
        rule="KR001",
        message=f"this cannot be read: {why}",
    )
    return Found(finding=finding)


def _root(path: Path) -> Path | None:
    found = _PACKAGE.search(path.read_text(encoding="utf-8", errors="replace"))
    folder = path.absolute().parent
    if found is None:
        return None
    parts = found[1].split(".")
    return folder.parents[len(parts) - 1] if list(folder.parts[-len(parts) :]) == parts else None


def _first(path: Path, roots: Iterable[Path]) -> Path:
    absolute = path.absolute()
    return next(root for root in roots if absolute.is_relative_to(root))


def _further(root: Path) -> Iterator[Path]:
    named = os.environ.get("KRATOS_PROTO_PATH", "").split(os.pathsep)
    yield from (Path(folder).absolute() for folder in named if folder and Path(folder).is_dir())
    for folder in root.parents:  # a service uses the API of the repository around
        if (folder / "pyproject.toml").is_file() and (folder / "api").is_dir():
            yield folder / "api"
    for folder in (root, *root.parents):
        if (folder / "third_party").is_dir():
            yield folder / "third_party"
            return
