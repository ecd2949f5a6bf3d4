"""``kratos cachegen`` and ``python -m kratos_cachegen``: write caches beside interfaces."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from kratos_cachegen.source.problems import SourceProblem
from kratos_cachegen.source.reader import read
from kratos_cachegen.writing.module import write

__all__ = ["generate", "main", "module_of", "register", "run"]

_DESCRIPTION: Final = """\
Write the caches of interfaces: for articles.py, whose classes have methods with @bts, @redis, @mc
or @memory, the module articles_cache.py beside it. Folders are searched for such modules.
Nothing is imported; the result depends on the text alone."""
_SUFFIX: Final = "_cache"
_MARK: Final = "kratos_cachegen"


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
    files, wrong = _files(args.paths)
    if args.module and len(files) != 1:
        return _refuse("--module names the module of one file")
    if wrong:
        return _refuse(wrong)
    status = 0
    for file in files:
        try:
            text = generate(file, module=args.module)
        except SourceProblem as problem:
            sys.stderr.write(f"{file}:{problem.line}: {problem}\n")
            status = 1
        except (OSError, UnicodeDecodeError) as error:
            sys.stderr.write(f"{file}: {error}\n")
            status = 1
        else:
            status = max(status, _deliver(file, text, only_check=args.check))
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
    interfaces = read(file.read_text(encoding="utf-8"), module or module_of(file))
    return write(interfaces, file.name) if interfaces else ""


def module_of(file: Path) -> str:
    """Return the name by which a file is imported: with those of the packages that it is in."""
    names = [file.stem]
    folder = file.resolve().parent
    while (folder / "__init__.py").is_file():
        names.append(folder.name)
        folder = folder.parent
    return ".".join(reversed(names))


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


def _files(paths: Sequence[str]) -> tuple[list[Path], str]:
    """Return the files to generate from, and what is wrong with the paths."""
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += sorted(each for each in path.rglob("*.py") if _is_meant(each))
        elif path.suffix == ".py" and path.is_file():
            found.append(path)
        else:
            return [], f"{path} is neither a folder nor a Python file that is there"
    return found, "" if found else f"no module in {', '.join(paths)} uses kratos_cachegen"


def _is_meant(file: Path) -> bool:
    if file.stem.endswith(_SUFFIX):
        return False
    return _MARK in file.read_text(encoding="utf-8", errors="replace")


def _deliver(file: Path, text: str, *, only_check: bool) -> int:
    """Write what was generated, or compare it; return the status."""
    out = file.with_name(f"{file.stem}{_SUFFIX}.py")
    if not text:
        return 0
    present = out.read_text(encoding="utf-8") if out.is_file() else ""
    if only_check and present != text:
        sys.stderr.write(f"{out} is not as {file} says: run kratos cachegen {file}\n")
        return 1
    if present != text:
        out.write_text(text, encoding="utf-8", newline="\n")
        sys.stdout.write(f"{out}\n")
    return 0


def _refuse(message: str) -> int:
    sys.stderr.write(f"kratos cachegen: error: {message}\n")
    return 2
