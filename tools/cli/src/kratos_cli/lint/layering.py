"""Which layer imports which: ``server -> service -> biz <- data``."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from kratos_cli.lint.project import Project
from kratos_cli.lint.scopes import absolute
from kratos_cli.lint.source import Found, Source

__all__ = ["LAYERS", "check_layers"]

LAYERS: Final[Mapping[str, Collection[str]]] = {
    "biz": ("conf",),
    "conf": (),
    "data": ("biz", "conf"),
    "service": ("biz", "conf"),
    "server": ("biz", "conf", "service"),
}
"""The layers, and which of the others each may import."""

_BUSINESS: Final = "biz"
_TRANSPORTS: Final = ("grpc", "kratos.transport", "kratos_grpc", "kratos_http", "kratos_http2")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a module is among the layers: below which package, and in which of them."""

    package: str
    layer: str

    @property
    def name(self) -> str:
        return f"{self.package}.{self.layer}" if self.package else self.layer


def check_layers(
    source: Source, project: Project, layers: Mapping[str, Collection[str]]
) -> Iterator[Found]:
    """Yield the imports that go the wrong way.

    Args:
        source: The file.
        project: What it belongs to.
        layers: Names of layers, and which of the others each may import.
    """
    here = _place(source.module, layers)
    if here is None or not _is_layered(here, project, layers):
        return
    allowed = layers[here.layer]
    for node in ast.walk(source.tree):
        for where, module in _imported(source, node):
            there = _place(module, layers)
            if (
                there is not None
                and there.package == here.package
                and there.layer not in (here.layer, *allowed)
            ):
                yield source.found(where, "KR101", _direction(here, there, allowed))
            elif here.layer == _BUSINESS and _is_transport(module):
                yield source.found(where, "KR102", _transport(module))


def _place(module: str, layers: Collection[str]) -> _Place | None:
    parts = module.split(".")
    for index, part in enumerate(parts[:2]):  # shop.biz, or biz where there is no package around
        if part in layers:
            return _Place(".".join(parts[:index]), part)
    return None


def _is_layered(here: _Place, project: Project, layers: Collection[str]) -> bool:
    """Tell whether there is a second layer: one folder called ``data`` makes none.

    Where there may be ``biz`` it has to be there: ``service`` beside ``data`` is another layout.
    """
    prefix = f"{here.package}." if here.package else ""
    there = [layer for layer in layers if project.has_package(f"{prefix}{layer}")]
    return len(there) > 1 and (_BUSINESS in there or _BUSINESS not in layers)


def _imported(source: Source, node: ast.AST) -> Iterator[tuple[ast.stmt | ast.alias, str]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias, alias.name
    elif isinstance(node, ast.ImportFrom):
        base = absolute(source, node)
        for alias in node.names:
            yield node, f"{base}.{alias.name}" if base else alias.name


def _direction(here: _Place, there: _Place, allowed: Collection[str]) -> str:
    may = f"of the layers only {', '.join(sorted(allowed))}" if allowed else "none of the layers"
    cure = f"{here.layer} may import {may}"
    if here.layer == _BUSINESS:
        cure = f"declare a Protocol in {here.name} that {there.name} implements"
    return f"{here.layer} imports {there.layer}; {cure}"


def _is_transport(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in _TRANSPORTS)


def _transport(module: str) -> str:
    return (
        f"biz imports {module}, which is about a transport; leave it to service or server, "
        "which calls biz"
    )
