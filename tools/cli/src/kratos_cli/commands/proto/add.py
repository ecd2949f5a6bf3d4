"""``kratos proto add``: a new definition to start from."""

from __future__ import annotations

import argparse
import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from kratos_cli.failure import CommandFailure
from kratos_cli.parsing import Subparsers

if TYPE_CHECKING:
    from kratos_cli.proto.template import Definition

__all__ = ["register", "run"]

_PART: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_MODULE: Final = re.compile(r"^module\s+(\S+)", re.MULTILINE)
_DESCRIPTION: Final = """\
Write a new definition: a service with Create, Update, Delete, Get and List, and their messages.

Folders make the package: api/helloworld/v1/demo.proto has the package api.helloworld.v1, or
helloworld.v1 with -I api. The file makes the service: hello_world.proto has HelloWorld."""


def register(subparsers: Subparsers) -> None:
    """Add ``add``."""
    parser = subparsers.add_parser("add", help="write a new definition", description=_DESCRIPTION)
    parser.add_argument("path", metavar="FILE", help="definition to write, in a folder")
    parser.add_argument(
        "-I",
        "--proto-path",
        default=".",
        metavar="DIR",
        help="folder that names in imports start from (default: .)",
    )
    parser.add_argument("--http", action="store_true", help="give each method a path")
    parser.add_argument("--errors", action="store_true", help="add an enum of errors")


def run(args: argparse.Namespace) -> int:
    """Write it, unless it is there."""
    path = Path(args.path)
    definition = _definition(path, args)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(definition.text())
    except FileExistsError as error:
        raise CommandFailure(f"{path} already exists; nothing was written") from error
    except OSError as error:
        raise CommandFailure(f"{error.filename}: {error.strerror}") from error
    print(path)
    return 0


def _definition(path: Path, args: argparse.Namespace) -> Definition:
    from kratos_cli.proto.template import Definition

    if path.suffix != ".proto":
        raise CommandFailure(f"{path} must end in .proto", status=2)
    here, root = _relative(path, Path()), _relative(path, Path(args.proto_path))
    if here is None or root is None:
        outside = "this folder" if here is None else args.proto_path
        raise CommandFailure(f"{path} lies outside {outside}; choose a path in it", status=2)
    folder = root.parent.as_posix()
    if folder == ".":
        raise CommandFailure(
            f"the proto path needs to be hierarchical: write {_example(path, args)}, whose "
            "folders make the package",
            status=2,
        )
    for part in (*root.parent.parts, root.stem):
        if not _PART.fullmatch(part):
            raise CommandFailure(
                f"{path}: {part!r} cannot be part of a package or a service; use letters, digits "
                "and underscores",
                status=2,
            )
    if not root.stem.strip("_"):
        raise CommandFailure(f"{path}: {root.stem!r} is no name for a service", status=2)
    return Definition(
        folder=folder,
        stem=root.stem,
        go_folder=here.parent.as_posix(),
        go_module=_go_module(),
        http=args.http,
        errors=args.errors,
    )


def _example(path: Path, args: argparse.Namespace) -> str:
    return (Path(args.proto_path) / "helloworld" / "v1" / path.name).as_posix()


def _relative(path: Path, folder: Path) -> Path | None:
    absolute, root = (Path(os.path.abspath(item)) for item in (path, folder))  # noqa: PTH100
    return absolute.relative_to(root) if absolute.is_relative_to(root) else None


def _go_module() -> str:
    """Return what Go would call this project: its module, else the name of the distribution."""
    for folder in (Path(), Path("..")):
        file = folder / "go.mod"
        text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        found = _MODULE.search(text)
        if found is not None:
            return found[1].strip('"')
    for folder in (Path(), Path("..")):
        file = folder / "pyproject.toml"
        name = _distribution(file) if file.is_file() else ""
        if name:
            return name
    return ""


def _distribution(file: Path) -> str:
    try:
        found: object = tomllib.loads(file.read_text(encoding="utf-8")).get("project")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CommandFailure(f"{file}: {error}") from error
    name: object = cast("dict[str, object]", found).get("name") if isinstance(found, dict) else ""
    return name if isinstance(name, str) else ""
