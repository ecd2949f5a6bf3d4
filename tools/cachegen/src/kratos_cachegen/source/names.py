"""Where the names in a module come from, so that generated code finds them, too."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator

from kratos_cachegen.source.problems import SourceProblem

__all__ = ["Names", "names_in"]

_PACKAGE = "kratos_cachegen"


class Names:
    """The names of a module: what it imports, and what it defines.

    Args:
        tree: The module.
        module: Its name, by which others import it.
    """

    def __init__(self, tree: ast.Module, module: str) -> None:
        self._imports: dict[str, str] = {}
        self._ours: dict[str, str] = {}
        for node in _statements(tree.body):
            if isinstance(node, ast.Import):
                self._take_import(node)
            elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
                self._take_from(node)
            else:
                for name in _defined(node):
                    self._imports[name] = f"from {module} import {name}"

    def ours(self, node: ast.expr) -> str:
        """Return the name that an expression has in ``kratos_cachegen``; empty for others."""
        if isinstance(node, ast.Name):
            return self._ours.get(node.id, "")
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return node.attr if self._ours.get(node.value.id) == _PACKAGE else ""
        return ""

    def imports(self, names: Iterable[str], node: ast.AST) -> dict[str, str]:
        """Return the statements that bring names.

        Raises:
            SourceProblem: The module does not have one of them.
        """
        found: dict[str, str] = {}
        for name in names:
            if name in self._imports:
                found[name] = self._imports[name]
            elif name != "self" and not hasattr(builtins, name):
                raise SourceProblem(
                    f"the module neither defines nor imports {name!r} at its top level", node
                )
        return found

    def _take_import(self, node: ast.Import) -> None:
        for alias in node.names:
            local = alias.asname or alias.name.partition(".")[0]
            renamed = f" as {alias.asname}" if alias.asname else ""
            self._imports[local] = f"import {alias.name}{renamed}"
            if alias.name == _PACKAGE:
                self._ours[local] = _PACKAGE

    def _take_from(self, node: ast.ImportFrom) -> None:
        source = "." * node.level + (node.module or "")
        for alias in node.names:
            local = alias.asname or alias.name
            renamed = f" as {alias.asname}" if alias.asname else ""
            self._imports[local] = f"from {source} import {alias.name}{renamed}"
            if source.partition(".")[0] == _PACKAGE:
                self._ours[local] = alias.name


def names_in(*nodes: ast.AST) -> list[str]:
    """Return the names that code uses and does not make itself, sorted."""
    used: set[str] = set()
    for node in nodes:
        found = [each for each in ast.walk(node) if isinstance(each, ast.Name)]
        made = {each.id for each in found if not isinstance(each.ctx, ast.Load)}
        used |= {each.id for each in found} - made
    return sorted(used)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements, and those within conditions, such as ``if TYPE_CHECKING``."""
    for node in body:
        if isinstance(node, ast.If):
            yield from _statements([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            handled = [each for handler in node.handlers for each in handler.body]
            yield from _statements([*node.body, *handled, *node.orelse])
        else:
            yield node


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            yield from (each.id for each in ast.walk(target) if isinstance(each, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id
    elif type(node).__name__ == "TypeAlias":  # Python 3.12 knows it
        name: ast.Name = getattr(node, "name")  # noqa: B009  and this does not
        yield name.id
