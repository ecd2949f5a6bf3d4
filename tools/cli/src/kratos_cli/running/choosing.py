"""Which service is meant where a folder is named."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from kratos_cli.failure import CommandFailure
from kratos_cli.running.services import Service, find_services

__all__ = ["choose", "folder_of"]


def folder_of(target: str) -> Path | None:
    """Return the folder that a target names; ``None`` if it names a factory.

    Raises:
        CommandFailure: It names a folder that there is not.
    """
    folder = Path(target)
    if folder.is_dir():
        return folder
    file = target.rpartition(":")[0] or target
    if os.sep in file and not file.endswith(".py"):
        raise CommandFailure(
            f"there is no folder {target}; name that of a project, module:build, or "
            "path/service.py:build",
            status=2,
        )
    return None


def choose(folder: Path) -> Service:
    """Return the service of the project that a folder belongs to; of several, ask for one.

    Raises:
        CommandFailure: There is none, or of several none was chosen.
    """
    found = find_services(folder)
    if not found:
        raise CommandFailure(
            f"there is no service in {folder.absolute()}: no package with 'def build' in app.py "
            "or with a __main__.py, in src or beside pyproject.toml; write module:build",
            status=2,
        )
    within = [each for each in found if folder.resolve().is_relative_to(_package(each).resolve())]
    if len(found) == 1 or len(within) == 1:
        return (within or found)[0]
    if sys.stdin.isatty() and sys.stdout.isatty():
        return _asked(found)
    names = ", ".join(_shown(service, found) for service in found)
    raise CommandFailure(f"there are several services: {names}; name the folder of one", status=2)


def _asked(found: Sequence[Service]) -> Service:
    for number, service in enumerate(found, 1):
        print(f"{number:>3}  {_shown(service, found)}")
    while True:
        try:
            answer = input(f"which one is meant? 1 to {len(found)}: ").strip()
        except EOFError:
            raise CommandFailure("no service was chosen", status=2) from None
        if answer.isascii() and answer.isdigit() and 0 < int(answer) <= len(found):
            return found[int(answer) - 1]


def _shown(service: Service, found: Sequence[Service]) -> str:
    """Return its name, and the folder that stands for it and for no other one."""
    others = (each.folder for each in found if each is not service)
    shared = any(folder.is_relative_to(service.folder) for folder in others)
    place = _package(service) if shared and _package(service).is_dir() else service.folder
    return f"{service.name} in {os.path.relpath(place)}"


def _package(service: Service) -> Path:
    return service.root / service.name
