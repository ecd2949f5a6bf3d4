"""``kratos proto server``: the class that a service begins with."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kratos_cli.failure import CommandFailure
from kratos_cli.parsing import Subparsers
from kratos_cli.writing import write_whole

if TYPE_CHECKING:
    from protoc_gen_kratos.skeleton import Skeleton

__all__ = ["register", "run"]

_INIT: Final = "__init__.py"
_DESCRIPTION: Final = """\
Write a class for each service of a definition, to fill in.

A file that is there is never overwritten: methods that it lacks are reported, and put at the end
of its class with --append. The generated code has to be there (kratos proto client); it is looked
for around the target folder, then in the present one."""


def register(subparsers: Subparsers) -> None:
    """Add ``server``."""
    parser = subparsers.add_parser(
        "server", help="write a class for each service", description=_DESCRIPTION
    )
    parser.add_argument("file", metavar="FILE", help="definition with services")
    parser.add_argument(
        "-t",
        "--target-dir",
        default="internal/service",
        metavar="DIR",
        help="folder to write into, which must be there (default: internal/service)",
    )
    parser.add_argument(
        "--append", action="store_true", help="add methods that an existing class lacks"
    )
    parser.add_argument(
        "--tests", metavar="DIR", help="also write test_*.py into this folder, a test per method"
    )
    parser.add_argument(
        "-o", "--out", metavar="DIR", help="folder that the generated code was written into"
    )
    parser.add_argument(
        "-I",
        "--proto-path",
        action="append",
        metavar="DIR",
        help="further folder that names in imports start from; may be given several times",
    )
    parser.add_argument(
        "--protoc", metavar="PATH", help="compiler to use instead of the one in grpcio-tools"
    )


def run(args: argparse.Namespace) -> int:
    """Write what is not there, and tell what existing classes lack."""
    target = Path(args.target_dir)
    for folder in filter(None, (args.target_dir, args.tests)):
        if not Path(folder).is_dir():
            raise CommandFailure(f"target directory: {folder} does not exist; make it", status=2)
    skeletons = _read(args, target)
    if not skeletons:
        raise CommandFailure(f"{args.file} has no service", status=2)
    lacking = 0
    for skeleton in skeletons:
        path = target / f"{skeleton.stem}.py"
        lacking += _write_service(path, skeleton, append=args.append)
        if args.tests:
            _write_tests(Path(args.tests), path, skeleton)
    if lacking:
        raise CommandFailure("methods are missing; --append adds them")
    return 0


def _read(args: argparse.Namespace, target: Path) -> Sequence[Skeleton]:
    from kratos_cli.proto.compiler import compile_definitions
    from kratos_cli.proto.generated import find_generated
    from kratos_cli.proto.inputs import find_inputs
    from protoc_gen_kratos import DefinitionError
    from protoc_gen_kratos.skeleton import read_skeletons

    definition = Path(args.file)
    if definition.suffix != ".proto" or not definition.is_file():
        problem = "is no .proto file" if definition.exists() else "does not exist"
        raise CommandFailure(f"{definition} {problem}", status=2)
    folders = [Path(args.out)] if args.out else [*_around(target), Path()]
    generated = find_generated(definition, folders)
    inputs = find_inputs([args.file], [str(generated.root), *(args.proto_path or ())])
    compiled = compile_definitions([generated.name], inputs, protoc=args.protoc)
    try:
        return read_skeletons(compiled, generated.name, prefix=generated.prefix)
    except DefinitionError as error:
        lines = [problem.text(inputs.paths) for problem in error.problems]
        raise CommandFailure("\n".join(lines)) from error


def _around(target: Path) -> Sequence[Path]:
    """Return the package that the folder lies in, and what that lies in."""
    top = target
    while (top.absolute().parent / _INIT).is_file():
        top = top.absolute().parent
    return (top, top.absolute().parent)


def _write_service(path: Path, skeleton: Skeleton, *, append: bool) -> bool:
    """Write or complete a class; return whether it lacks methods in the end."""
    from kratos_cli.proto.existing import Existing

    if not path.exists():
        _write(path, skeleton.module())
        return False
    existing = Existing.read(path, skeleton)
    missing = existing.missing(skeleton)
    if not missing:
        sys.stderr.write(f"{skeleton.class_name} already exists: {path}\n")
        return False
    if append:
        _write(path, existing.completed(skeleton))
        return False
    for rpc in missing:
        sys.stderr.write(
            f"{path}:{existing.home.lineno}: {existing.home.name} lacks {rpc.name} "
            f"(rpc {rpc.element.raw.name})\n"
        )
    return True


def _write_tests(folder: Path, service: Path, skeleton: Skeleton) -> None:
    from kratos_cli.proto.existing import Existing
    from kratos_cli.proto.generated import package_of

    path = folder / f"test_{service.name}"
    if path.exists():
        sys.stderr.write(f"tests already exist: {path}\n")
        return
    module = ".".join(filter(None, (package_of(service.parent), service.stem)))
    made = Existing.read(service, skeleton)
    _write(path, skeleton.tests(module, class_name=made.home.name, needs=made.needs()))


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise CommandFailure(f"{path}: {error.strerror}") from error
    print(path)
