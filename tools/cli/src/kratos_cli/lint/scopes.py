"""What names mean in a file, without running it: by imports, definitions and annotations."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from kratos_cli.lint.source import Source

__all__ = ["Definition", "Function", "Scope", "Scopes", "absolute"]

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_Holder: TypeAlias = ast.Module | Definition | ast.Lambda


@dataclass(eq=False, slots=True)
class Scope:
    """Names that are bound in a module, class or function.

    Attributes:
        node: Whose they are.
        name: Its dotted name.
        parent: The scope around it.
        names: What each name means, as a dotted name; None for what is not known.
        values: What a name that is bound once is bound to: a call, or an annotation.
        is_free: Names that are those of an outer scope.
    """

    node: _Holder
    name: str
    parent: Scope | None
    names: dict[str, str | None] = field(default_factory=dict[str, str | None])
    values: dict[str, ast.expr] = field(default_factory=dict[str, ast.expr])
    is_free: set[str] = field(default_factory=set[str])

    def bind(self, name: str, meaning: str | None, value: ast.expr | None = None) -> None:
        """Take note of a binding; a name with two meanings has none."""
        if name in self.is_free:
            return
        if name in self.names and (meaning is None or self.names[name] != meaning):
            self.names[name] = None
            self.values.pop(name, None)
            return
        self.names[name] = meaning
        if value is not None:
            self.values[name] = value

    def holder(self, name: str) -> Scope | None:
        """Return the scope in which a name that is used here is bound."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names and (scope is self or not isinstance(scope.node, ast.ClassDef)):
                return scope
            scope = scope.parent
        return None


class Scopes(ast.NodeVisitor):
    """All scopes of a file.

    Args:
        source: The file.

    Attributes:
        of: The scope in which each call, import and definition stands.
        definitions: Functions and classes, by dotted name; None for a name with several.
        owners: The scope that each function or class makes.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.top = Scope(node=source.tree, name=source.module, parent=None)
        self.of: dict[ast.AST, Scope] = {}
        self.owners: dict[ast.AST, Scope] = {source.tree: self.top}
        self.definitions: dict[str, Definition | None] = {}
        self._scope = self.top
        self._tail: list[tuple[Scope, list[ast.AST]]] = [(self.top, list(source.tree.body))]
        while self._tail:
            self._scope, nodes = self._tail.pop(0)
            for node in nodes:
                self.visit(node)

    def visit(self, node: ast.AST) -> None:
        """Visit a node, and remember where it stands."""
        self.of[node] = self._scope
        super().visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        """Bind modules."""
        for alias in node.names:
            if alias.asname:
                self._scope.bind(alias.asname, alias.name)
            else:
                top = alias.name.partition(".")[0]
                self._scope.bind(top, top)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Bind what is imported."""
        base = absolute(self._source, node)
        for alias in node.names:
            self._scope.bind(alias.asname or alias.name, f"{base}.{alias.name}")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Bind it; its body is a scope of its own."""
        self._define(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        """Bind it; its body is a scope of its own."""
        self._define(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Bind it; its body is a scope of its own."""
        name = self._named(node)
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(part)
        self._enter(node, name, list(node.body))

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Its body is a scope of its own."""
        inner = self._enter(node, f"{self._scope.name}.<lambda>", [node.body])
        for argument in _arguments(node.args):
            inner.bind(argument.arg, None)

    def visit_Name(self, node: ast.Name) -> None:
        """Bind what is assigned to."""
        if not isinstance(node.ctx, ast.Load):
            self._scope.bind(node.id, None)

    def visit_Assign(self, node: ast.Assign) -> None:
        """Bind, and remember what to."""
        target = node.targets[0]
        if len(node.targets) == 1 and isinstance(target, ast.Name):
            self.visit(node.value)
            self._scope.bind(target.id, None, _call(node.value))
        else:
            self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Bind, and remember the annotation."""
        if node.value is not None:
            self.visit(node.value)
        if isinstance(node.target, ast.Name):
            self._scope.bind(node.target.id, None, node.annotation)
        else:
            self.visit(node.target)

    def visit_With(self, node: ast.With) -> None:
        """Bind, and remember what to: the managers that matter return themselves."""
        for item in node.items:
            self.visit(item.context_expr)
            if isinstance(item.optional_vars, ast.Name):
                self._scope.bind(item.optional_vars.id, None, _call(item.context_expr))
            elif item.optional_vars is not None:
                self.visit(item.optional_vars)
        for statement in node.body:
            self.visit(statement)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        """Bind the exception."""
        if node.name:
            self._scope.bind(node.name, None)
        self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        """Bind what matches."""
        if node.name:
            self._scope.bind(node.name, None)
        self.generic_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        """Bind what matches."""
        if node.name:
            self._scope.bind(node.name, None)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        """Bind what matches."""
        if node.rest:
            self._scope.bind(node.rest, None)
        self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> None:
        """These are names of another scope, which is not followed."""
        self._free(node.names)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        """These are names of another scope, which is not followed."""
        self._free(node.names)

    def _free(self, names: list[str]) -> None:
        for name in names:
            # Assigned to from in here: what it is outside is no longer known for sure.
            scope = self._scope.parent
            while scope is not None:
                if name in scope.names:
                    scope.bind(name, None)
                scope = scope.parent
            self._scope.is_free.add(name)

    def _define(self, node: Function) -> None:
        name = self._named(node)
        defaults = [*node.args.defaults, *(each for each in node.args.kw_defaults if each)]
        for part in (*node.decorator_list, *defaults):
            self.visit(part)
        inner = self._enter(node, name, list(node.body))
        arguments = list(_arguments(node.args))
        for argument in arguments:
            inner.bind(argument.arg, None, argument.annotation)
        variadic = {each.arg for each in (node.args.vararg, node.args.kwarg) if each is not None}
        for name in variadic:  # the annotation is that of their items
            inner.values.pop(name, None)

    def _named(self, node: Definition) -> str:
        name = f"{self._scope.name}.{node.name}"
        self._scope.bind(node.name, name)
        known = self.definitions.get(name, node)
        self.definitions[name] = node if type(known) is type(node) else None
        return name

    def _enter(self, node: Definition | ast.Lambda, name: str, body: list[ast.AST]) -> Scope:
        inner = Scope(node=node, name=name, parent=self._scope)
        self.owners[node] = inner
        self._tail.append((inner, body))
        return inner


def absolute(source: Source, node: ast.ImportFrom) -> str:
    """Return the module that ``from ... import`` takes from."""
    if node.level == 0:
        return node.module or ""
    parts = source.module.split(".")
    up = node.level - 1 if source.is_package else node.level
    base = parts[: len(parts) - up] if up else parts
    return ".".join([*base, *([node.module] if node.module else [])])


def _arguments(arguments: ast.arguments) -> Iterator[ast.arg]:
    yield from arguments.posonlyargs
    yield from arguments.args
    yield from arguments.kwonlyargs
    for each in (arguments.vararg, arguments.kwarg):
        if each is not None:
            yield each


def _call(value: ast.expr) -> ast.Call | None:
    return value if isinstance(value, ast.Call) else None
