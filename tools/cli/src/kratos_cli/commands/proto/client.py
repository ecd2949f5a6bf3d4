"""``kratos proto client``: messages, services, clients and errors of definitions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kratos_cli.failure import CommandFailure
from kratos_cli.parsing import Subparsers

if TYPE_CHECKING:
    from kratos_cli.proto.inputs import Inputs
    from kratos_cli.proto.tree import Tree
    from protoc_gen_kratos import Options, Result

__all__ = ["register", "run"]

_OUT: Final = "choose a folder that can be written to with --out"
_DESCRIPTION: Final = """\
Generate Python from protobuf definitions.

Writes x_pb2.py and x_pb2.pyi for every definition, and x_kratos.py where it has services or
error enums. Definitions of google.api, google.protobuf and Kratos' own options are found
without any option. Further places to import from: -I, the environment variable
KRATOS_PROTO_PATH, and ./third_party."""


def register(subparsers: Subparsers) -> None:
    """Add ``client``."""
    parser = subparsers.add_parser(
        "client", help="messages, services, clients and errors", description=_DESCRIPTION
    )
    parser.add_argument(
        "inputs", nargs="+", metavar="FILE_OR_DIR", help="definitions; folders are searched"
    )
    parser.add_argument(
        "-I",
        "--proto-path",
        action="append",
        metavar="DIR",
        help="folder that names in imports start from (default: .); may be given several times",
    )
    parser.add_argument(
        "-o", "--out", default=".", metavar="DIR", help="folder to write into (default: .)"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if something would change"
    )
    parser.add_argument(
        "--include-imports", action="store_true", help="also generate what definitions import"
    )
    parser.add_argument(
        "--module",
        action="append",
        default=[],
        metavar="FILE=MODULE",
        help="a definition whose module exists: validate/validate.proto=validate.validate_pb2",
    )
    parser.add_argument(
        "--omitempty",
        choices=("true", "false"),
        default="true",
        help="false: serve unary methods without an HTTP rule as POST /package.Service/Method",
    )
    parser.add_argument(
        "--omitempty-prefix", default="", metavar="PATH", help="goes in front of those paths"
    )
    parser.add_argument(
        "--private-package",
        default="",
        metavar="NAME",
        help="register the definitions under names that start with NAME, apart from any other copy",
    )
    parser.add_argument(
        "--absolute-root",
        action="store_true",
        help="DIR of --out is on the import path and no package",
    )
    parser.add_argument(
        "--mock", action="store_true", help="also write x_kratos_mock.py, services for tests"
    )
    parser.add_argument(
        "--error-catalogue",
        default="",
        metavar="FILE",
        help="also write a page on all errors, in Markdown, to this path in the output",
    )
    parser.add_argument(
        "--openapi",
        default="",
        metavar="FILE",
        help="also write an OpenAPI document to this path in the output, as JSON or YAML",
    )
    parser.add_argument("--openapi-title", default="", metavar="TEXT", help="title in it")
    parser.add_argument("--openapi-version", default="", metavar="TEXT", help="version in it")
    parser.add_argument(
        "--regenerate", action="store_true", help="also generate what is installed already"
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="tell neither progress nor what is written"
    )
    parser.add_argument(
        "--protoc", metavar="PATH", help="compiler to use instead of the one in grpcio-tools"
    )


def run(args: argparse.Namespace) -> int:
    """Compile, generate, write or compare."""
    from kratos_cli.progress import Progress
    from kratos_cli.proto.compiler import compile_definitions, imported_names
    from kratos_cli.proto.inputs import find_inputs
    from kratos_cli.proto.tree import Tree
    from protoc_gen_kratos import DefinitionError, ParameterError, generate

    inputs = find_inputs(args.inputs, args.proto_path)
    try:
        options = _options(args, inputs)
    except ParameterError as error:
        raise CommandFailure(str(error), status=2) from error
    targets = _targets(inputs, options)
    compiled = compile_definitions(targets, inputs, protoc=args.protoc)
    if args.include_imports:
        targets = imported_names(compiled)
    try:
        with Progress.on_terminal(quiet=args.quiet) as progress:
            result = generate(compiled, targets, options=options, progress=progress.step)
    except DefinitionError as error:
        lines = [problem.text(inputs.paths) for problem in error.problems]
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        raise CommandFailure(_count(len(lines))) from error
    for warning in result.warnings:
        sys.stderr.write(f"{warning.text(inputs.paths)} (warning)\n")
    out = Path(args.out)
    _require_siblings(result, inputs, out)
    tree = Tree.plan(out, result.files)
    try:
        return _compare(tree) if args.check else _write(tree, quiet=args.quiet)
    except OSError as error:
        raise CommandFailure(f"{error.filename or out}: {error.strerror}; {_OUT}") from error


def _options(args: argparse.Namespace, inputs: Inputs) -> Options:
    from kratos_cli.proto.installed import installed_modules
    from protoc_gen_kratos import Options, ParameterError

    modules = installed_modules(besides=inputs.paths)
    for item in args.module:
        name, equals, module = item.partition("=")
        if not equals:
            raise ParameterError(f"--module {item} lacks '='; write FILE=MODULE")
        modules[name] = module
    return Options(
        omit_empty=args.omitempty == "true",
        omit_empty_prefix=args.omitempty_prefix,
        modules=modules,
        private_package=args.private_package,
        regenerate=args.regenerate,
        absolute_root=args.absolute_root,
        mock=args.mock,
        error_catalogue=args.error_catalogue,
        openapi=args.openapi,
        openapi_title=args.openapi_title,
        openapi_version=args.openapi_version,
    )


def _targets(inputs: Inputs, options: Options) -> Collection[str]:
    """Return what to generate: never what comes installed."""
    from protoc_gen_kratos import provided_elsewhere

    for name in inputs.named:
        if provided_elsewhere(name, options):
            raise CommandFailure(
                f"{name} is not generated: its module comes with an installed distribution; "
                "--private-package makes a copy of your own"
            )
    found = [name for name in inputs.paths if not provided_elsewhere(name, options)]
    if not found:
        raise CommandFailure("there is no definition to generate in what was given", status=2)
    return found


def _require_siblings(result: Result, inputs: Inputs, out: Path) -> None:
    missing = [item for item in result.assumptions if not (out / item.path).is_file()]
    for item in missing:
        file = inputs.paths.get(item.file, item.file)
        sys.stderr.write(
            f"{file}:{item.line}: it uses {item.imported}, but {out / item.path} is not there; "
            "generate that too (--include-imports), or say who has it "
            f"(--module {item.imported}=package.module_pb2)\n"
        )
    if missing:
        raise CommandFailure(_count(len(missing)))


def _count(problems: int) -> str:
    return f"nothing was written: {problems} problem{'s' if problems > 1 else ''}"


def _compare(tree: Tree) -> int:
    stale = tree.stale()
    for path in stale:
        sys.stderr.write(f"{path} is not what would be generated\n")
    if stale:
        raise CommandFailure("the output is out of date; run the command without --check")
    return 0


def _write(tree: Tree, *, quiet: bool) -> int:
    for path in tree.write():
        if not quiet:
            print(path)
    if tree.root_became_package:
        sys.stderr.write(
            f"{tree.out} is a package now, because modules in it import each other across its "
            "top; if it is on the import path instead, pass --absolute-root\n"
        )
    return 0
