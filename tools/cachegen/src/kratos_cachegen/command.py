"""``kratos cachegen`` and ``python -m kratos_cachegen``: write caches beside interfaces."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from kratos_cachegen.files import (
    find,
    is_module,
    module_of,
    out_of,
    present_in,
    read_text,
    write_whole,
)
from kratos_cachegen.source.problems import SourceProblem
from kratos_cachegen.source.reader import read
from kratos_cachegen.writing.module import write

__all__ = ["generate", "main", "register", "run"]

_DESCRIPTION: Final = """\
Write the caches of interfaces: for articles.py, whose classes have methods with @bts, @redis, @mc
or @memory, the module articles_cache.py beside it. Folders are searched for such modules.
Nothing is imported; the result depends on the text alone."""


def register(subparsers: Any) -> None:
    """Add ``cachegen`` to the command ``kratos``."""
    parser = subparsers.add_parser(
        "cachegen", help="write caches beside interfaces", description=_DESCRIPTION
    )
    _arguments(parser)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, and return its exit status: 0, 1 for failure, 2 for wrong usage."""
    parser = argparse.ArgumentParser(
        prog="kratos-cachegen",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _arguments(parser)
    return run(parser.parse_args(argv))


def run(args: argparse.Namespace) -> int:
    """Generate, or check what was generated."""
    files, wrong = find(args.paths)
    if args.module and len(files) != 1:
        return _refuse("--module names the module of one file")
    if wrong:
        return _refuse(wrong)
    status = 0
    for file in files:
        try:
            text = generate(file, module=args.module)
            status = max(status, _deliver(file, text, only_check=args.check))
        except SourceProblem as problem:
            where = f"{file}:{problem.line}" if problem.line else str(file)
            sys.stderr.write(f"{where}: {problem}\n")
            status = 1
        except OSError as error:
            sys.stderr.write(f"{error.filename or file}: {error.strerror}\n")
            status = 1
    return status


def generate(file: Path, *, module: str = "") -> str:
    """Return the text of the caches of a file; empty if it has no interface.

    Args:
        file: The file.
        module: The name by which it is imported; by default from the packages around it.

    Raises:
        SourceProblem: Something is wrong with an interface.
        OSError: The file cannot be read.
    """
    name = module or module_of(file)
    interfaces = read(read_text(file), name)
    if interfaces and not is_module(name):
        raise SourceProblem(f"{name!r} cannot be imported: rename it, or say --module NAME")
    # The name stands in a comment, which a line break in that of a file would end.
    source = file.name if is_module(file.stem) else f"{name}.py"
    return write(interfaces, source) if interfaces else ""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", metavar="FILE_OR_DIR", nargs="+", help="modules with interfaces")
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing, and fail if a module is not as it would be written",
    )
    parser.add_argument(
        "--module",
        metavar="NAME",
        default="",
        help="name by which the one file is imported (default: from the __init__.py around it)",
    )


def _deliver(file: Path, text: str, *, only_check: bool) -> int:
    """Write what was generated, or compare it; return the status."""
    if not text:
        return 0
    out = out_of(file)
    present = present_in(out)
    if only_check and present != text:
        sys.stderr.write(f"{out} is not as {file} says: run python -m kratos_cachegen {file}\n")
        return 1
    if present != text:
        write_whole(out, text)
        sys.stdout.write(f"{out}\n")
    return 0


def _refuse(message: str) -> int:
    sys.stderr.write(f"kratos cachegen: error: {message}\n")
    return 2
