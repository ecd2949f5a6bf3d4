"""``kratos proto wheel``: definitions and the code of them, as one installable package."""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kratos_cli.failure import CommandFailure
from kratos_cli.parsing import Subparsers

if TYPE_CHECKING:
    from kratos_cli.proto.inputs import Inputs
    from kratos_cli.proto.wheel import Wheel
    from protoc_gen_kratos import Result

__all__ = ["register", "run"]

_DESCRIPTORS: Final = "descriptors.binpb"
_ERRORS: Final = "errors.md"
_OPENAPI: Final = "openapi.json"
_TAKEN: Final = frozenset(("aegis", "google", "grpc", "kratos"))  # that the code may import
_IMPORT: Final = re.compile(r"^(?:from|import) (\w+(?:\.\w+)?)", re.MULTILINE)
_REQUIRES: Final = {
    "google.protobuf": "protobuf>=6.31",
    "google": "googleapis-common-protos>=1.63",
    "kratos": "kratos-core>=0.1,<1",
}
_DESCRIPTION: Final = """\
Make a wheel of a folder of definitions: typed Python, the definitions themselves, their
descriptors, an OpenAPI document and a page on their errors.

All of it lies in one package, which is called like the distribution, so that wheels of several
teams live beside each other. Definitions elsewhere import those of installed wheels by name,
without any option; a wheel that does so requires the other."""


def register(subparsers: Subparsers) -> None:
    """Add ``wheel``."""
    parser = subparsers.add_parser(
        "wheel", help="make an installable package of definitions", description=_DESCRIPTION
    )
    parser.add_argument("folder", metavar="DIR", help="folder of definitions")
    parser.add_argument("--name", required=True, help="name of the distribution")
    parser.add_argument(
        "--version", dest="release", required=True, help="its version, such as 1.2.0"
    )
    parser.add_argument("--package", default="", help="name to import (default: from --name)")
    parser.add_argument("--summary", default="", metavar="TEXT", help="one line about it")
    parser.add_argument(
        "-o", "--out", default="dist", metavar="DIR", help="folder to write into (default: dist)"
    )
    parser.add_argument(
        "-I",
        "--proto-path",
        action="append",
        metavar="DIR",
        help="folder that names in imports start from (default: DIR itself); may be repeated",
    )
    parser.add_argument(
        "--requires", action="append", default=[], metavar="TEXT", help="a further requirement"
    )
    parser.add_argument("--mock", action="store_true", help="with mocks of the services")
    parser.add_argument("--no-openapi", action="store_true", help="without an OpenAPI document")
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="tell neither progress nor the name of the file"
    )
    parser.add_argument(
        "--protoc", metavar="PATH", help="compiler to use instead of the one in grpcio-tools"
    )


def run(args: argparse.Namespace) -> int:
    """Compile, generate, describe, pack."""
    from kratos_cli.proto.compiler import compile_definitions
    from kratos_cli.proto.inputs import find_inputs
    from kratos_cli.proto.wheel import WheelError

    package = args.package or re.sub("[-_.]+", "_", args.name).lower()
    if not package.isidentifier() or keyword.iskeyword(package):
        raise CommandFailure(f"{package!r} cannot be imported; choose a --package", status=2)
    if package in _TAKEN or package in sys.stdlib_module_names or package.startswith("kratos_"):
        raise CommandFailure(
            f"a package {package!r} would hide another one of that name; choose a --package",
            status=2,
        )
    if not Path(args.folder).is_dir():
        raise CommandFailure(f"{args.folder} is no folder", status=2)
    inputs = find_inputs([args.folder], args.proto_path or [args.folder])
    if not inputs.paths:
        raise CommandFailure(f"there is no definition in {args.folder}", status=2)
    compiled = compile_definitions(list(inputs.paths), inputs, protoc=args.protoc)
    result = _generate(args, compiled, inputs)
    files = {f"{package}/{path}": data for path, data in _files(compiled, inputs, result)}
    files[f"{package}/__init__.py"] = (
        f'"""Generated from the definitions of {args.name}."""\n'.encode()
    )
    try:
        path = _wheel(args, package, files, result).write(Path(args.out))
    except WheelError as error:
        raise CommandFailure(str(error), status=2) from error
    except OSError as error:
        raise CommandFailure(f"{error.filename or args.out}: {error.strerror}") from error
    if not args.quiet:
        print(path)
    return 0


def _generate(args: argparse.Namespace, compiled: bytes, inputs: Inputs) -> Result:
    from kratos_cli.progress import Progress
    from kratos_cli.proto.installed import installed_modules
    from protoc_gen_kratos import DefinitionError, Options, generate

    describe = not args.no_openapi and find_spec("kratos_http") is not None
    options = Options(
        modules=installed_modules(besides=inputs.paths),
        mock=args.mock,
        error_catalogue=_ERRORS,
        openapi=_OPENAPI if describe else "",
        openapi_title=args.name,
        openapi_version=args.release,
    )
    try:
        with Progress.on_terminal(quiet=args.quiet) as progress:
            result = generate(compiled, list(inputs.paths), options=options, progress=progress.step)
    except DefinitionError as error:
        lines = [problem.text(inputs.paths) for problem in error.problems]
        raise CommandFailure("\n".join(lines)) from error
    if _serves(result) and not describe and not args.no_openapi:
        raise CommandFailure(
            "an OpenAPI document needs kratos-http; pip install kratos-http, or pass --no-openapi"
        )
    missing = [
        f"{inputs.paths.get(item.file, item.file)}:{item.line}: it uses {item.imported}, which is "
        "neither in the folder nor in an installed wheel"
        for item in result.assumptions
    ]
    if missing:
        raise CommandFailure("\n".join(missing))
    return result


def _files(compiled: bytes, inputs: Inputs, result: Result) -> Iterator[tuple[str, bytes]]:
    """Yield what lies in the package, by path."""
    yield "py.typed", b""
    yield _DESCRIPTORS, compiled
    for name, path in inputs.paths.items():
        yield name, Path(path).read_bytes()
    for file in result.files:
        if file.path == _OPENAPI and not _serves(result):
            continue
        yield file.path, file.content.encode()
        if file.path not in (_ERRORS, _OPENAPI):
            for folder in Path(file.path).parents:
                if folder.name:
                    yield f"{folder.as_posix()}/__init__.py", b""


def _serves(result: Result) -> bool:
    return any("HttpRule(" in file.content for file in result.files)


def _wheel(
    args: argparse.Namespace, package: str, files: Mapping[str, bytes], result: Result
) -> Wheel:
    from kratos_cli.proto.installed import GROUP
    from kratos_cli.proto.wheel import Wheel

    names = sorted(name for name in files if name.endswith(".proto"))
    listed = "".join(f"* `{name.partition('/')[2]}`\n" for name in names)
    return Wheel(
        name=args.name,
        version=args.release,
        summary=args.summary or f"Protobuf definitions of {args.name}, and typed Python of them",
        description=f"# {args.name}\n\nPackage `{package}`, generated from:\n\n{listed}",
        requires=sorted({*_requirements(result, package), *args.requires}),
        entry_points={GROUP: {args.name: package}},
        files=files,
        generator=f"kratos-cli ({version('kratos-cli')})",
    )


def _requirements(result: Result, package: str) -> Iterator[str]:
    """Yield the distributions that the code imports."""
    modules = [file.content for file in result.files if file.path.endswith(".py")]
    imported = {name for content in modules for name in _IMPORT.findall(content)}
    providers = packages_distributions()
    for name in imported:
        top = name.partition(".")[0]
        known = _REQUIRES.get(name) or _REQUIRES.get(top)
        if known:
            yield known
        elif top not in sys.stdlib_module_names and top != package:
            yield from (
                f"{found}>={version(found)}" for found in sorted(set(providers.get(top, ())))
            )
