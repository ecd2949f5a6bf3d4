"""The project's own code: what it imports that is not installed, what is too new for protobuf."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping
from importlib import metadata, util
from pathlib import Path
from typing import Final

from kratos_cli.doctor.findings import Finding, good, problem
from kratos_cli.doctor.libraries import version_of
from kratos_cli.doctor.members import unmet
from kratos_cli.lint.files import may_be_read

__all__ = ["look"]

_AREA: Final = "code"
_OURS: Final = ("kratos", "aegis", "kratos_")
_NAMES: Final = {"kratos": "kratos-core", "aegis": "kratos-aegis"}
# Parts of members that need an extra.
_EXTRAS: Final = {"kratos_http.sessions": ("kratos-http", "sessions")}
_SKIPPED: Final = frozenset(("node_modules", "build", "dist", "site-packages"))
_STATED: Final = re.compile(r"Domain\.PUBLIC,\s*(\d+),\s*(\d+),\s*(\d+)")


def look(folder: Path, there: Mapping[str, metadata.Distribution]) -> Iterator[Finding]:
    """Yield what was found.

    Args:
        folder: Of the project.
        there: What is installed.
    """
    missing: dict[str, str] = {}
    files = 0
    for file in _files(folder):
        files += 1
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            yield problem(_AREA, f"{file}: {error.strerror}")
            continue
        if file.name.endswith("_pb2.py"):
            yield from _too_new(file, text)
        try:
            tree = ast.parse(text)
        except SyntaxError as error:
            where = f"{file}:{error.lineno}" if error.lineno else file
            yield problem(_AREA, f"{where}: {error.msg}")
            continue
        except (MemoryError, RecursionError, ValueError) as error:
            yield problem(_AREA, f"{file}: {str(error) or 'it is nested too deeply'}")
            continue
        for name, line in _imports(tree):
            missing.setdefault(name, f"{file}:{line}")
    found = False
    for name, where in missing.items():
        for failure in _failures(name, there):
            found = True
            yield problem(_AREA, f"{where}: it imports {name}, {failure}")
    if not found:
        yield good(_AREA, f"{files} files of {folder}: what they import of Kratos is installed")


def _files(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in _SKIPPED
            and not Path(here, name, "pyvenv.cfg").is_file()
        )
        paths = (Path(here, name) for name in sorted(files) if name.endswith(".py"))
        yield from filter(may_be_read, paths)


def _imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the modules of Kratos that are imported, now or later, with the lines."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            names = [node.module]
        for name in names:
            top = name.partition(".")[0]
            if top in _OURS or top.startswith(_OURS[-1]):
                yield name, getattr(node, "lineno", 0)


def _failures(module: str, there: Mapping[str, metadata.Distribution]) -> Iterator[str]:
    top = module.partition(".")[0]
    name = _NAMES.get(top, top.replace("_", "-"))
    if util.find_spec(top) is None:
        yield f"which is not installed: pip install {name}, unless it is your own"
    for prefix, (member, extra) in _EXTRAS.items():
        if member in there and (module == prefix or module.startswith(f"{prefix}.")):
            lines = there[member].requires or ()
            for failure in unmet(member, lines, there, extra=extra):
                yield f"which {failure}, or pip install '{member}[{extra}]'"


def _too_new(file: Path, text: str) -> Iterator[Finding]:
    """Yield a finding if generated code refuses the protobuf that is installed."""
    stated, runtime = _STATED.search(text), version_of("protobuf")
    if stated is None or runtime is None:
        return
    wanted = tuple(int(part) for part in stated.groups())
    there = tuple(int(part) for part in re.findall(r"\d+", runtime)[:3])
    if wanted > there:
        version = ".".join(stated.groups())
        yield problem(
            _AREA,
            f"{file} was generated for protobuf {version}, but {runtime} is there: "
            f"pip install 'protobuf>={version}', or generate it anew",
        )
