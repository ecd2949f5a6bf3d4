"""Coroutines that are made and not awaited."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from typing import Final

from kratos_cli.lint.project import Project
from kratos_cli.lint.scopes import Definition, Scopes
from kratos_cli.lint.source import Found, Source

__all__ = ["check_awaiting"]

_STANDARD: Final = frozenset(
    f"asyncio.{name}"
    for name in ("open_connection", "sleep", "start_server", "to_thread", "wait", "wait_for")
)
_OWN: Final = frozenset(
    ["__await__", "close", "cr_await", "cr_code", "cr_frame", "cr_running", "send", "throw"]
)  # what a coroutine has itself
_HARMLESS: Final = frozenset(("abstractmethod", "classmethod", "final", "override", "staticmethod"))


def check_awaiting(source: Source, scopes: Scopes, project: Project) -> Iterator[Found]:
    """Yield calls that make a coroutine where only its result makes sense.

    Args:
        source: The file.
        scopes: Its names.
        project: What it belongs to.
    """
    for node, use in _used(source.tree):
        scope = scopes.of.get(node)
        name = None if scope is None else project.resolved(node.func, scope)
        if scope is None or name is None or not _makes_coroutine(name, project):
            continue
        is_statement = isinstance(use, ast.Expr)
        can = isinstance(scope.node, ast.AsyncFunctionDef)
        edits = [source.before(node, "await ")] if can and is_statement else []
        what = "nothing awaits it" if is_statement else "its result is used, and it is not awaited"
        cure = "write await before it" if can else "only an async function can await it"
        called = ast.unparse(node.func)
        yield source.found(node, "KR202", f"{called} makes a coroutine, and {what}; {cure}", *edits)


def _used(tree: ast.Module) -> Iterator[tuple[ast.Call, ast.AST]]:
    """Yield calls, each with what it stands in, that make no sense for a coroutine."""
    for use in ast.walk(tree):
        for each in _meant_results(use):
            if isinstance(each, ast.Call):
                yield each, use


def _meant_results(use: ast.AST) -> Iterator[ast.expr]:
    if isinstance(use, ast.Expr | ast.FormattedValue | ast.Starred | ast.Subscript) or (
        isinstance(use, ast.Attribute) and use.attr not in _OWN
    ):
        yield use.value
    elif isinstance(use, ast.If | ast.While | ast.IfExp | ast.Assert):
        yield use.test
    elif isinstance(use, ast.For | ast.comprehension):
        if not (isinstance(use, ast.comprehension) and use.is_async):
            yield use.iter
    elif isinstance(use, ast.UnaryOp):
        yield use.operand
    elif isinstance(use, ast.BinOp):
        yield from (use.left, use.right)
    elif isinstance(use, ast.Compare):
        yield from (use.left, *use.comparators)


def _makes_coroutine(name: str, project: Project) -> bool:
    if name in _STANDARD:
        return True
    definition = project.definition(name)
    if definition is not None:
        return _is_coroutine_function(definition)
    return inspect.iscoroutinefunction(project.installed.find(name))


def _is_coroutine_function(definition: Definition) -> bool:
    return (
        isinstance(definition, ast.AsyncFunctionDef)
        and not any(isinstance(each, ast.Yield) for each in _own_nodes(definition))
        and all(
            ast.unparse(each).rpartition(".")[2] in _HARMLESS for each in definition.decorator_list
        )
    )


def _own_nodes(definition: ast.AsyncFunctionDef) -> Iterator[ast.AST]:
    """Yield the nodes of a function, without those of functions inside."""
    left: list[ast.AST] = list(definition.body)
    while left:
        node = left.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            left.extend(ast.iter_child_nodes(node))
