"""Which definitions were meant, and by which names imports know them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kratos_cli.failure import CommandFailure

__all__ = ["Inputs", "find_inputs"]

_ENVIRONMENT = "KRATOS_PROTO_PATH"
_THIRD_PARTY = "third_party"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the command line names.

    Attributes:
        paths: Where definitions lie, as the user would write it, by name; sorted by name.
        named: Names of those that were given one by one and not found in a folder.
        roots: Folders that names start from, in order of search.
    """

    paths: dict[str, str]
    named: frozenset[str]
    roots: tuple[Path, ...]


def find_inputs(given: Sequence[str], proto_path: Sequence[str] | None) -> Inputs:
    """Find the definitions in files and folders.

    Folders are searched to any depth, but not hidden ones, virtual environments, ``third_party``
    or other folders that names start from: definitions there are only imported.

    Args:
        given: Files and folders.
        proto_path: Folders that names start from; None for the present one.

    Raises:
        CommandFailure: Something is not there, is no definition, or lies in no such folder.
    """
    roots = tuple(_existing(folder) for folder in proto_path or ["."])
    further = tuple(_further_roots())
    paths: dict[str, str] = {}
    named: set[str] = set()
    for text in given:
        path = Path(text)
        if path.is_dir():
            for found in _walk(path, {*roots, *further}):
                name = _name(found, roots)
                paths[name] = str(found)
        elif path.suffix == ".proto" and path.is_file():
            name = _name(path, roots)
            paths[name] = str(path)
            named.add(name)
        else:
            problem = "is no .proto file" if path.exists() else "does not exist"
            raise CommandFailure(f"{text} {problem}", status=2)
    return Inputs(
        paths=dict(sorted(paths.items())), named=frozenset(named), roots=(*roots, *further)
    )


def _existing(folder: str) -> Path:
    path = Path(folder)
    if not path.is_dir():
        raise CommandFailure(f"-I {folder}: there is no such folder", status=2)
    return _absolute(path)


def _further_roots() -> Iterator[Path]:
    for folder in filter(None, os.environ.get(_ENVIRONMENT, "").split(os.pathsep)):
        path = Path(folder)
        if not path.is_dir():
            raise CommandFailure(f"{_ENVIRONMENT} names {folder}, which is no folder", status=2)
        yield _absolute(path)
    third_party = Path(_THIRD_PARTY)
    if third_party.is_dir():
        yield _absolute(third_party)


def _walk(folder: Path, roots: set[Path], inside: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Yield the definitions in a folder; links are followed, but not in circles."""
    inside |= {folder.resolve()}
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            skipped = (
                path.name.startswith(".")
                or path.name == _THIRD_PARTY
                or _absolute(path) in roots
                or (path / "pyvenv.cfg").is_file()
                or path.resolve() in inside
            )
            if not skipped:
                yield from _walk(path, roots, inside)
        elif path.suffix == ".proto" and path.is_file():  # a pipe would keep the compiler waiting
            yield path


def _name(path: Path, roots: Sequence[Path]) -> str:
    """Return the name of a file: what follows the first root that it lies in."""
    absolute = _absolute(path)
    for index, root in enumerate(roots):
        if not absolute.is_relative_to(root):
            continue
        name = absolute.relative_to(root).as_posix()
        for earlier in roots[:index]:
            if (earlier / name).is_file():
                raise CommandFailure(
                    f"{path} is hidden: the name {name} means {earlier / name}, because "
                    f"-I {earlier} comes first",
                    status=2,
                )
        return name
    searched = ", ".join(str(root) for root in roots)
    raise CommandFailure(
        f"{path} lies in no folder that names start from ({searched}); add one with -I", status=2
    )


def _absolute(path: Path) -> Path:
    # Not resolve(): a link into another folder keeps the name that it has here.
    return Path(os.path.abspath(path))  # noqa: PTH100
