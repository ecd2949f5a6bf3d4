"""Services of a project: packages with a factory of an application, or with a program."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Service", "find_services"]

_PROJECT: Final = "pyproject.toml"
_PARENTS: Final = 5  # as many as Go's command looks into
_FACTORY: Final = "build"
# Modules of a package that may hold the factory, and their depth below the project.
_MODULES: Final = ("app", "service", "main", "__main__")
_MEMBERS: Final = ("", "*/", "*/*/")
_SKIPPED: Final = frozenset(("build", "dist", "node_modules", "tests"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service.

    Attributes:
        name: Of its package, or of its module.
        folder: Of the project, which configuration is looked for in.
        root: Folder that its modules are imported from.
        target: ``module:build``; empty if there is none.
        program: Module that is a program; empty if there is none.
    """

    name: str
    folder: Path
    root: Path
    target: str = ""
    program: str = ""


def find_services(start: Path) -> Sequence[Service]:
    """Return the services of the project that a folder belongs to.

    That is the folder itself, or the nearest of its parents with a ``pyproject.toml``, together
    with projects inside it. A service is a package in ``src``, or beside the ``pyproject.toml``,
    with ``def build`` in its module ``app``, ``service``, ``main`` or ``__main__``, or with a
    ``__main__`` to run; or such a module without a package.
    """
    project = _project(start.absolute())
    folders = {
        file.parent
        for members in _MEMBERS
        for file in project.glob(f"{members}{_PROJECT}")
        if not _is_skipped(file.parent.relative_to(project))
    }
    found = [service for folder in sorted(folders | {project}) for service in _services(folder)]
    return sorted(found, key=lambda service: (service.folder, service.name))


def _project(start: Path) -> Path:
    for folder in (start, *start.parents[:_PARENTS]):
        if (folder / _PROJECT).is_file():
            return folder
    return start


def _is_skipped(path: Path) -> bool:
    return any(part.startswith(".") or part in _SKIPPED for part in path.parts)


def _services(folder: Path) -> Iterator[Service]:
    root = folder / "src" if (folder / "src").is_dir() else folder
    for package in sorted(path for path in root.iterdir() if (path / "__init__.py").is_file()):
        if package.name in _SKIPPED:
            continue
        factory = next(_factories(package), "")
        program = package.name if (package / "__main__.py").is_file() else ""
        if factory or program:
            target = f"{package.name}.{factory}:{_FACTORY}" if factory else ""
            yield Service(
                name=package.name, folder=folder, root=root, target=target, program=program
            )
    for factory in _factories(root):
        yield Service(name=factory, folder=folder, root=root, target=f"{factory}:{_FACTORY}")


def _factories(folder: Path) -> Iterator[str]:
    for module in _MODULES:
        file = folder / f"{module}.py"
        if file.is_file() and _has_factory(file):
            yield module


def _has_factory(file: Path) -> bool:
    """Whether a module defines what builds an application; it is read and not run for that."""
    try:
        tree = ast.parse(file.read_bytes())
    except (MemoryError, RecursionError, SyntaxError, ValueError):
        # It cannot be known, and is most probably being written.
        return True
    return any(isinstance(node, ast.FunctionDef) and node.name == _FACTORY for node in tree.body)
