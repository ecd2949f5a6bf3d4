"""Definitions that come installed in wheels of ``kratos proto wheel``."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

__all__ = ["GROUP", "installed_modules", "installed_packages"]

GROUP: Final = "kratos.protos"
"""Entry points of packages that hold definitions beside the code generated from them."""


@cache
def installed_packages() -> Mapping[str, Path]:
    """Return the folders that names start from, by the package that the code lies in."""
    found: dict[str, Path] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            spec = importlib.util.find_spec(point.value)
        except ModuleNotFoundError:  # a package around it is gone
            continue
        for location in (spec.submodule_search_locations or ()) if spec is not None else ():
            found.setdefault(point.value, Path(location).resolve())
    return found


def installed_modules(*, besides: Collection[str]) -> dict[str, str]:
    """Return the modules of those definitions, by the names of the definitions.

    Args:
        besides: Names of definitions that are at hand, and need no installed ones.
    """
    return {name: module for name, module in _modules() if name not in besides}


def _modules() -> Iterator[tuple[str, str]]:
    from protoc_gen_kratos.modules import module_parts

    for package, folder in installed_packages().items():
        for path in sorted(folder.rglob("*.proto")):
            name = path.relative_to(folder).as_posix()
            parents, module = module_parts(name, "_pb2")
            yield name, ".".join((package, *parents, module))
